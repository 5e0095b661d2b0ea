"""Sending of records and labels: plan, pace, targets, retries, tally; knows no scenario file."""
