"""Virtual Pis, container kind: Bookworm nodes in systemd-nspawn that look like fresh Pis.

They prove deploys, fleets and reboots without hardware. What a container cannot do (zram, swap, the
watchdog, sysctl vm.*, memory limits) needs the machine kind and must not be claimed from here.
"""

from bramble.virtual.errors import VirtualPiError
from bramble.virtual.lifecycle import down, nodes, up
from bramble.virtual.model import Node
from bramble.virtual.ssh import ssh_argv

__all__ = ["Node", "VirtualPiError", "down", "nodes", "ssh_argv", "up"]
