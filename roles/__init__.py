"""What a node gains: one folder a role."""
