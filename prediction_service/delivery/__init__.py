"""From the journal to the sinks: relay, cursors, adapters, parked rows; never answers a request."""
