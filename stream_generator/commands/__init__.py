"""Options, progress and summary of the commands; sends nothing."""
