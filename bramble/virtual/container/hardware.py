"""What a container runs on: an overlay, a network namespace, a loop device and a control group.

The overlay, the namespace and the loop device belong to the supervisor and end with it, so one that
is killed leaves nothing behind but the node's files.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bramble.virtual import devicetree
from bramble.virtual.commands import run
from bramble.virtual.container import blocktree, cgroups, firmware, network, nspawn, overlay, ssd
from bramble.virtual.spec import SSD_BYTES, Spec


class ContainerHardware:
    """What one container runs on, in the mount namespace of its supervisor."""

    def __init__(self, node: Spec) -> None:
        self._node = node
        self._root = node.folder / "root"
        self._argv: list[str] = []
        self._group = Path()

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Provide all that outlives a reboot; kill the node's processes at the end."""
        try:
            self._provide()
            yield
        finally:
            cgroups.leave(self._node.name)

    def _provide(self) -> None:
        node = self._node
        cgroups.mount_private()
        # nspawn keeps a folder for each container there; ours end with this mount.
        _cover(Path("/run/systemd/nspawn"))
        self._group = cgroups.make(node.name)
        overlay.mount(node.layers, node.upper, node.folder / "work", self._root)
        namespace = node.folder / "netns"
        network.make_namespace(node.name, node.board, namespace)
        ssd.ensure_image(node.folder / ssd.IMAGE)
        device, _ = ssd.attach(node.folder / ssd.IMAGE)
        serial = f"{devicetree.serial_of(node.name):016x}"
        covers = blocktree.write(node.folder / "blocktree", device, SSD_BYTES, serial)
        self._argv = nspawn.command(node, self._root, namespace, device, covers)

    def power_on(self) -> str:
        """Play the firmware; return the text that the node reads at /proc/cmdline."""
        return firmware.power_on(self._node, self._root)

    def run(self, cmdline: str) -> nspawn.End:
        """Boot the node and wait for its end; the command line is only shown, never in force."""
        process = subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **nspawn.ENVIRONMENT},
            preexec_fn=lambda: cgroups.enter(self._group),
        )
        return nspawn.End(process.wait())


def _cover(place: Path) -> None:
    """Mount an empty tmpfs over a folder, in this mount namespace only."""
    place.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "none", str(place))
