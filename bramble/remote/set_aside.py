"""Set somebody else's files aside: each stays where it lies, under a name that is not read."""

import os
import sys

from bramble.remote import atomic

ASIDE = ".set-aside"


def free_name(path):
    """The first name for what is set aside that nothing has yet."""
    number, name = 1, f"{path}{ASIDE}"
    while os.path.lexists(name):
        number += 1
        name = f"{path}{ASIDE}-{number}"
    return name


def set_aside(path):
    """Give a file its other name, so that it lasts over a power cut."""
    name = free_name(path)
    atomic.rename(path, name)
    print(f"{path} is {name} from now on")


def main(query):
    """Set every path of `query` aside that is still there."""
    for path in query["paths"]:
        try:
            if os.path.lexists(path):
                set_aside(path)
        except OSError as error:
            print(f"{path} could not be set aside: {error.strerror}", file=sys.stderr)
            return 1
    return 0
