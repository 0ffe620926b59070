"""What is in the way of a deploy, on this computer and between it and a host, with what mends it."""
