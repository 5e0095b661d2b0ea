"""The HTTP server of our processes: it listens, awaits whole requests, and lets threads answer them."""
