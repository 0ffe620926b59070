"""What storage proves."""
