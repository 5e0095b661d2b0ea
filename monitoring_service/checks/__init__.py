"""The tasks of the check thread; never answers a request."""
