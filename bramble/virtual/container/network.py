"""The network of virtual Pis: one bridge of ours, one network namespace for each node.

A node gets an address on the bridge and nothing else: no default route, no name server, no
forwarding. The mirror is reached through the proxy on the bridge's address (proxy.py).
"""

from os import getpid
from pathlib import Path

from bramble.virtual import model, processes
from bramble.virtual.commands import run, succeeds
from bramble.virtual.proxy import Listener

BRIDGE = "bramble0"
BRIDGE_MAC = "02:77:00:00:00:01"
PROXY = Listener("proxy", model.GATEWAY, 3142, f"{model.NETWORK}.0/{model.PREFIX_BITS}")
_MAKERS_PREFIX = {"pi4": "d8:3a:dd", "pi5": "2c:cf:67"}
"""Prefixes of Raspberry Pi Trading, as boards of these kinds carry them."""

_CONF = "/proc/sys/net/{family}/conf/{interface}/{key}"


def ensure_bridge() -> None:
    """Ensure the bridge is there, has its address and does not forward."""
    if not bridge_exists():
        # A bridge without an address of its own takes on that of a port, and changes it with them.
        run("ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge")
    _set_kernel("ipv6", BRIDGE, "disable_ipv6", "1")
    # The host may forward for others (a container engine, a VPN): not for these nodes.
    _set_kernel("ipv4", BRIDGE, "forwarding", "0")
    run("ip", "address", "replace", f"{model.GATEWAY}/{model.PREFIX_BITS}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def bridge_exists() -> bool:
    return succeeds(["ip", "link", "show", BRIDGE])


def remove_idle_bridge() -> None:
    """Remove the bridge unless nodes of another state folder are on it."""
    if bridge_exists() and not run("ip", "link", "show", "master", BRIDGE):
        run("ip", "link", "delete", BRIDGE)


def _set_kernel(family: str, interface: str, key: str, value: str) -> None:
    path = Path(_CONF.format(family=family, interface=interface, key=key))
    # A kernel without IPv6 has no such folder, and nothing to switch off.
    if path.exists() and path.read_text().strip() != value:
        path.write_text(value)


def port_exists(name: str) -> bool:
    """Return whether the host's end of a node's network is there."""
    return succeeds(["ip", "link", "show", f"vb-{name}"])


def mac_of(name: str, board: str) -> str:
    """Return a node's hardware address, the same at each `up`, so that no ARP cache holds an old one."""
    return f"{_MAKERS_PREFIX[board]}:77:00:{model.number_of(name):02x}"


def make_namespace(name: str, board: str, place: Path) -> None:
    """Make a network namespace at `place` whose eth0 is a port of the bridge.

    The host configures it, so the node needs no network daemon, and it outlives the node's reboots.
    It vanishes with the mount namespace of the caller.
    """
    place.touch()
    run("unshare", f"--net={place}", "true")
    inside = ("nsenter", f"--net={place}", "ip")
    port = f"vb-{name}"
    # After a killed supervisor the kernel takes a moment to clear its namespace, port and all.
    if not processes.wait_until(lambda: not port_exists(name), deadline_s=5):
        run("ip", "link", "delete", port)
    # Made from inside, with the outer end handed to the host (PID 1's namespace may not be ours).
    inner = ("name", "eth0", "address", mac_of(name, board))
    outer = ("peer", "name", port, "netns", str(getpid()))
    run(*inside, "link", "add", *inner, "type", "veth", *outer)
    run(*inside, "address", "add", f"{model.address_of(name)}/{model.PREFIX_BITS}", "dev", "eth0")
    for interface in ("lo", "eth0"):
        run(*inside, "link", "set", interface, "up")
    run("ip", "link", "set", port, "master", BRIDGE, "up")
