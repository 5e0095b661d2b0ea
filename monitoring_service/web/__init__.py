"""The HTTP routes, the live page and its files: parse, call one method, render; no SQL and no thread."""
