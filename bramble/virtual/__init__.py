"""Virtual Pis: nodes on this machine that look like fresh Pis, of two kinds.

Containers (`container/`, systemd-nspawn) start in seconds: they prove deploys, fleets and reboots. What
they cannot do (zram, swap, the watchdog, sysctl vm.*, memory limits) machines prove (`machine/`, QEMU),
which have a kernel of their own and are slow. Both follow the protocol of `backend.py`, and `kinds.py`
picks one.
"""

from bramble.virtual.errors import VirtualPiError
from bramble.virtual.lifecycle import down, nodes, up
from bramble.virtual.model import VirtualNode
from bramble.virtual.ssh import ssh_argv

__all__ = ["VirtualNode", "VirtualPiError", "down", "nodes", "ssh_argv", "up"]
