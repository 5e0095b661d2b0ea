"""A run and a replay from start to summary."""
