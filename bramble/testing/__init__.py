"""The checks for tests of a person's own, over testinfra."""
