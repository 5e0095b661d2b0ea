"""The tasks of the check thread, and the schedules of scores and reports; never answers a request."""
