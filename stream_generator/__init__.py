"""Drives the services from outside: paced streams with injected drift, delayed labels, and replays."""
