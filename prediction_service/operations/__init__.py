"""What an operator does by hand: dead letters, topics, erasure; no process depends on it."""
