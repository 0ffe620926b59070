"""A model on ten virtual Pis: passed on from node to node, beside ten plain downloads at once.

    python tests/bench/model_fleet.py [--nodes 10] [--mib 1024] [--mbit 200] [--rounds 1] [--json FILE]

Starts fresh virtual Pis whose links are as slow as is said, both ways, and an origin whose link is as
slow; has `pyinfra inventory.py deploys/node.py -y` bring the model to all of them, and then each node
download it by itself. The floor is the time of one file over one link.
"""

import argparse
import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from clones import NAMES, BenchError, down, say, there
from meter import ROOT, run

from bramble import report, virtual
from bramble.models import cache, lock
from bramble.virtual import lifecycle
from bramble.virtual.container.network import BRIDGE
from bramble.virtual.model import GATEWAY, address_of

RUN_S = 3600
SHIPPED = ROOT / "inventory" / "groups" / "virtual.yml"
PLAIN = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], '/var/tmp/bench')"


class Origin(ThreadingHTTPServer):
    """What the file is read from, with a count of the readings and of the bytes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        self.path, self.readings, self.sent_bytes = path, 0, 0
        super().__init__((GATEWAY, 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{GATEWAY}:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One reading of the file, or of the rest of it; or a part, for its header, which counts as none."""

    server: Origin

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the table tells."""

    def do_GET(self) -> None:
        said = self.headers.get("Range", "")
        first, _, last = said.removeprefix("bytes=").partition("-")
        self.server.readings += not last
        size = self.server.path.stat().st_size
        start, end = int(first or 0), min(int(last or size), size - 1)
        self.send_response(206 if said else 200)
        self.send_header("Content-Length", str(end + 1 - start))
        if said:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.end_headers()
        with self.server.path.open("rb") as file:
            self.server.sent_bytes += self.connection.sendfile(file, start, end + 1 - start)


def ssh(name: str, command: str) -> str:
    """A command on a node, and what it printed."""
    argv = virtual.ssh_argv(lifecycle.running(name), command)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=RUN_S)
    if done.returncode:
        raise BenchError(f"{command.split()[1]} failed on {name}: {done.stdout}{done.stderr}")
    return done.stdout


def inside(name: str) -> tuple[str, ...]:
    """What has a command run in a node's network: its own root may not shape its link."""
    pids = [lifecycle.running(name).pid]
    for pid in pids:
        if os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"):
            return ("nsenter", f"--net=/proc/{pid}/ns/net")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        pids += map(int, children.split())
    raise BenchError(f"{name} has no network of its own")


def shape(device: str, mbit: int, *within: str) -> None:
    """What leaves by a device goes no faster."""
    tbf = ("tbf", "rate", f"{mbit}mbit", "burst", "256kb", "latency", "50ms")
    argv = [*within, "tc", "qdisc", "replace", "dev", device, "root", *tbf]
    subprocess.run(argv, check=True)


@contextmanager
def fresh(names: tuple[str, ...], mbit: int) -> Iterator[None]:
    """Virtual Pis whose links have a rate both ways, and this computer's as well; ended afterwards."""
    if taken := sorted(set(names) & set(there())):
        raise BenchError(f"end these first: bramble virtual down {' '.join(taken)}")
    try:
        virtual.up(list(names), on_progress=say)
        for name in names:
            shape(f"vb-{name}", mbit)
            shape("eth0", mbit, *inside(name))
        # What this computer sends leaves by the bridge; what nodes send to each other does not.
        shape(BRIDGE, mbit)
        yield
    finally:
        delete = ["tc", "qdisc", "delete", "dev", BRIDGE, "root"]
        subprocess.run(delete, check=False, stderr=subprocess.DEVNULL)
        down(names)


def write_inventory(folder: Path, names: tuple[str, ...], origin: Origin, sha256: str) -> None:
    """A fleet that gets the role model alone."""
    (folder / "groups").mkdir(parents=True, exist_ok=True)
    (folder / "groups" / "virtual.yml").write_text(
        SHIPPED.read_text(encoding="utf-8"), encoding="utf-8"
    )
    model = dict.fromkeys(("name", "path", "sha256")) | {
        "use": "bench:q4_0",
        "endpoint": origin.url,
    }
    hosts = {
        name: {
            "groups": ["virtual"],
            "ssh": {"address": address_of(name)},
            "node": {"roles": ["model"]},
            "model": model,
        }
        for name in names
    }
    (folder / "fleet.yml").write_text(
        yaml.safe_dump({"settings": {}, "hosts": hosts}), encoding="utf-8"
    )
    entry = lock.Locked(
        repo="Bench/Bench",
        revision="c" * 40,
        file="bench.gguf",
        size_bytes=origin.path.stat().st_size,
        sha256=sha256,
    )
    lock.write(folder, {"bench:q4_0": entry})


def ours(folder: Path, names: tuple[str, ...]) -> dict[str, float]:
    """A deploy: how long all of it takes, and how long until the last node had the model verified."""
    file = folder / f"report-{time.monotonic_ns()}.jsonl"
    argv = [Path(sys.executable).with_name("pyinfra"), "inventory.py", "deploys/node.py", "-y"]
    done = run(
        argv,
        RUN_S,
        BRAMBLE_INVENTORY=str(folder),
        PYINFRA_PROGRESS="off",
        **{report.VARIABLE: str(file), cache.VARIABLE: str(folder / "kept")},
    )
    if done.code:
        raise BenchError(f"the deploy failed:\n{done.output}")
    events = list(report.read(file))
    fetched = [event["at"] for event in events if event["event"] == "fetch"]
    if len(fetched) != len(names):
        raise BenchError(f"{len(fetched)} of {len(names)} nodes fetched the model")
    return {"wall_s": done.wall_s, "fetch_s": max(fetched) - events[0]["at"]}


def plain(names: tuple[str, ...], url: str) -> float:
    """A plain download on each node, all at once."""
    command = f"sudo python3 -c {shlex.quote(PLAIN)} {url}"
    began = time.monotonic()
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: ssh(name, command), names))
    return time.monotonic() - began


def cleared(names: tuple[str, ...]) -> None:
    """Nothing of the model on the nodes."""
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: ssh(name, "sudo rm -rf /var/lib/bramble /var/tmp/bench"), names))
    subprocess.run(["sync"], check=True)


def made(path: Path, mib: int) -> str:
    """A file that begins like a model and does not compress; its sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(mib):
            chunk = (b"" if number else b"GGUF") + os.urandom((1 << 20) - (0 if number else 4))
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def measured(arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Each round's figures."""
    names = NAMES[: arguments.nodes]
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as place:
        folder = Path(place)
        sha256 = made(folder / "bench.gguf", arguments.mib)
        with fresh(names, arguments.mbit):
            # Its address is that of the nodes' bridge, which is there while nodes are.
            origin = Origin(folder / "bench.gguf")
            write_inventory(folder / "fleet", names, origin, sha256)
            for number in range(arguments.rounds):
                origin.readings = origin.sent_bytes = 0
                one = ours(folder / "fleet", names)
                one |= {"readings": origin.readings, "read_mib": origin.sent_bytes / 2**20}
                cleared(names)
                one["plain_s"] = plain(names, origin.url)
                cleared(names)
                say(f"  round {number + 1}: {one}")
                found.append(one)
            origin.shutdown()
    return found


def main(arguments: argparse.Namespace) -> None:
    """Measure, print, and write the JSON file that was asked for."""
    load_before = os.getloadavg()[0]
    found = measured(arguments)
    floor_s = arguments.mib * 2**20 * 8 / (arguments.mbit * 1e6)
    print(
        f"{arguments.mib} MiB to {arguments.nodes} nodes over {arguments.mbit} Mbit/s each; "
        f"{arguments.rounds} rounds; {os.cpu_count()} processors; load before {load_before:.1f}\n"
    )
    median = {key: statistics.median(one[key] for one in found) for key in found[0]}
    rows = (
        ("floor (size / link)", floor_s, ""),
        ("bramble, until the last has it", median["fetch_s"], f"{median['readings']:.0f}"),
        ("bramble, the whole deploy", median["wall_s"], ""),
        ("plain downloads at once", median["plain_s"], f"{arguments.nodes}"),
    )
    print(f"{'':<32}{'time':>9}{'x floor':>10}  readings of the origin")
    for name, seconds, readings in rows:
        print(f"{name:<32}{seconds:>7.1f} s{seconds / floor_s:>10.2f}  {readings}")
    if arguments.json:
        document = {**vars(arguments), "json": None, "floor_s": floor_s, "rounds": found}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=10, help="virtual Pis; default: 10")
    parser.add_argument("--mib", type=int, default=1024, help="size of the model; default: 1024")
    parser.add_argument("--mbit", type=int, default=200, help="rate of each link; default: 200")
    parser.add_argument("--rounds", type=int, default=1, help="rounds; default: 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    try:
        main(parser.parse_args())
    except (BenchError, subprocess.SubprocessError) as error:
        sys.exit(str(error))
