"""Predictions over HTTP: gateway, handlers, form, status; never touches a sink."""
