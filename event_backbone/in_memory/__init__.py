"""Adapters of the ports that live in this process, for tests and trials; nothing they hold survives it."""
