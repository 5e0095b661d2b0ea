"""The working process and its threads: start, restore, standby and stop; answers no request."""
