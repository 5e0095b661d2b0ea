"""Registered versions by hand: listed, promoted, rolled back; fits nothing."""
