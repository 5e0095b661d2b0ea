"""The evaluator process, its client and the frames between them; stores nothing."""
