"""Two-sample tests and corrections for many of them: values in, values out; no file, clock or log."""
