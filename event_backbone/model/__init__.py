"""The model bundle: its files, encoder, scorers, reference profile and registry; never opens a pickle."""
