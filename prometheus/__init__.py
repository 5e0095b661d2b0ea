"""What Prometheus and Alertmanager are told: scrape targets, rules and routes."""
