"""Sources of records to send again; never sends them."""
