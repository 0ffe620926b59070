"""What a node gains, one folder a role, in the order in which a node gains it."""

ROLES = (
    "base",
    "storage",
    "memory",
    "power",
    "boot",
    "engine",
    "model",
    "serving",
    "watchdog",
)
