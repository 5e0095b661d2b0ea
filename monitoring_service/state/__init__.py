"""The monitor's state after a check: conditions, verdicts, history; no file and no Prometheus."""
