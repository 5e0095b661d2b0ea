"""``make run``: starts the services of one case on this machine, and a driver that sends a stream through them."""
