"""Promotion: the gate, the decision and its record, champion and rollback."""
