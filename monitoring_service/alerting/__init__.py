"""Alerts: lifecycle, notifications and the retraining they ask for; never decides whether a condition holds."""
