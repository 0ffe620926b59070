"""Point a symbolic link elsewhere, atomically."""

import os
import sys


def main(query):
    """Make `path` a link to `target` by a rename, so that it always points to one or the other."""
    path, target = query["path"], query["target"]
    folder = os.path.dirname(path)
    if not os.path.exists(os.path.join(folder, target)):
        print(f"{path} was left alone: {target} is not there", file=sys.stderr)
        return 1
    if os.path.lexists(path) and not os.path.islink(path):
        print(f"{path} is not a symbolic link; move it away and run again", file=sys.stderr)
        return 1
    temporary = f"{path}.bramble"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return 0
