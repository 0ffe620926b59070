"""What `bramble status --watch` costs this computer: stand-ins of nodes tell of themselves every second.

    python tests/bench/watch.py [--hosts 20] [--seconds 60] [--json FILE]

The stand-ins are SSH servers of another process on loopback, which run the very program of nodes. The
view is drawn on a pseudo-terminal. What the processor did for it is read from the kernel, after the
connections were made; and the commands that the stand-ins were asked for are counted.
"""

import argparse
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import paramiko

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from tests.unit.ssh_nodes import Listening  # noqa: E402

SETTLE_S, SIZE = 30, (160, 48)
FLEET = "settings: {{model: {{name: toy, url: 'http://x.example/a.gguf', sha256: {}}}}}\nhosts:\n{}"


def serve(folder: Path, count: int) -> None:
    """Be the stand-ins of nodes, until the input ends; tell then how many commands they ran."""
    guest, key = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    guest.write_private_key_file(str(folder / "id"))
    nodes = [Listening(key, guest, folder) for _ in range(count)]
    known = [f"[127.0.0.1]:{n.port} {key.get_name()} {key.get_base64()}\n" for n in nodes]
    (folder / "known_hosts").write_text("".join(known))
    where = f"address: 127.0.0.1, key: {folder / 'id'}, user: pi"
    hosts = [
        f"  pi-{n:02}: {{ssh: {{{where}, port: {node.port}}}}}\n" for n, node in enumerate(nodes)
    ]
    (folder / "fleet.yml").write_text(FLEET.format("d" * 64, "".join(hosts)))
    print("ready", flush=True)
    sys.stdin.read()
    print(max(len(node.commands) for node in nodes), flush=True)


def watched(folder: Path, seconds: float) -> dict[str, float]:
    """Run the view for so long; return its processor time in percent of a core, and its screens."""
    pid, master = pty.fork()
    if pid == 0:
        words = [sys.executable, "-c", "from bramble.cli import main; main()", "status", "--watch"]
        size = {"COLUMNS": str(SIZE[0]), "LINES": str(SIZE[1]), "TERM": "xterm-256color"}
        os.execve(words[0], words, {**os.environ, **size, "BRAMBLE_INVENTORY": str(folder)})
    drawn(master, SETTLE_S)
    before, began_s = cpu_s(pid), time.monotonic()
    text = drawn(master, seconds)
    used_s, took_s = cpu_s(pid) - before, time.monotonic() - began_s
    os.write(master, b"q")
    drawn(master, 2)
    os.waitpid(pid, 0)
    return {"percent_of_a_core": 100 * used_s / took_s, "screens": text.count("HOST") / took_s}


def drawn(master: int, seconds: float) -> str:
    """Return what is drawn within the time."""
    end_s, text = time.monotonic() + seconds, ""
    while (left_s := end_s - time.monotonic()) > 0:
        if select.select([master], [], [], left_s)[0]:
            try:
                text += os.read(master, 65536).decode(errors="replace")
            except OSError:
                break
    return text


def cpu_s(pid: int) -> float:
    """Return the processor time of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, and print it; 1 where it is more than is promised."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--hosts", type=int, default=20)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--json", type=Path)
    words.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.serve:
        serve(given.serve, given.hosts)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, __file__, "--serve", folder, "--hosts", str(given.hosts)]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as nodes:
            assert nodes.stdout is not None
            assert nodes.stdout.readline() == "ready\n"
            found = watched(Path(folder), given.seconds)
            said, _ = nodes.communicate()
    minutes = (given.seconds + SETTLE_S) / 60
    found |= {"hosts": given.hosts, "most_commands_of_a_node_in_a_minute": int(said) / minutes}
    for name, value in found.items():
        print(f"{name.replace('_', ' ')}: {value:.2f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(found["percent_of_a_core"] >= 10 or found["most_commands_of_a_node_in_a_minute"] > 2)


if __name__ == "__main__":
    raise SystemExit(main())
