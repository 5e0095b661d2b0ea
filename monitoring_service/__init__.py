"""Monitoring: takes every prediction and label, watches drift and performance, and shows them."""
