"""The data quality gate: what rows must be like before anything is fitted to them."""
