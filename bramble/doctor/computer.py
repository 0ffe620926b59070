"""Look at this computer: Python, packages, ssh, and room for what bramble keeps here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import bramble
from bramble import computer
from bramble.doctor.finding import HERE, Finding, ok, unknown, wrong
from bramble.llama import store
from bramble.models import cache

OLDEST, NEWEST = (3, 11), (3, 14)
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<bounds>[^;]*)")
_BOUND = re.compile(r"(?P<sign>>=|<)(?P<version>[0-9.]+)")
_LOOK_S = 10
_INSTALL = "`pipx install --include-deps --force .` in bramble's folder (docs/how-to/install.md)"


def findings() -> Iterator[Finding]:
    """Yield how each of them is."""
    yield ok(HERE, "system", computer.name())
    yield _python(sys.version_info[:2])
    yield _packages()
    yield _ssh()
    for what, folder, remedy in (
        (
            "room for releases",
            store.folder(),
            f"`bramble engine prune`, or {store.VARIABLE}=DIR on another disk",
        ),
        (
            "room for models",
            cache.folder(),
            f"remove models from there, or {cache.VARIABLE}=DIR on another disk",
        ),
    ):
        yield _room(what, folder, remedy)


def _python(version: tuple[int, int]) -> Finding:
    """Compare Python's version with those that bramble is tested with."""
    said, allowed = (
        f"{version[0]}.{version[1]}",
        f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}",
    )
    if OLDEST <= version <= NEWEST:
        return ok(HERE, "Python", said)
    other = f"python{NEWEST[0]}.{NEWEST[1]}"
    remedy = f"install bramble with another one: `pipx install --python {other} --force .`"
    return wrong(HERE, "Python", f"{said}, and bramble is tested with {allowed}", remedy)


def _packages() -> Finding:
    """Compare the installed packages with what bramble asks for."""
    what = "packages"
    try:
        asked = [one for one in metadata.requires("bramble") or () if "extra ==" not in one]
    except metadata.PackageNotFoundError:
        return unknown(
            HERE, what, f"bramble {bramble.__version__} is not installed as a package", _INSTALL
        )
    if lacking := [said for one in asked if (said := _lacking(one))]:
        return wrong(HERE, what, "; ".join(lacking), _INSTALL)
    return ok(HERE, what, f"bramble {bramble.__version__}, pyinfra {metadata.version('pyinfra')}")


def _lacking(requirement: str) -> str | None:
    """Say how a requirement is not met; None where it is."""
    found = _REQUIREMENT.match(requirement)
    assert found is not None
    try:
        installed = metadata.version(found["name"])
    except metadata.PackageNotFoundError:
        return f"{found['name']} is missing"
    for sign, version in _BOUND.findall(found["bounds"]):
        if (_numbers(installed) < _numbers(version)) == (sign == ">="):
            return f"{found['name']} {installed} is not {sign}{version}"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _ssh() -> Finding:
    """Look for the programs of OpenSSH, which remedies and `bramble virtual ssh` name."""
    remedy = "`sudo apt-get install openssh-client`, or your system's package of OpenSSH"
    if lacking := [name for name in ("ssh", "ssh-keygen", "ssh-add") if not shutil.which(name)]:
        return wrong(HERE, "ssh", f"there is no {', '.join(lacking)}", remedy)
    try:
        done = subprocess.run(["ssh", "-V"], capture_output=True, text=True, timeout=_LOOK_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return unknown(HERE, "ssh", f"`ssh -V` did not run: {type(error).__name__}", remedy)
    return ok(HERE, "ssh", (done.stderr or done.stdout).strip().partition(",")[0])


def _room(what: str, folder: Path, remedy: str) -> Finding:
    """Look for room for one release, at the folder or where it would be made."""
    place = next((each for each in (folder, *folder.parents) if each.is_dir()), Path("/"))
    free = shutil.disk_usage(place).free
    said = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free >= store.MOST_BYTES:
        return ok(HERE, what, said)
    return wrong(HERE, what, f"{said}, and a release may take {store.MOST_BYTES >> 30} GiB", remedy)
