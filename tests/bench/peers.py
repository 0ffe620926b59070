"""The llama-bench programs that are compared: ours, one without any instruction set named, Debian's."""

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from clones import BRAMBLE, BenchError, say
from meter import run

from bramble.llama import processor, store
from bramble.llama.builder import board_for
from bramble.system.parse import cpuinfo
from bramble.virtual import paths, source
from bramble.virtual.apt import read_host

BUILD_S, DEBIAN_S, RUN_S = 4 * 3600, 1800, 900
SHIPPED = Path(__file__).parents[2] / "inventory" / "groups" / "virtual.yml"
AMX = "usr/lib/x86_64-linux-gnu/ggml/backends0/libggml-cpu-sapphirerapids.so"
PACKAGES = "llama.cpp-tools,llama.cpp-tools-extra"
# What is held against what.
PAIRS = (("ours", "debian"), ("ours, no AMX", "debian, no AMX"), ("ours", "generic"))


@dataclass(frozen=True)
class Peer:
    """A llama-bench: how it is called, what it is in words, and where it wants a model's copy.

    A slow one is given a part of the tokens.
    """

    name: str
    argv: tuple[str, ...]
    about: str
    models: Path | None = None
    part: int = 1

    def bench(self, model: Path, threads: int, prompt: int, answer: int) -> dict[str, float]:
        """Tokens per second of one run, of the prompt and of the answer."""
        if self.models is not None:
            copy = self.models / model.name
            if not copy.exists():
                shutil.copy(model, copy)
            model = Path("/models") / model.name
        tokens = ("-p", prompt // self.part, "-n", answer // self.part)
        words = [*self.argv, "-m", model, "-t", threads, *tokens]
        done = subprocess.run(
            [*map(str, words), "-r", "1", "-o", "json"],
            capture_output=True,
            text=True,
            timeout=RUN_S,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        if done.returncode:
            raise BenchError(
                f"{self.name} ended with {done.returncode}:\n{done.stderr.strip()[-2000:]}"
            )
        entries = json.loads(done.stdout)
        return {"prompt" if entry["n_prompt"] else "answer": entry["avg_ts"] for entry in entries}


def ours(folder: Path) -> list[Peer]:
    """What a node of this processor installs, and the same without any instruction set, both built.

    Where the first has kernels for AMX, it comes a second time without them.
    """
    source.fetch(say)
    board = board_for("x86-64", None, os.cpu_count() or 1, 8192)
    off = {name: "OFF" for name, on in processor.options(board, "native").items() if on == "ON"}
    about = "the same source and compiler for any x86-64 (SSE2)"
    found = [
        _built(folder, "ours", {}, "bramble's own options: each instruction set named"),
        replace(_built(folder, "generic", off, about), part=8),
    ]
    if without := {name: "OFF" for name in off if "AMX" in name}:
        found.append(_built(folder, "ours, no AMX", without, "ours without " + ", ".join(without)))
    return found


def _built(folder: Path, name: str, options: Mapping[str, str], about: str) -> Peer:
    """A release by `bramble engine build`, kept in virtual Pis' cache or your store, unpacked here."""
    place, host = folder / name, name.replace(", ", "-").replace(" ", "-").lower()
    (place / "groups").mkdir(parents=True)
    group = SHIPPED.read_text(encoding="utf-8").replace(
        "../models/", f"{SHIPPED.parents[2]}/models/"
    )
    (place / "groups" / "virtual.yml").write_text(group, encoding="utf-8")
    settings = {"groups": ["virtual"], "ssh": {"address": "10.77.0.99"}}
    settings |= {"engine": {"variant": "plain", "options": dict(options)}}
    fleet = {"settings": {}, "hosts": {host: settings}}
    (place / "fleet.yml").write_text(yaml.safe_dump(fleet), encoding="utf-8")
    kept = os.environ.get(store.VARIABLE, str(paths.cache_dir() / "engine"))
    say(f"{name}: from the store, or built now (nine minutes of two processors)")
    done = run(
        [BRAMBLE, "engine", "build", "--soc", "x86-64", "--json"],
        BUILD_S,
        **{store.VARIABLE: kept, "BRAMBLE_INVENTORY": str(place)},
    )
    if done.code:
        raise BenchError(f"{name} could not be built:\n{done.output}")
    (entry,) = json.loads(done.output[done.output.index("{\n") :])["releases"]
    with tarfile.open(entry["path"]) as archive:
        archive.extractall(place / "release", filter="data")
    return Peer(name, (str(place / "release" / "bin" / "llama-bench"),), about)


def debian(folder: Path, suite: str) -> list[Peer]:
    """Debian's package from this computer's own mirror, unpacked into a folder that is its root.

    Where it would choose its kernels for AMX, it comes a second time without them.
    """
    root, apt = folder / "debian", read_host()
    options = [f'--aptopt={name} "{value}"' for name, value in apt.options]
    for scheme, proxy in (("http", apt.http_proxy), ("https", apt.https_proxy)):
        options += [f'--aptopt=Acquire::{scheme}::Proxy "{proxy}"'] if proxy else []
    say(f"debian: the package of {suite}")
    done = run(
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("mmdebstrap", "--variant=extract", "--mode=root", "--architectures=amd64"),
            *("--skip=check/empty", f"--include={PACKAGES}", *options, suite, root),
            f"deb {apt.sources(suite)[0].uri} {suite} main",
        ],
        DEBIAN_S,
    )
    if done.code:
        raise BenchError(f"Debian's llama.cpp could not be had from {suite}:\n{done.output}")
    for link in ("lib", "lib64"):
        if not (root / link).exists():
            (root / link).symlink_to(f"usr/{link}")
    (root / "models").mkdir()
    about = f"Debian's llama.cpp {_version(root)}, its kernels chosen at run time"
    found = [_debian("debian", root, about)]
    if "amx_int8" in cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8")).features:
        other = folder / "debian-without-amx"
        subprocess.run(["cp", "-a", root, other], check=True)  # it has device nodes
        (other / AMX).unlink()
        found.append(_debian("debian, no AMX", other, f"the same without {Path(AMX).name}"))
    return found


def _debian(name: str, root: Path, about: str) -> Peer:
    return Peer(name, ("chroot", str(root), "/usr/bin/llama-bench"), about, root / "models")


def _version(root: Path) -> str:
    """The package's version, by the first line of its changelog: `llama.cpp (1:0.7.0) unstable; ...`."""
    log = root / "usr/share/doc/llama.cpp-tools/changelog.Debian.gz"
    with gzip.open(log, "rt", encoding="utf-8") as text:
        version = text.readline().split()[1].strip("()")
    return version
