"""Comparison of model families: cross-validation, balancing, hyperparameter search, explanation."""
