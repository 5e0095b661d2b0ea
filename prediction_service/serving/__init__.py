"""Predictions over HTTP: gateway, handlers, micro-batching, form, status; never touches a sink."""
