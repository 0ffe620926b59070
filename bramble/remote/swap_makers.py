"""Find what would make zram or swap at the next boot, by what a boot runs and not by known names.

This looks at the units that a boot starts, with the scripts that they run (rc.local is one of them),
lines of cron that a boot runs, and udev rules that a person wrote. It judges and changes nothing. A
binary program is known by its name and its arguments only.
"""

import glob
import os
import re

ETC, LIB = "/etc/systemd/system", "/usr/lib/systemd/system"
# In systemd's order of precedence.
UNITS = (
    *("/run/systemd/generator.early", ETC, "/run/systemd/system", "/run/systemd/generator"),
    *("/usr/local/lib/systemd/system", LIB, "/run/systemd/generator.late"),
)
RULES = "/etc/udev/rules.d/*.rules"
CRON = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*")
STARTERS = (".timer", ".path", ".socket")
MAKES = re.compile(r"zram|\bmkswap\b|\bswapon\b")
LIMIT_BYTES = 64 * 1024


def read(path):
    """Return a small text file's lines without comments; none where there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(LIMIT_BYTES)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []
    return [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]


def listed():
    """Return the names in each folder of units."""
    return {folder: set(os.listdir(folder)) for folder in UNITS if os.path.isdir(folder)}


def started(units):
    """Return the units that a boot starts."""
    found = set()
    for folder, names in units.items():
        for name in names:
            if name.endswith((".wants", ".requires")):
                found.update(os.listdir(f"{folder}/{name}"))
    for name in list(found):
        stem, kind = os.path.splitext(name)
        if kind in STARTERS:
            found.add(f"{stem}.service")
    return sorted(found)


def fragment(name, units):
    """Return the file of a unit; None where it has none, or is masked."""
    for candidate in (name, re.sub(r"@[^.]*\.", "@.", name)):
        for folder, names in units.items():
            if candidate in names:
                target = os.path.realpath(f"{folder}/{candidate}")
                return target if os.path.isfile(target) else None
    return None


def lines_of(name, path, units):
    """Return the lines of a unit and of its drop-ins."""
    files = [path]
    for folder, names in units.items():
        if f"{name}.d" in names:
            files += sorted(glob.glob(f"{folder}/{glob.escape(name)}.d/*.conf"))
    return [line for file in files for line in read(file)]


def script_line(line):
    """Return the first script on a command line that makes swap, with the line that does."""
    for word in re.findall(r"/[\w./@:+-]+", line):
        try:
            with open(word, "rb") as file:
                is_script = file.read(2) == b"#!"
        except OSError:
            continue
        found = next(filter(MAKES.search, read(word)), None) if is_script else None
        if found:
            return word, found
    return None


def by_command(name, path, line):
    """Return what a command line makes, itself or by a script; None for nothing."""
    found = (path, line) if MAKES.search(line) else script_line(line)
    return {"name": name, "path": found[0], "line": found[1][:200]} if found else None


def by_unit(name, units):
    """Return what a unit makes that a boot starts; None for nothing."""
    path = fragment(name, units) if name.endswith((".service", ".swap")) else None
    if path is None:
        return None
    lines = lines_of(name, path, units)
    if name.endswith(".swap"):
        words = dict(line.split("=", 1) for line in lines if "=" in line)
        source = words.get("SourcePath", path)
        return {"name": name, "path": source, "line": f"What={words.get('What', '')}"}
    commands = (line for line in lines if re.match(r"Exec(Start|StartPre|StartPost)\s*=", line))
    return next(filter(None, (by_command(name, path, line) for line in commands)), None)


def look():
    """Return all that would make zram or swap at the next boot: its name, the file and its line."""
    units = listed()
    found = [by_unit(name, units) for name in started(units)]
    for pattern in CRON:
        for path in sorted(glob.glob(pattern)):
            found += [by_command(path, path, line) for line in read(path) if "@reboot" in line]
    for path in sorted(glob.glob(RULES)):
        found += [
            {"name": path, "path": path, "line": line} for line in read(path) if "zram" in line
        ]
    return [one for one in found if one]
