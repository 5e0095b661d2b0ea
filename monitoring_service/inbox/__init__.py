"""The SQLite file that keeps every event, total and check; decides nothing."""
