"""llama.cpp's source for virtual Pis, which cannot reach GitHub: a package that PyPI has.

The source package of llama-cpp-python carries llama.cpp as a clean checkout of an upstream commit
(`git status` in it shows nothing), so its pinned hash pins that commit's files.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from bramble.virtual.errors import VirtualPiError
from bramble.virtual.paths import cache_dir

PACKAGE = "llama-cpp-python==0.3.36"
FILE = "llama_cpp_python-0.3.36.tar.gz"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"


def archive() -> Path:
    """Return where the archive is once it has been fetched; the example inventory names this path."""
    return cache_dir() / "sources" / FILE


def fetch(on_progress: Callable[[str], None]) -> None:
    """Fetch the archive through this machine's pip, unless it is there with the right hash."""
    path = archive()
    if path.exists() and _sha256(path) == SHA256:
        return
    on_progress("fetching llama.cpp's source (77 MB, once)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        _download(Path(folder))
        Path(folder, FILE).replace(path)


def _download(folder: Path) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
    pip = [_python(folder), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    only = ["--no-deps", "--no-binary", "llama-cpp-python"]
    done = subprocess.run(
        [*pip, *only, "--dest", str(folder), "--require-hashes", "-r", str(wanted)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise VirtualPiError(
            f"pip could not fetch {PACKAGE}: {done.stderr.strip().splitlines()[-1]}. "
            "Check `pip config list`, or put the file there by hand: " + str(archive())
        )


def _python(folder: Path) -> str:
    """Return a Python that has pip: this one, or one made for it, as uv installs tools without pip."""
    if find_spec("pip"):
        return sys.executable
    try:
        venv.create(folder / "pip", with_pip=True)
    except subprocess.CalledProcessError as error:
        raise VirtualPiError(
            f"{sys.executable} has no pip, and makes no environment with one ({error}): "
            f"apt-get install -y python3-venv, or put the file there by hand: {archive()}"
        ) from error
    return str(folder / "pip" / "bin" / "python")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
