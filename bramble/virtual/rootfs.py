"""How the root file systems of virtual Pis are made: by mmdebstrap, once, kept by content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bramble import computer
from bramble.virtual import paths, releases
from bramble.virtual.apt import AptHost, deb822_text, one_line_text
from bramble.virtual.backend import Progress
from bramble.virtual.errors import VirtualPiError

FLAGS = (
    "--variant=minbase",
    "--mode=root",
    "--format=directory",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale", "info")),
    "--dpkgopt=force-unsafe-io",
    # With the lists in place a fresh node can install before its first apt-get update.
    "--skip=cleanup/apt/lists",
)
"""The options of mmdebstrap."""

REPORT_EVERY_S = 30
_MAKING_BYTES = 2 << 30
_TMPFS = Path("/dev/shm")


def cache_key(apt: AptHost, release: str, recipe: Path = releases.SHARED) -> str:
    """Name a root file system by all that goes into it: recipes, flags, sources, rules."""
    digest = hashlib.sha256()
    for folder in (recipe, *releases.more(release)):
        add_files(digest, folder)
    _, sources = source_file(apt, release)
    for line in (*FLAGS, sources, apt_rules(apt)):
        digest.update(f"{line}\0".encode())
    return digest.hexdigest()[:16]


def add_files(digest: hashlib._Hash, folder: Path) -> None:
    """Add every file below a folder to a digest, by path and content."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode())
            digest.update(content)


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache; make it first if it is not there, under a lock."""
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not target.is_dir():
            partial = target.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            make(partial)
            partial.rename(target)
    return target


def work_parent() -> Path:
    """Return a tmpfs if it has space (dpkg's fsyncs are the slow part on a disk), else the cache."""
    if _TMPFS.is_dir() and shutil.disk_usage(_TMPFS).free > _MAKING_BYTES:
        return _TMPFS
    return paths.cache_dir() / "rootfs"


def command(
    apt: AptHost,
    release: str,
    fresh: Path,
    *,
    architecture: Sequence[str] = (),
    include: Sequence[str] = (),
    recipe: Path = releases.SHARED,
) -> list[str]:
    """Return the mmdebstrap call, through the host's proxy if it has one.

    `recipe` is in the place of the shared one; what a release has besides follows it.
    """
    options = [f'{name} "{value}"' for name, value in apt.options]
    if apt.http_proxy:
        options.append(f'Acquire::http::Proxy "{apt.http_proxy}"')
    if apt.https_proxy:
        options.append(f'Acquire::https::Proxy "{apt.https_proxy}"')
    return [
        # What it mounts in the tree goes with it, even when it is killed.
        *("unshare", "--mount", "--propagation", "slave"),
        "mmdebstrap",
        *FLAGS,
        *architecture,
        f"--include={','.join(include or releases.packages(release))}",
        *(f"--aptopt={option}" for option in options),
        *(
            f'--customize-hook=sh {shlex.quote(str(script))} "$1"'
            for script in scripts(release, recipe)
        ),
        release,
        str(fresh),
        *(source.line for source in apt.sources(release)),
    ]


def scripts(release: str, recipe: Path) -> Iterator[Path]:
    """Yield the scripts that turn Debian's tree into a node's, in turn."""
    own = releases.more(release)
    yield from (folder / "prepare.sh" for folder in own)
    yield from (folder / "customize.sh" for folder in (recipe, *own))


def run_mmdebstrap(argv: list[str], work: str, on_progress: Progress) -> None:
    """Run mmdebstrap and report its stages; raise VirtualPiError with its last lines if it fails."""
    tail: list[str] = []
    stage = "mmdebstrap begins"
    env = {**os.environ, "TMPDIR": work, "LC_ALL": "C.UTF-8"}
    with (
        subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env
        ) as process,
        _report_every(REPORT_EVERY_S, lambda: stage, on_progress),
    ):
        for line in process.stderr or ():
            tail = [*tail[-14:], line.rstrip()]
            if line.startswith(("I: ", "W: ", "E: ")):
                stage = line.rstrip()
                on_progress(stage)
    if process.returncode:
        shown = "\n".join(tail)
        raise VirtualPiError(
            f"mmdebstrap, which {computer.ended(process.returncode)}, could not make the root file "
            f"system; its last lines:\n{shown}\nIs the Debian mirror of this machine reachable? "
            "Try 'apt-get update' here first"
        )


@contextmanager
def _report_every(
    period_s: float, stage: Callable[[], str], on_progress: Progress
) -> Iterator[None]:
    """Report every so often which stage runs and for how long already, until the block ends."""
    over, began = threading.Event(), time.monotonic()

    def report() -> None:
        while not over.wait(period_s):
            on_progress(f"{stage()} ({time.monotonic() - began:.0f} s since the start)")

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()


def source_file(apt: AptHost, release: str) -> tuple[str, str]:
    """Return the file below /etc/apt that names the sources, and its text, as Pi OS has them."""
    sources = apt.sources(release)
    if release == "bookworm":
        return "sources.list", one_line_text(sources)
    return "sources.list.d/debian.sources", deb822_text(sources)


def apt_rules(apt: AptHost) -> str:
    """Return the host's clock rules, and no translated descriptions, which are 6 MB for each node."""
    rules = [("Acquire::Languages", "none"), *apt.options]
    return "".join(f'{name} "{value}";\n' for name, value in rules)


def write_apt_settings(apt: AptHost, release: str, fresh: Path) -> None:
    (fresh / "etc/apt/sources.list").write_text("")
    name, text = source_file(apt, release)
    (fresh / "etc/apt" / name).write_text(text)
    (fresh / "etc/apt/apt.conf.d/01host").write_text(apt_rules(apt))
