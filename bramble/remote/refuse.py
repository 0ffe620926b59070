"""Refuse a node with a sentence: what was found and what to do. This changes nothing."""

import sys


def main(query):
    """Print why, and fail."""
    print(query["why"], file=sys.stderr)
    return 1
