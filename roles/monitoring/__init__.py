"""monitoring: the node watches itself, tells Prometheus what it finds, and people what changed."""
