"""Who asked how much of which model, as the journals of gateways and nodes have it."""
