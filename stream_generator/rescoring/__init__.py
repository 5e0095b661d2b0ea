"""Recorded records scored by another version, and compared; sends nothing to a service."""
