"""Answers predictions over HTTP, keeps each in a local journal and relays it to the sinks."""
