"""The evaluator process, its client and the frames between them; keeps nothing."""
