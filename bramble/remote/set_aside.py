"""Disable other people's files: rename each to a name that nothing reads."""

import os
import sys

from bramble.remote import atomic

ASIDE = ".set-aside"


def free_name(path):
    """Return the first free name for a file that is set aside."""
    number, name = 1, f"{path}{ASIDE}"
    while os.path.lexists(name):
        number += 1
        name = f"{path}{ASIDE}-{number}"
    return name


def set_aside(path):
    """Rename a file durably."""
    name = free_name(path)
    atomic.rename(path, name)
    print(f"{path} is {name} from now on")


def main(query):
    """Rename every path of `query` that still exists."""
    for path in query["paths"]:
        try:
            if os.path.lexists(path):
                set_aside(path)
        except OSError as error:
            print(f"{path} could not be set aside: {error.strerror}", file=sys.stderr)
            return 1
    return 0
