"""Monitoring: takes every prediction and label, watches drift and quality, and shows them."""
