"""bramble as a person installs it: a wheel in an environment of its own, which knows no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "bramble", "roles", "templates", "deploys")
PARTS += ("docs", "inventory", "inventory.py", "models")
COMMAND = '#!/bin/sh\nexec "{python}" -m pyinfra "$@"\n'


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and the packages of this one but its bramble."""

    wheel: Path
    place: Path

    @property
    def python(self):
        return self.place / "bin" / "python"

    @property
    def package(self):
        """Where bramble is imported from."""
        return next(self.place.glob("lib/python*/site-packages/bramble"))

    def run(self, command, *words, cwd, **more):
        """A command of the environment, in a folder, with its outputs as text."""
        hidden = ("PYTHONPATH", "BRAMBLE_INVENTORY", "BRAMBLE_REPORT")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return subprocess.run(
            [str(self.place / "bin" / command), *map(str, words)],
            cwd=cwd,
            env={**kept, "PATH": f"{self.place}/bin:{kept['PATH']}", **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )


def names(wheel):
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def build(folder):
    """Build the wheel from a copy, as setuptools leaves a folder beside what it builds."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in PARTS:
        part, ignored = ROOT / name, shutil.ignore_patterns("__pycache__")
        if part.is_dir():
            shutil.copytree(part, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(part, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(folder):
    """Install the wheel into a fresh environment; its dependencies are those of this one."""
    wheel = build(folder / "built")
    place = folder / "environment"
    venv.create(place, symlinks=True)
    made = Installed(wheel, place)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", made.python]
    subprocess.run([*pip, "install", "-q", "--no-deps", wheel], check=True)
    # What a .pth file names is looked into, but its own .pth files are not read: no editable bramble.
    there = sysconfig.get_paths()["purelib"]
    (made.package.parent / "dependencies.pth").write_text(f"{there}\n")
    command = place / "bin" / "pyinfra"
    command.write_text(COMMAND.format(python=made.python))
    command.chmod(0o755)
    return made
