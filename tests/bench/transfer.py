"""A release on its way to a node: the node's own program beside plain curl, from the same server.

    python tests/bench/transfer.py [--mib 256] [--rounds 5] [--json FILE]

Starts a fresh virtual Pi, serves an archive that does not compress with bramble's file server, and
has the node pull it with both in turn (curl, ours, ours, curl). Prints how much of curl's rate ours
reaches: it hashes what comes, and curl only writes it down.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clones import NAMES, BenchError, down, say, there

from bramble import remote, virtual
from bramble.llama import store
from bramble.llama.store import StoredRelease
from bramble.pyinfra.sharing import Server
from bramble.virtual import lifecycle
from bramble.virtual.model import GATEWAY

NAME = NAMES[0]
RUN_S = 600
LINKS_MBIT = (1000, 0)
HOME = "/opt/bramble/engine"
# Dropped before each turn, so that neither writes into the memory that the other one filled.
BEFORE = f"sudo rm -rf {HOME}/releases /var/tmp/bench; sudo mkdir -p {HOME}; sync; "
CURL = "sudo curl --silent --show-error --fail --output /var/tmp/bench --write-out %{time_total} "


def ssh(command: str, text: str = "") -> str:
    """A command on the node, and what it printed."""
    argv = virtual.ssh_argv(lifecycle.running(NAME), BEFORE + command)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=RUN_S)
    if done.returncode:
        raise BenchError(f"{command.split()[1]} failed on {NAME}: {done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def fresh() -> Iterator[None]:
    """A virtual Pi with curl; ended afterwards."""
    if NAME in there():
        raise BenchError(f"{NAME} is there; end it first: bramble virtual down {NAME}")
    try:
        virtual.up([NAME], on_progress=say)
        say(f"installing curl on {NAME}")
        ssh("sudo apt-get -q update && sudo apt-get -q -y install --no-install-recommends curl")
        yield
    finally:
        down([NAME])


def stored(folder: Path, mib: int) -> StoredRelease:
    """A release of one program of random bytes, in a store of its own."""
    os.environ[store.VARIABLE] = str(folder / "store")
    (folder / "store").mkdir()
    (folder / "bench" / "bin").mkdir(parents=True)
    program = os.urandom(mib << 20)
    (folder / "bench" / "bin" / "llama-server").write_bytes(program)
    sums = {"llama-server": hashlib.sha256(program).hexdigest()}
    manifest = {"release": "bench", "binaries": sums, "built_at": ""}
    (folder / "bench" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return store.add(folder / "bench")


def curl_s(url: str) -> float:
    """How long curl takes, by its own clock."""
    return float(ssh(CURL + url))


def ours_s(url: str, entry: StoredRelease) -> float:
    """How long the node's program takes to have the archive verified on its disk, by its own clock."""
    query = {
        "home": HOME,
        "release": f"{HOME}/releases/bench",
        "sha256": entry.sha256,
        "size": entry.unpacked_size,
        "archive_size": entry.size,
        "sources": [{"url": url, "direct": True}],
        "upload": None,
    }
    answer = remote.answer(ssh(f"sudo {remote.COMMAND}", remote.program("install_release", query)))
    if answer["source"] is None:
        raise BenchError(f"{NAME} could not pull: {answer['problems']}")
    return float(answer["seconds"])


@contextmanager
def limited(mbit: int) -> Iterator[None]:
    """The node's link no faster than this, as a Pi's Ethernet is; 0: as fast as it goes."""
    link = ("tc", "qdisc", "replace", "dev", f"vb-{NAME}", "root")
    if mbit:
        tbf = ("tbf", "rate", f"{mbit}mbit", "burst", "1mb", "latency", "50ms")
        subprocess.run([*link, *tbf], check=True)
    yield
    if mbit:
        subprocess.run(["tc", "qdisc", "delete", "dev", f"vb-{NAME}", "root"], check=True)


def compared(url: str, entry: StoredRelease, rounds: int) -> list[dict[str, float]]:
    """Each round's seconds: curl before and after, ours twice in between; a first one warms up."""
    found = []
    for number in range(rounds + 1):
        first = curl_s(url)
        ours = (ours_s(url, entry), ours_s(url, entry))
        one = {"curl_s": (first + curl_s(url)) / 2, "ours_s": sum(ours) / 2}
        say(f"  round {number}: curl {one['curl_s']:.2f} s, ours {one['ours_s']:.2f} s")
        found.append(one)
    return found[1:]


def measured(mib: int, rounds: int) -> dict[int, list[dict[str, float]]]:
    """The rounds by the link's limit in Mbit/s."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder, fresh():
        entry = stored(Path(folder), mib)
        server = Server(GATEWAY)
        url = f"http://{GATEWAY}:{server.port}/{server.offer(entry.path)}"
        found = {}
        for mbit in LINKS_MBIT:
            say(f"link: {mbit or 'no limit'}")
            with limited(mbit):
                found[mbit] = compared(url, entry, rounds)
        server.process.communicate()
        return found


def row(mbit: int, mib: int, found: list[dict[str, float]]) -> str:
    """A line of the table."""
    shares = [one["curl_s"] / one["ours_s"] for one in found]
    curl, ours = (mib / statistics.median(one[key] for one in found) for key in found[0])
    link = f"{mbit} Mbit/s" if mbit else "no limit"
    share = f"{statistics.median(shares):.2f} ({min(shares):.2f}-{max(shares):.2f})"
    return f"{link:>11}  {curl:4.0f} MiB/s  {ours:4.0f} MiB/s  {share}"


def main(arguments: argparse.Namespace) -> None:
    """Measure, print, and write the JSON file that was asked for."""
    load_before = os.getloadavg()[0]
    found = measured(arguments.mib, arguments.rounds)
    print(f"{arguments.mib} MiB; {arguments.rounds} rounds; {os.cpu_count()} processors; ", end="")
    print(
        f"load before {load_before:.1f}\n\n       link        curl        ours  share of curl's rate"
    )
    for mbit, rounds in found.items():
        print(row(mbit, arguments.mib, rounds))
    if arguments.json:
        document = {"mib": arguments.mib, "rounds_by_mbit": found}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256, help="size of the archive; default: 256")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds; default: 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    try:
        main(parser.parse_args())
    except (BenchError, subprocess.TimeoutExpired) as error:
        sys.exit(str(error))
