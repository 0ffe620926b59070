"""What Debian 12 itself reads in an fstab: systemd-fstab-generator for a boot, findmnt for mount(8)."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

GENERATOR = Path("/usr/lib/systemd/system-generators/systemd-fstab-generator")
_BY = re.compile(r"^/dev/disk/by-(uuid|label|partuuid|partlabel)/([^/]*)$")


@dataclass(frozen=True)
class Read:
    """One file system as it was read, in the words of fstab."""

    source: str
    target: str
    fstype: str
    options: str


def booted(text: str) -> dict[str, Read]:
    """The mount units that systemd makes of a table, by their folders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, units = folder / "fstab", folder / "units"
        table.write_text(text, newline="")
        units.mkdir()
        environment = {"SYSTEMD_FSTAB": str(table), "SYSTEMD_LOG_LEVEL": "emerg"}
        subprocess.run([GENERATOR, units, units, units], env=environment, check=False, timeout=60)
        found = [_unit(path.read_text()) for path in units.glob("*.mount")]
    return {one.target: one for one in found}


def _unit(text: str) -> Read:
    fields = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
    plain = {name: value.replace("%%", "%") for name, value in fields.items()}
    return Read(
        _tagged(plain["What"]), plain["Where"], plain.get("Type", "auto"), plain.get("Options", "")
    )


def _tagged(what: str) -> str:
    """The tag that systemd made a path of."""
    found = _BY.match(what)
    if not found:
        return what
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), found[2].encode())
    return f"{found[1].upper()}={raw.decode()}"


def mounted(text: str) -> list[Read]:
    """The file systems that libmount reads in a table, in its order."""
    with tempfile.TemporaryDirectory() as name:
        table = Path(name, "fstab")
        table.write_text(text, newline="")
        argv = ["findmnt", "--tab-file", str(table), "-P", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    rows = [
        dict(word.split("=", 1) for word in shlex.split(row)) for row in done.stdout.splitlines()
    ]
    return [
        Read(*(_bytes(row[name]) for name in ("SOURCE", "TARGET", "FSTYPE", "OPTIONS")))
        for row in rows
    ]


def _bytes(word: str) -> str:
    """A value without the escapes of findmnt's pairs."""
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), word.encode())
    return raw.decode()
