"""Refuse a node with a sentence: what was found and what to do. Nothing is changed."""

import sys


def main(query):
    """Say why, and fail."""
    print(query["why"], file=sys.stderr)
    return 1
