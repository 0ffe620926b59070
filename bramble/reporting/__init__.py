"""Reports of checks: one module for each format, which takes typed results and returns a text."""
