"""Builds releases on this computer, natively or cross-compiled, into the store."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bramble import computer
from bramble.board import Board
from bramble.llama import store
from bramble.remote import program
from bramble.system.debian import BOOKWORM
from bramble.system.parse import cpuinfo

# CMake needs the processor's name besides the compilers', as it selects Arm's sources by it. It finds
# programs on this computer, and all that is linked in the target's folders.
_TOOLCHAIN = """\
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
"""
TOOLCHAIN = {"prefix": "aarch64-linux-gnu-", "text": _TOOLCHAIN}
_MACHINES = {"aarch64": "arm64", "x86_64": "amd64"}


class BuilderError(Exception):
    """A build that this computer cannot make; the text says what to do."""


def board_for(
    soc: str, part: str | None, cores: int, memory_mib: int, codename: str = BOOKWORM.codename
) -> Board:
    """Return a board of this processor and release of Debian, as far as the engine's plan needs it.

    An Arm part number stands for all boards that have it. x86-64 is described by its features, which
    are this computer's: a node with other features gets another release. Raise BuilderError for a
    processor that this computer cannot build for.
    """
    arm = part is not None or soc.startswith("arm64")
    said = None if arm else computer.processor()
    if not arm and (soc != "x86-64" or platform.machine() != "x86_64" or said is None):
        raise BuilderError(f"{soc} is no processor that {computer.name()} builds for")
    features = cpuinfo(said).features if said else frozenset()
    return Board(
        model=soc,
        kind="other",
        architecture="arm64" if arm else "amd64",
        codename=codename,
        cpu_part=part,
        cpu_features=features,
        cores=cores,
        memory_mib=memory_mib,
        page_size=4096,
    )


def build(
    query: Mapping[str, Any],
    architecture: str,
    sources: Mapping[str, Path],
    say: Callable[[str], None],
) -> store.StoredRelease:
    """Run the nodes' own build program here, one build at a time, and add the result to the store.

    `sources` are the files of this computer by the paths that the query has for them.
    """
    crossed = _MACHINES.get(platform.machine()) != architecture
    _require(crossed)
    home = store.folder()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have built it while this one waited.
        found = store.find(query["manifest"]["release"])
        return found or _build(query, crossed, sources, say)


def _build(
    query: Mapping[str, Any],
    crossed: bool,
    sources: Mapping[str, Path],
    say: Callable[[str], None],
) -> store.StoredRelease:
    home = store.folder()
    work = home / "work"
    work.mkdir(exist_ok=True)
    unpacked = home / "unpacked" / query["manifest"]["release"]
    # The program removes what it was sent, so it gets copies.
    copies = {path: work / Path(path).name for path in sources}
    for path, file in sources.items():
        shutil.copyfile(file, copies[path])
    whole = {
        **query,
        **{name: _here(query[name], copies) for name in ("source", "kleidiai") if query.get(name)},
        "parent": os.getpid(),
        "work": str(work),
        "ccache": str(home / "ccache"),
        "release": str(unpacked),
        "toolchain": TOOLCHAIN if crossed else None,
        "emulator": _emulator(query["manifest"]["soc"]) if crossed else None,
    }
    try:
        _run(program("build_engine", whole), home / "build.log", say)
        return store.add(unpacked)
    finally:
        for copy in copies.values():
            copy.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)


def _here(part: Mapping[str, Any], copies: Mapping[str, Path]) -> dict[str, Any]:
    """Return a source whose archive lies on this computer instead of on a node."""
    copy = copies.get(part.get("upload", ""))
    return {**part, **({"upload": str(copy)} if copy else {})}


def _emulator(soc: str) -> list[str] | None:
    """Return the command prefix that runs a cross-compiled program here; None without QEMU."""
    names = ("qemu-aarch64-static", "qemu-aarch64")
    found = next((path for name in names if (path := shutil.which(name))), None)
    cpu = soc if soc.startswith("cortex-") else "max"
    return [found, "-cpu", cpu, "-L", "/usr/aarch64-linux-gnu"] if found else None


def _require(crossed: bool) -> None:
    """Raise BuilderError where this computer lacks a program that a build calls."""
    if not computer.is_linux():
        raise BuilderError(
            f"nodes' llama.cpp is compiled on Linux, this is {computer.name()}: leave engine.recipe at "
            "native, so that nodes compile it, or build on a Linux computer (WSL is one)"
        )
    packages = {"cmake": "cmake", "ninja": "ninja-build", "ccache": "ccache"}
    if crossed:
        packages["aarch64-linux-gnu-g++"] = "g++-aarch64-linux-gnu"
    else:
        packages["g++"] = "g++"
    missing = [package for name, package in packages.items() if not shutil.which(name)]
    if missing:
        raise BuilderError(
            f"this computer lacks {', '.join(missing)}: sudo apt install {' '.join(missing)}"
        )


def _run(text: str, log: Path, say: Callable[[str], None]) -> None:
    """Run the program niced; its progress goes to `say`, and all of its output to the log."""
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            ["nice", "-n", "19", sys.executable, "-Iu", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text)
        process.stdin.close()
        words, percent = "", 0
        for line in process.stdout:
            file.write(line)
            counter = re.match(r"\[(\d+)/(\d+)\]", line)
            if line.startswith(":: "):
                words = line.removeprefix(":: ").rstrip()
                say(words)
            elif counter and 100 * int(counter[1]) // int(counter[2]) >= percent + 10:
                percent = 100 * int(counter[1]) // int(counter[2])
                say(f"{percent:3d} %")
    if process.returncode:
        how = f"; the build {computer.ended(process.returncode)}" if process.returncode < 0 else ""
        raise BuilderError(f"{words or 'the build stopped'}{how} (the whole log: {log})")
