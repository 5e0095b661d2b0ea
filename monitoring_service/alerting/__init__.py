"""Alerts: their life, notifications and the retraining they ask for; never decides whether a condition holds."""
