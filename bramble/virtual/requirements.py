"""What this machine must have for virtual Pis: each lack is one sentence with what mends it."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bramble.virtual.model import Kind

PACKAGES = (
    "iproute2",
    "mmdebstrap",
    "openssh-client",
    "systemd-container",
    "tinyproxy",
)
"""The Debian packages that hold every tool used for containers."""

MACHINE_PACKAGES = (
    "arch-test",
    "cpio",
    "device-tree-compiler",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "kmod",
    "mmdebstrap",
    "mtools",
    "openssh-client",
    "qemu-system-arm",
    "qemu-user-static",
    "qemu-utils",
    "socat",
    "tinyproxy",
)
"""The Debian packages that hold every tool used for machines."""

TOOLS = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "tinyproxy": "tinyproxy",
    "apt-config": "apt",
    "losetup": "mount",
    "unshare": "util-linux",
}

MACHINE_TOOLS = {
    "arch-test": "arch-test",
    "cpio": "cpio",
    "fdtput": "device-tree-compiler",
    "mkfs.vfat": "dosfstools",
    "mkfs.ext4": "e2fsprogs",
    "sfdisk": "fdisk",
    "depmod": "kmod",
    "mmdebstrap": "mmdebstrap",
    "mcopy": "mtools",
    "ssh-keygen": "openssh-client",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-img": "qemu-utils",
    "socat": "socat",
    "tinyproxy": "tinyproxy",
    "apt-config": "apt",
    "setpriv": "util-linux",
}

# A root shell by plain su has no sbin in its path.
SBIN = Path("/usr/sbin")
_FILE_SYSTEMS = Path("/proc/filesystems")
_FILE_SYSTEMS_OF: dict[Kind, dict[str, str]] = {
    "container": {"overlay": "modprobe overlay", "cgroup2": "boot a kernel with CONFIG_CGROUPS"},
    "machine": {"ext4": "modprobe ext4", "binfmt_misc": "modprobe binfmt_misc"},
}


def missing(
    which: Callable[[str], str | None] = shutil.which,
    effective_user: Callable[[], int] = os.geteuid,
    platform: str = sys.platform,
    file_systems: Path = _FILE_SYSTEMS,
    kind: Kind = "container",
) -> list[str]:
    """One sentence for each thing that is lacking, none when virtual Pis can be started."""
    if platform != "linux":
        return [
            f"virtual Pis need Linux, this is {platform}: use a Debian machine or virtual machine"
        ]
    return [
        *_missing_root(effective_user),
        *_missing_tools(which, MACHINE_TOOLS if kind == "machine" else TOOLS),
        *_missing_file_systems(file_systems, kind),
    ]


def _missing_root(effective_user: Callable[[], int]) -> list[str]:
    if effective_user() == 0:
        return []
    return ["virtual Pis need root (mounts, namespaces, systemd-nspawn): run 'sudo -E bramble ...'"]


def _missing_tools(which: Callable[[str], str | None], tools: Mapping[str, str]) -> list[str]:
    return [
        f"{tool} is missing: 'apt-get install -y {package}'"
        for tool, package in tools.items()
        if not (which(tool) or (SBIN / tool).exists())
    ]


def _missing_file_systems(file_systems: Path, kind: Kind) -> list[str]:
    known = {line.split()[-1] for line in file_systems.read_text().splitlines() if line.strip()}
    modules = _FILE_SYSTEMS_OF[kind]
    return [
        f"the kernel does not offer {name}: '{mend}'"
        for name, mend in modules.items()
        if name not in known
    ]
