"""Instructions per token of the crossed builds on an emulated Cortex-A72 and Cortex-A76.

    python tests/bench/instructions.py [--types Q4_0,Q4_K,Q8_0] [--json FILE]

Counts what llama-bench executes under qemu's user mode, with ggml's repacked kernels and without
them. Instructions are no time; but their number hardly varies, so it tells which kernels were
selected: a build without dotprod, or one whose fast kernels are left aside, fails here.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import weights
from clones import BenchError, say

from bramble.llama import store
from bramble.virtual import paths, source

HERE = Path(__file__).parent
BRAMBLE = Path(sys.executable).with_name("bramble")
BUILD_S, RUN_S = 3600, 900
# The start-up of llama-bench is in both counts of a pair, so their difference is so many tokens.
FEW, MORE = 16, 48
PARTS = {"prompt": ("-p", 1), "answer": ("-n", 16)}
NAMES = {"plain": "", "kleidiai": " with KleidiAI"}
# KleidiAI's source archive for the rows with it; CONTRIBUTING.md names the same variable.
ARCHIVE = "BRAMBLE_KLEIDIAI_ARCHIVE"
NOTES = f"""\
Millions of instructions per token: of a prompt of {MORE - FEW} tokens, of an answer of
{(MORE - FEW) // 16}. One thread; models of random weights; without: llama-bench --repack 0."""

# What must hold, as shares of one count of another; in brackets what was measured.
# With a build for dotprod the A76 needs less than this share of the A72's instructions (0.13 to 0.42).
DOTPROD_AT_MOST = 0.6
# Selected kernels take less than this share of what it takes without them (0.27 to 0.65).
SELECTED_AT_MOST = 0.8
# Without such kernels the same work is done with and without leave to repack.
SAME_WITHIN = 0.01


@dataclass(frozen=True)
class Count:
    """Instructions per token of one build, type and part."""

    soc: str
    variant: str
    kind: str
    part: str
    fast: float
    without: float

    def cells(self) -> tuple[str, ...]:
        """A line of the table."""
        name = f"{self.soc}{NAMES[self.variant]}"
        share = self.fast / self.without
        counts = (f"{self.fast / 1e6:.2f}", f"{self.without / 1e6:.2f}", f"{share:.2f}")
        return (self.kind, self.part, name, *counts)


HEADINGS = ("type", "part", "processor", "selected", "without", "share")


def problems(counts: list[Count]) -> Iterator[str]:
    """What the counts say of kernels that were not selected, or selected where they cannot run."""
    known = {(c.soc, c.variant, c.kind, c.part): c for c in counts}
    for count in counts:
        name = f"{count.kind}, {count.part}, {count.soc}{NAMES[count.variant]}"
        share = count.fast / count.without
        if count.soc == "cortex-a72" and abs(share - 1) > SAME_WITHIN:
            yield f"{name}: leave to repack changes it by {share - 1:+.1%}, yet no kernel can run"
        if count.soc == "cortex-a76":
            if share > SELECTED_AT_MOST:
                yield f"{name}: {share:.2f} of what it takes without the fast kernels; not selected?"
            slow = known["cortex-a72", "plain", count.kind, count.part]
            if count.fast > DOTPROD_AT_MOST * slow.fast:
                yield f"{name}: {count.fast / slow.fast:.2f} of an A72's; dotprod is not used?"
    for kind, part in {(c.kind, c.part) for c in counts if c.variant == "kleidiai"}:
        plain, other = (known["cortex-a72", variant, kind, part].fast for variant in NAMES)
        if abs(other / plain - 1) > SAME_WITHIN:
            yield f"{kind}, {part}: KleidiAI changes a Cortex-A72's by {other / plain - 1:+.1%}"


class Counter:
    """Runs programs under qemu with the plugin that counts."""

    def __init__(self, folder: Path) -> None:
        qemu = shutil.which("qemu-aarch64")
        if qemu is None:
            raise BenchError("qemu-aarch64 is missing: sudo apt install qemu-user")
        self.qemu = qemu
        self.plugin = folder / "insncount.so"
        compile_ = ["gcc", "-O2", "-shared", "-fPIC", "-o", self.plugin, HERE / "insncount.c"]
        subprocess.run(compile_, check=True, timeout=RUN_S)

    def count(self, soc: str, argv: list[str]) -> int:
        """How many instructions the program takes from its start to its end."""
        emulated = [self.qemu, "-cpu", soc, "-L", "/usr/aarch64-linux-gnu"]
        done = subprocess.run(
            [*emulated, "-plugin", str(self.plugin), *argv],
            capture_output=True,
            text=True,
            timeout=RUN_S,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        found = re.search(r"^instructions: (\d+)$", done.stderr, re.MULTILINE)
        if done.returncode or found is None:
            raise BenchError(f"{argv[0]} on {soc} ended with {done.returncode}:\n{done.stderr}")
        return int(found[1])

    def per_token(self, soc: str, bench: Path, model: Path, part: str, repack: int) -> float:
        """The difference of two runs, by token."""
        option, divisor = PARTS[part]
        other = {"-p": "-n", "-n": "-p"}[option]
        fixed = ["-r", "1", "-t", "1", "--no-warmup", "--repack", str(repack), other, "0"]
        few, more = (
            self.count(soc, [str(bench), "-m", str(model), *fixed, option, str(tokens // divisor)])
            for tokens in (FEW, MORE)
        )
        return (more - few) / ((MORE - FEW) / divisor)


def built(folder: Path, variant: str, archive: Path | None) -> dict[str, Path]:
    """The llama-bench of each processor, from the store that virtual Pis share or built into it."""
    engine: dict[str, Any] = {"recipe": "cross", "variant": variant, "force": True}
    engine["source"] = {"archive": {"path": str(source.archive()), "sha256": source.SHA256}}
    engine["source"]["archive"]["subdir"] = "llama_cpp_python-0.3.36/vendor/llama.cpp"
    if archive is not None:
        pin = {"path": str(archive), "sha256": store.sha256(archive)}
        engine["kleidiai"] = {"archive": pin}
    inventory = folder / variant
    inventory.mkdir()
    model = {"name": "none", "url": "http://model.invalid/none.gguf", "sha256": "0" * 64}
    fleet = {"settings": {"engine": engine, "model": model}, "hosts": {"any": {}}}
    (inventory / "fleet.yml").write_text(json.dumps(fleet), encoding="utf-8")
    environment = {**os.environ, "BRAMBLE_INVENTORY": str(inventory)}
    environment[store.VARIABLE] = str(paths.cache_dir() / "engine")
    done = subprocess.run(
        [BRAMBLE, "engine", "build", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=BUILD_S,
        env=environment,
    )
    if done.returncode:
        raise BenchError(f"the {variant} builds failed with exit code {done.returncode}")
    return {
        entry["manifest"]["soc"]: _unpacked(entry, inventory)
        for entry in json.loads(done.stdout)["releases"]
    }


def _unpacked(entry: Mapping[str, Any], folder: Path) -> Path:
    into = folder / entry["release"]
    shutil.unpack_archive(entry["path"], into, filter="data")
    return into / "bin" / "llama-bench"


def benchmark(folder: Path, types: list[str]) -> list[Count]:
    """Count for each build, type and part."""
    source.fetch(say)
    counter, given = Counter(folder), os.environ.get(ARCHIVE)
    programs = {"plain": built(folder, "plain", None)}
    if given:
        programs["kleidiai"] = built(folder, "kleidiai", Path(given))
    else:
        say(f"no rows with KleidiAI: {ARCHIVE} names no archive of its source")
    counts = []
    for kind in types:
        model = weights.write(folder / f"{kind}.gguf", kind)
        for variant, benches in programs.items():
            for soc, bench in benches.items():
                for part in PARTS:
                    fast, without = (
                        counter.per_token(soc, bench, model, part, repack) for repack in (1, 0)
                    )
                    counts.append(Count(soc, variant, kind, part, fast, without))
                    say("  " + "  ".join(counts[-1].cells()))
    return counts


def table(counts: list[Count]) -> str:
    """The results with aligned columns."""
    cells = [HEADINGS, *(count.cells() for count in counts)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def main(arguments: argparse.Namespace) -> None:
    """Count, print, write the JSON file that was asked for, and fail where a guard fails."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        counts = benchmark(Path(folder), arguments.types)
    print(f"{table(counts)}\n\n{NOTES}")
    if arguments.json:
        rows = [vars(count) for count in counts]
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if found := list(problems(counts)):
        raise BenchError("\n".join(found))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--types",
        type=lambda text: text.split(","),
        default=list(weights.BLOCKS),
        help=f"of {','.join(weights.BLOCKS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every count there")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main(parsed())
    except BenchError as error:
        sys.exit(str(error))
    except subprocess.TimeoutExpired as error:
        sys.exit(f"{error.cmd[0]} took longer than {error.timeout:.0f} s")
    except KeyboardInterrupt:
        sys.exit("stopped")
