"""The inventory: a folder of YAML files in layers, validated as a whole before any connection."""
