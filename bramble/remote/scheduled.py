"""Find lines of cron, and timers that no package brought, which name what is ours.

The lines of scripts that they run count too. This judges and changes nothing; what is searched for
comes with the query, so that no other line of anybody's leaves the node.
"""

import glob
import os
import re

from bramble.remote import swap_makers

CRON = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*")
SCRIPTS = ("/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*")
# Packages bring theirs below /usr/lib.
TIMERS = ("/etc/systemd/system", "/run/systemd/transient", "/usr/local/lib/systemd/system")
MOST_CHARACTERS = 300


def naming(line, words):
    """Return the first of the words that is in a line; None where none is."""
    return next((word for word in words if word in line), None)


def in_script(line, words):
    """Return the line, of a script that a command line runs, which names one of the words."""
    # A pipe or a terminal would be waited for.
    for path in filter(os.path.isfile, re.findall(r"/[\w./@:+-]+", line)):
        try:
            with open(path, "rb") as file:
                is_script = file.read(2) == b"#!"
        except OSError:
            continue
        for found in swap_makers.read(path) if is_script else ():
            if naming(found, words):
                return found
    return None


def told(kind, path, line, words):
    """Return a line that names one of the words, itself or by its script, as a row; else none."""
    found = line if naming(line, words) else in_script(line, words)
    return [{"kind": kind, "path": path, "line": found[:MOST_CHARACTERS]}] if found else []


def of_cron(words):
    """Return what of cron's tables and folders names one of the words."""
    found = []
    for pattern in CRON:
        for path in sorted(glob.glob(pattern)):
            for line in swap_makers.read(path):
                found += told("cron", path, line, words)
    for pattern in SCRIPTS:
        for path in sorted(glob.glob(pattern)):
            for line in filter(lambda line: naming(line, words), swap_makers.read(path)):
                found.append({"kind": "cron", "path": path, "line": line[:MOST_CHARACTERS]})
                break
    return found


def of_timers(words):
    """Return the timers whose commands name one of the words, or that start a unit of these names."""
    found = []
    units = swap_makers.listed()
    for folder in TIMERS:
        for path in sorted(glob.glob(f"{folder}/*.timer")):
            # What is masked, and another name of a package's own.
            if not os.path.islink(path):
                found += of_timer(path, units, words)
    return found


def of_timer(path, units, words):
    """Return what of one timer names one of the words; at most one row."""
    name = os.path.basename(path)
    lines = swap_makers.lines_of(name, path, units)
    given = [line.split("=", 1)[1].strip() for line in lines if re.match(r"Unit\s*=", line)]
    started = given[-1] if given else f"{name.removesuffix('.timer')}.service"
    beside = f"{os.path.dirname(path)}/{started}"
    service = beside if os.path.isfile(beside) else swap_makers.fragment(started, units)
    if service:
        lines += swap_makers.lines_of(started, service, units)
    for line in (f"Unit={started}", *lines):
        if re.match(r"(Unit|Exec\w+)\s*=", line) and (row := told("timer", path, line, words)):
            return row
    return []


def look(words):
    """Return each line of cron and each timer that names one of the words."""
    return [*of_cron(words), *of_timers(words)] if words else []
