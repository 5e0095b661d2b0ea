"""Who becomes champion: the gate, the decision and its record, promotion and rollback."""
