"""Drift scenarios and the records they change: values in, values out."""
