"""Rows as arrays: columns, buffer, sliding window, segments, delays; knows no event and no file."""
