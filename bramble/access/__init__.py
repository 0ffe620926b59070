"""Who may use a model from outside of its node: clients' keys, and the fleet's own authority for TLS."""
