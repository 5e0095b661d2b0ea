"""Puts this folder on the import path, so that tests of every kind can share the made worlds beside this file."""
