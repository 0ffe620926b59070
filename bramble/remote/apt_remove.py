"""Remove a Debian package, without its configuration, which a person may have edited."""

import sys

from bramble.remote import apt


def main(query):
    """Remove `packages`, once no other apt runs."""
    code, said = apt.run("remove", *query["packages"])
    if code:
        names = " ".join(query["packages"])
        print(f"apt could not remove {names}: {apt.cause(said)}", file=sys.stderr)
    return code
