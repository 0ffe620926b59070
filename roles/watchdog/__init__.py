"""watchdog: the board's hardware resets a node that hangs. Last, so that it cannot cut a deploy."""
