"""Decoding of JSON that strangers send: what is too deep or too wide is refused before a decoder sees it."""
