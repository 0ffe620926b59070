"""What the hosts of a fleet are doing now: asked of them, put beside the inventory, shown in rows."""
