"""Dashboards as code: ``python -m grafana.generate`` writes grafana/dashboards, which Grafana reads at its start."""
