"""One training from rows to a decision about the champion; chooses no adapter."""
