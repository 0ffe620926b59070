"""Models by name and by file: catalogue, lock and hub, and what a GGUF file says of its model."""
