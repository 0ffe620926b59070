"""Models by name: the catalogue, the lock, and the hub that resolves one into the other."""
