"""The systemd-nspawn call that boots a node."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bramble.virtual import paths
from bramble.virtual.container import blocktree
from bramble.virtual.spec import Spec

REBOOT_EXIT = 133
"""What nspawn ends with when the node asked for a reboot and --keep-unit left that to us."""


@dataclass(frozen=True)
class End:
    """How nspawn ended."""

    code: int

    @property
    def reboots(self) -> bool:
        """Return whether the node asked for a reboot, and was not switched off."""
        return self.code == REBOOT_EXIT

    @property
    def summary(self) -> str:
        """Return in words how the node ended."""
        return "rebooted" if self.reboots else f"ended: systemd-nspawn exit {self.code}"


ENVIRONMENT = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    # The root is our own overlay, in a mount namespace of its own: nobody else can take it.
    "SYSTEMD_NSPAWN_LOCK": "0",
    # /tmp on the root file system, as on a Pi; nspawn's tmpfs would be a tenth of memory.
    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
}


def command(
    spec: Spec, root: Path, namespace: Path, ssd: str, covers: Mapping[Path, str]
) -> list[str]:
    """Return the call that boots `root` with systemd as PID 1, without the host's systemd."""
    binds = [
        f"--bind-ro={spec.folder / 'firmware'}:/sys/firmware",
        f"--bind={ssd}:/dev/{blocktree.DISK}",
        *(f"--bind-ro={source}:{target}" for source, target in covers.items()),
    ]
    if spec.ccache:
        binds.append(f"--bind={paths.ccache_dir()}:/var/cache/bramble/ccache")
    return [
        # The node ends with its supervisor, even with one that was killed.
        *("setpriv", "--pdeathsig", "KILL"),
        "systemd-nspawn",
        "--quiet",
        f"--directory={root}",
        f"--machine={spec.name}",
        "--boot",
        "--register=no",
        "--keep-unit",
        f"--network-namespace-path={namespace}",
        # A firewall of its own; without it nft's units in the node may not even look.
        "--capability=CAP_NET_ADMIN",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
        *binds,
    ]
