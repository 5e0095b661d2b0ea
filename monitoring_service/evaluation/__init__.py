"""Measuring windows, and the evaluator process, its client and the frames between them; stores nothing."""
