"""storage: a USB or NVMe disk that is found by its own name, mounted without access times."""
