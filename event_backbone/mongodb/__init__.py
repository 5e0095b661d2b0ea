"""Everything about MongoDB: access, documents, sink and log; no other room imports its driver."""
