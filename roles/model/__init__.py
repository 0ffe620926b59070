"""model: one GGUF file, whole and verified, that the server serves."""
