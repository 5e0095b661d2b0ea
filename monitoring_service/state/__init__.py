"""What the monitor knows after a check: conditions, verdicts, history; no file and no Prometheus."""
