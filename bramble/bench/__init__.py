"""Benchmarks of nodes: stored results, and what they mean."""
