"""What the services share: the case type, events, ports, errors, settings and the model bundle."""
