"""The data quality gate: expectations of rows before anything is fitted to them."""
