"""gateway: one address for the models of a fleet, which counts the slots of its nodes."""
