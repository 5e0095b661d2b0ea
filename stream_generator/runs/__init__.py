"""A run and a replay from start to summary, as a command asks for them."""
