"""Evidently's reports and the folder that keeps them; decides nothing."""
