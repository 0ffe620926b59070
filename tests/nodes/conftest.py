"""Virtual Pis for tests: fresh ones from a range of names that people do not use."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from bramble import virtual
from bramble.virtual import lifecycle, processes
from bramble.virtual.waiting import answers, ssh_banner


def pytest_collection_modifyitems(items):
    """Start what takes longest first, so that no processor waits in the end.

    These are machines, then the fault matrix, then files with many tests on nodes; of the others what
    waits for hosts and kernels, then files with few tests, which are long ones.
    """
    counts = Counter(item.path for item in items)

    def turn(item):
        has_nodes, place = bool(item.get_closest_marker("nodes")), item.path.parent.name
        count = counts[item.path]
        return (
            not item.get_closest_marker("machine"),
            place != "faults",
            not has_nodes,
            place not in ("durability", "deploys"),
            -count if has_nodes else count,
        )

    items.sort(key=turn)


class Nodes:
    """Starts fresh nodes and talks to them; remembers what to throw away.

    A machine is talked to over one connection for as long as it lasts: to log in there takes seconds.
    """

    def __init__(self):
        self.names = []
        self._connections = Path(tempfile.mkdtemp(prefix="bramble-ssh-"))

    def up(self, *names, **options):
        """Fresh nodes of these names: what was there of them before is thrown away first."""
        self.down(*names)
        self.names += names
        return virtual.up(list(names), **options)

    def down(self, *names):
        for name in names:
            self.hang_up(name)
        virtual.down(list(names))
        self.names = [name for name in self.names if name not in names]

    def end(self):
        """Throw away all that is left."""
        if self.names:
            self.down(*self.names)
        shutil.rmtree(self._connections)

    def run(self, name, command, timeout_s=120):
        """A shell command as pi: the finished process, whatever its exit code."""
        node = lifecycle.running(name)
        argv = virtual.ssh_argv(node, command)
        if node.kind == "machine":
            argv[1:1] = self._connected(node)
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s)

    def _connected(self, node):
        """The options of ssh that use the open connection; one is opened where there is none."""
        shared = ["-S", str(self._connections / node.name)]
        begin = virtual.ssh_argv(node)
        begin[1:1] = [*shared, "-M", "-N", "-f"]
        is_open = begin[:1] + shared + ["-O", "check"] + begin[-1:]
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        if subprocess.run(is_open, **silent, stderr=subprocess.DEVNULL).returncode != 0:
            subprocess.run(begin, **silent, stderr=subprocess.DEVNULL, check=False)
        return shared

    def hang_up(self, name):
        """End the connection of a machine that may vanish, as nothing tells ssh that it did."""
        socket = self._connections / name
        with contextlib.suppress(FileNotFoundError):
            end = ["ssh", "-F", "none", "-S", str(socket), "-O", "exit", name]
            subprocess.run(end, capture_output=True)
            socket.unlink()

    def said(self, name, command):
        """The output of a command that must succeed."""
        done = self.run(name, command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def boot_id(self, name):
        """The node's boot, None while it does not answer."""
        self.hang_up(name)
        done = self.run(name, "cat /proc/sys/kernel/random/boot_id")
        return done.stdout.strip() if done.returncode == 0 else None

    def reboot(self, name, deadline_s=60):
        """Reboots from inside and waits for the next boot to answer."""
        before = self.boot_id(name)
        self.run(name, "sudo systemctl reboot")
        self.wait_for_another_boot(name, before, deadline_s)

    def cut_power(self, name):
        """Ends a machine as a power cut does: nothing in it gets to clean up."""
        self.hang_up(name)
        node = lifecycle.running(name)
        os.kill(node.pid, signal.SIGKILL)
        assert processes.wait_until(
            lambda: not any(n.name == name and n.state == "running" for n in virtual.nodes()),
            deadline_s=30,
        )
        assert processes.wait_until(lambda: not answers(node.address, node.port), deadline_s=30)

    def wait_for_another_boot(self, name, before, deadline_s):
        """Waits until the node answers and its boot is not the one before."""
        node = lifecycle.running(name)
        assert processes.wait_until(
            lambda: (
                ssh_banner(node.address, node.port) and self.boot_id(name) not in (None, before)
            ),
            deadline_s=deadline_s,
        ), f"{name} did not come back within {deadline_s} s"


@pytest.fixture(scope="module")
def virtual_pis():
    """A factory of fresh virtual Pis; all that it made are gone at the end of the module."""
    nodes = Nodes()
    yield nodes
    nodes.end()
