"""Options that the commands share, and what they print; fits nothing."""
