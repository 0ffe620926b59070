"""Keeps one node: owns all that it needs, boots it, boots it again when it reboots.

Run as `python -m bramble.virtual.supervisor NAME` in a mount namespace of its own. The overlay,
the network namespace and the loop device belong to this process and end with it, so a supervisor
that is killed leaves nothing behind but the node's files.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from bramble.virtual import (
    blocktree,
    cgroups,
    devicetree,
    firmware,
    layers,
    network,
    nspawn,
    processes,
    spec,
    ssd,
)
from bramble.virtual.commands import run


class Supervisor:
    """One node's keeper."""

    def __init__(self, node: spec.Spec) -> None:
        self._node = node
        self._root = node.folder / "root"
        self._stopping = False

    def run(self) -> int:
        """Boots until the node powers off or `down` ends this process."""
        signal.signal(signal.SIGTERM, self._on_term)
        record = processes.record_of(os.getpid())
        if record:
            processes.save(record, self._node.record)
        try:
            return self._keep()
        finally:
            cgroups.leave(self._node.name)
            self._node.record.unlink(missing_ok=True)

    def _keep(self) -> int:
        node = self._node
        cgroups.mount_private()
        # nspawn keeps a folder for each machine there; ours end with this mount.
        _cover(Path("/run/systemd/nspawn"))
        group = cgroups.make(node.name)
        layers.mount(node.layers, node.upper, node.folder / "work", self._root)
        namespace = node.folder / "netns"
        network.make_namespace(node.name, node.board, namespace)
        ssd.ensure_image(node.folder / ssd.IMAGE)
        device, _ = ssd.attach(node.folder / ssd.IMAGE)
        serial = f"{devicetree.serial_of(node.name):016x}"
        covers = blocktree.write(node.folder / "blocktree", device, ssd.SIZE_BYTES, serial)
        argv = nspawn.command(node, self._root, namespace, device, covers)
        code = nspawn.REBOOT_EXIT
        while code == nspawn.REBOOT_EXIT and not self._stopping:
            firmware.power_on(node, self._root)
            code = self._boot(argv, group)
        return code

    def _boot(self, argv: list[str], group: Path) -> int:
        """One life of the node, from power-on to its end."""
        say(f"{self._node.name} boots")
        self._node.booted.touch()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **nspawn.ENVIRONMENT},
            preexec_fn=lambda: cgroups.enter(group),
        )
        code = process.wait()
        say(f"{self._node.name} ended: systemd-nspawn exit {code}")
        return code

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        """`down` throws the node's files away, so there is nothing to shut down in order."""
        self._stopping = True
        cgroups.kill(self._node.name)


def _cover(place: Path) -> None:
    """Mounts an empty tmpfs over a folder, in this mount namespace only."""
    place.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "none", str(place))


def say(message: str) -> None:
    """A line of our own in the console log."""
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    print(f"[supervisor {now}Z] {message}", flush=True)


def main() -> int:
    return Supervisor(spec.load(sys.argv[1])).run()


if __name__ == "__main__":
    raise SystemExit(main())
