"""Families of models compared: by cross-validation, with and without balancing, searched, explained."""
