"""YAML documents with the line of each value, and what is wrong with them."""
