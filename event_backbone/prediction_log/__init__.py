"""Kept predictions and labels as a log to read, chosen by URL; never writes to one."""
