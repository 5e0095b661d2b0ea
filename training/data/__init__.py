"""Rows and their parts: retrieved, parsed, split, sampled, kept on disk; knows no model."""
