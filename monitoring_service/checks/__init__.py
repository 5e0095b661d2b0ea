"""What the check thread does, check by check; never answers a request."""
