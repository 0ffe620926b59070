"""The machine kind behind the protocol that both kinds follow."""

from collections.abc import Sequence
from pathlib import Path

from bramble.virtual import processes, proxy, spec
from bramble.virtual.apt import AptHost
from bramble.virtual.backend import Backend, Desired, Needs, Patience, Progress
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.machine import image, making, qemu
from bramble.virtual.machine.hardware import MachineHardware
from bramble.virtual.model import LOOPBACK, port_of
from bramble.virtual.waiting import answers


class Machines(Backend):
    """Nodes as machines that QEMU emulates."""

    needs = Needs(
        packages=(
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
        ),
        tools={
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
        },
        file_systems={"ext4": "modprobe ext4", "binfmt_misc": "modprobe binfmt_misc"},
    )
    # Up in half a minute where little else runs, and in minutes on a loaded host.
    patience = Patience(boot_s=600, banner_s=20, ssh_silence_s=60)

    def check(self, desired: Desired) -> None:
        making.check(desired)

    def ensure_image(self, host: AptHost, release: str, on_progress: Progress) -> Path:
        return image.ensure(host, release, on_progress)

    def make(self, names: Sequence[str], desired: Desired, base: Path) -> None:
        making.make(names, desired, base)

    def refuse_foreign(self, name: str) -> None:
        port = port_of(name)
        if answers(LOOPBACK, port):
            raise VirtualPiError(
                f"{LOOPBACK}:{port}, where {name} would answer, is taken (by a machine "
                f"of another BRAMBLE_STATE?): 'ss -ltnp sport = :{port}' names the process; "
                "end it, or use another name"
            )

    def ensure_services(self, host: AptHost, on_progress: Progress) -> None:
        proxy.ensure(host, qemu.PROXY)

    def hardware(self, node: spec.Spec) -> MachineHardware:
        return MachineHardware(node)

    def release(self, node_name: str) -> None:
        # QEMU ends with its supervisor, and its socket a moment after its memory was given back.
        processes.wait_until(lambda: not answers(LOOPBACK, port_of(node_name)), deadline_s=10)

    def tidy(self) -> None:
        if not spec.all_names("machine"):
            proxy.stop(qemu.PROXY)
