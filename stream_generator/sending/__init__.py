"""Records and labels on their way: plan, pace, targets, retries, tally; knows no scenario file."""
