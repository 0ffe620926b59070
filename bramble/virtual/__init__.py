"""Virtual Pis: nodes on this machine that look like fresh Pis, of two kinds.

Containers (systemd-nspawn) are fast and many: they prove deploys, fleets and reboots. What they cannot
do (zram, swap, the watchdog, sysctl vm.*, memory limits) must not be claimed from them: machines
(bramble/virtual/machine, QEMU) have a kernel of their own for it, and are slow.
"""

from bramble.virtual.errors import VirtualPiError
from bramble.virtual.lifecycle import down, nodes, up
from bramble.virtual.model import VirtualNode
from bramble.virtual.ssh import ssh_argv

__all__ = ["VirtualNode", "VirtualPiError", "down", "nodes", "ssh_argv", "up"]
