"""The first boot of a freshly flashed card: what is on it, and the files that the system reads there."""
