"""Decoding of what strangers send: what is too deep, too wide or too large is refused before all of it is made."""
