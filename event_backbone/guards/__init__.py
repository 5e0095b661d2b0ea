"""Guards before every application: whose pages, whose keys and which bodies are let through."""
