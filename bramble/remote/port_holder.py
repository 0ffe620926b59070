"""Find who else listens on a TCP port of this node, which keeps a service from starting."""

import re
import subprocess

CGROUP = "/proc/{}/cgroup"
EVERYWHERE = ("0.0.0.0", "*", "[::]")


def problem(query):
    """Say why the unit cannot have its port; return None where it can."""
    port = query["url"].rpartition(":")[2]
    other = holder(query["host"], port, query["unit"])
    if other is None:
        return None
    return f"port {port} is held by {other}; end that, or set serving.port to another one"


def holder(address, port, unit):
    """Describe who holds the port besides the unit's own processes; return None where nobody does."""
    argv = ["ss", "-Hltnp", f"sport = :{port}"]
    reported = subprocess.run(argv, capture_output=True, text=True).stdout
    for line in reported.splitlines():
        bound = line.split()[3].rpartition(":")[0].partition("%")[0]
        several = re.findall(r'\("([^"]*)",pid=(\d+)', line)
        if in_the_way(bound, address) and not any(is_of(pid, unit) for _, pid in several):
            return ", ".join(f"{name} (process {pid})" for name, pid in several) or "the kernel"
    return None


def in_the_way(bound, address):
    """Return whether a socket on one address keeps another from being opened on the same port."""
    # A socket on another address of the node blocks 0.0.0.0 alone, and [::1] blocks nobody.
    wide = address in EVERYWHERE and not bound.startswith("[")
    return bound == address or bound in EVERYWHERE or wide


def is_of(pid, unit):
    """Return whether a process belongs to a unit; False for one that has ended."""
    try:
        with open(CGROUP.format(pid), encoding="utf-8") as file:
            return f"/{unit}" in file.read()
    except OSError:
        return False
