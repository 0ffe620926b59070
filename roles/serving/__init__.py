"""serving: llama-server as a hardened systemd service that answers on its planned port."""
