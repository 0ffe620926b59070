"""What a Prometheus server and a Grafana need of a fleet: targets, alert rules, a dashboard."""
