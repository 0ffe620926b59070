"""The container kind behind the protocol that both kinds follow."""

from collections.abc import Sequence
from pathlib import Path

from bramble.virtual import paths, processes, proxy, spec
from bramble.virtual.apt import AptHost
from bramble.virtual.backend import Backend, Desired, Needs, Patience, Progress
from bramble.virtual.container import cgroups, clones, image, limits, making, network, ssd
from bramble.virtual.container.hardware import ContainerHardware
from bramble.virtual.errors import VirtualPiError


class Containers(Backend):
    """Nodes as systemd-nspawn containers."""

    needs = Needs(
        packages=("iproute2", "mmdebstrap", "openssh-client", "systemd-container", "tinyproxy"),
        tools={
            "ip": "iproute2",
            "mmdebstrap": "mmdebstrap",
            "ssh-keygen": "openssh-client",
            "systemd-nspawn": "systemd-container",
            "tinyproxy": "tinyproxy",
            "apt-config": "apt",
            "losetup": "mount",
            "unshare": "util-linux",
        },
        file_systems={
            "overlay": "modprobe overlay",
            "cgroup2": "boot a kernel with CONFIG_CGROUPS",
        },
    )
    patience = Patience(boot_s=120, banner_s=3, ssh_silence_s=20)

    def check(self, desired: Desired) -> None:
        making.check(desired)

    def ensure_image(self, host: AptHost, release: str, on_progress: Progress) -> Path:
        return image.ensure(host, release, on_progress)

    def make(self, names: Sequence[str], desired: Desired, base: Path) -> None:
        making.make(names, desired, base)

    def refuse_foreign(self, name: str) -> None:
        for pid in cgroups.supervisors(name):
            raise VirtualPiError(
                f"{name} is already run by process {pid}, which belongs to another state folder "
                f"than {paths.state_dir()}: use other names, or 'bramble virtual down {name}' with "
                "the BRAMBLE_STATE that it was started with"
            )

    def ensure_services(self, host: AptHost, on_progress: Progress) -> None:
        making.ensure_ccache()
        limits.ensure(on_progress)
        network.ensure_bridge()
        proxy.ensure(host, network.PROXY)

    def hardware(self, node: spec.Spec) -> ContainerHardware:
        return ContainerHardware(node)

    def release(self, node_name: str) -> None:
        # A node of another state folder may bear the name: clear only what has no supervisor.
        if not any(cgroups.supervisors(node_name)):
            cgroups.clear(node_name, cgroups.mounted())
        disk = paths.node_dir(node_name) / ssd.IMAGE
        processes.wait_until(
            lambda: not network.port_exists(node_name) and not ssd.devices(disk), deadline_s=10
        )

    def tidy(self) -> None:
        clones.discard_unused()
        if not spec.all_names("container"):
            proxy.stop(network.PROXY)
            network.remove_idle_bridge()
