"""Remove old releases of llama.cpp; what is linked, known to be good or running always stays.

A release loses its manifest first, so that a power cut leaves none that looks complete. A rename would
do as well, except on overlay file systems, which cannot rename folders of their lower layer.
"""

import glob
import json
import os
import shutil

from bramble.remote import atomic, engine_home, progress


def needed(home):
    """Return the releases that must stay: linked, known to be good, or run by any process."""
    found = set()
    for name in (engine_home.CURRENT, engine_home.PREVIOUS):
        if os.path.islink(f"{home}/{name}"):
            found.add(os.path.basename(os.readlink(f"{home}/{name}")))
    found.add(good(f"{home}/{engine_home.GOOD}"))
    folder = f"{os.path.realpath(home)}/{engine_home.RELEASES}/"
    for link in glob.glob("/proc/[0-9]*/exe"):
        try:
            program = os.readlink(link)
        except OSError:  # its process has gone, or is the kernel's
            continue
        if program.startswith(folder):
            found.add(program.removeprefix(folder).split("/")[0])
    return found


def good(path):
    """Return the release that is known to be good; None where nothing says so."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)["release"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def remove(release):
    """Remove a release, its manifest first: without one it is incomplete."""
    atomic.remove(f"{release}/{engine_home.MANIFEST}")
    shutil.rmtree(release)


def main(query):
    """Remove the releases of `query` that nothing needs, and incomplete ones."""
    stays = needed(query["home"])
    for release in sorted(glob.glob(f"{query['home']}/{engine_home.RELEASES}/*")):
        name = os.path.basename(release)
        rest = not os.path.exists(f"{release}/{engine_home.MANIFEST}")
        if name not in query["releases"] and not rest:
            continue
        if name in stays:
            progress.say(f"kept {name}: it is in use")
            continue
        remove(release)
        progress.say(f"removed {name}")
    return 0
