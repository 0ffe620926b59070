"""Remove old releases of llama.cpp; what is linked, was good or runs stays whatever was asked.

A release goes aside by a rename before it is removed, so that one which is there is whole.
"""

import glob
import json
import os
import shutil


def say(text):
    """A line for people."""
    print(f":: {text}", flush=True)


def needed(home):
    """The releases that must stay: linked, known to be good, or run by any process."""
    found = set()
    for name in ("current", "previous"):
        if os.path.islink(f"{home}/{name}"):
            found.add(os.path.basename(os.readlink(f"{home}/{name}")))
    found.add(good(f"{home}/good.json"))
    folder = f"{os.path.realpath(home)}/releases/"
    for link in glob.glob("/proc/[0-9]*/exe"):
        try:
            program = os.readlink(link)
        except OSError:  # its process has gone, or is the kernel's
            continue
        if program.startswith(folder):
            found.add(program.removeprefix(folder).split("/")[0])
    return found


def good(path):
    """The release that is known to be good, None where nothing says it."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)["release"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def remove(folder, name):
    """Take a release away so that a power cut leaves all of it or nothing of its name."""
    aside = f"{folder}/.{name}.removed"
    os.rename(f"{folder}/{name}", aside)
    shutil.rmtree(aside)


def main(query):
    """Remove the releases of `query` that nothing needs."""
    stays = needed(query["home"])
    folder = f"{query['home']}/releases"
    for rest in glob.glob(f"{folder}/.*.removed"):
        shutil.rmtree(rest)
    for name in query["releases"]:
        if name in stays:
            say(f"kept {name}: it is in use")
        elif os.path.isdir(f"{folder}/{name}"):
            remove(folder, name)
            say(f"removed {name}")
    return 0
