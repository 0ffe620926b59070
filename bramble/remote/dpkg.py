"""What dpkg has installed: by name, by name and architecture, and what packages provide."""

import functools
import subprocess

FORM = "${db:Status-Abbrev}\\t${Package}\\t${Architecture}\\t${Version}\\t${Provides}\\n"


@functools.cache
def packages():
    """Return each installed package as (name, architecture, version, what it provides).

    Of the letters of its status the second counts: the first is only what is desired, such as "hold".
    "t" is a working package whose triggers have still to run, and a third letter says that it must be
    reinstalled.
    """
    rows = [line.split("\t") for line in said("dpkg-query", "-W", "-f", FORM).splitlines()]
    return [row[1:] for row in rows if len(row) == 5 and row[0][1:].strip() in ("i", "t")]


def said(*argv):
    """Return a command's output; raise where it fails or is missing."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


@functools.cache
def architecture():
    """Return the node's own architecture, as Debian names it."""
    return said("dpkg", "--print-architecture").strip()


def installed(names):
    """Return the version of each package; None where it is not installed.

    NAME is the package of the node's own architecture, NAME:ARCHITECTURE that of any.
    """
    native, found = architecture(), {}
    for name, own, version, _ in packages():
        found[f"{name}:{own}"] = version
        if own in (native, "all"):
            found[name] = found[f"{name}:{native}"] = version
    return {name: found.get(name) for name in names}


def provided(names):
    """Return those of the names that installed packages provide, each with one that does."""
    found: dict[str, str] = {}
    for name, _, _, provides in packages():
        for word in provides.split(","):
            found.setdefault(word.partition("(")[0].strip(), name)
    return {name: found[name] for name in names if name in found}
