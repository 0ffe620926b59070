"""Virtual Pis for tests: fresh ones from a range of names that people do not use."""

import os
import signal
import subprocess
from collections import Counter

import pytest

from bramble import virtual
from bramble.virtual import lifecycle, processes
from bramble.virtual.waiting import answers, ssh_banner


def pytest_collection_modifyitems(items):
    """Start what takes longest first: machines, then the fault matrix, whose tests are few and long."""
    counts = Counter(item.path for item in items)
    items.sort(
        key=lambda item: (
            not item.get_closest_marker("machine"),
            item.path.parent.name != "faults",
            -counts[item.path],
        )
    )


class Nodes:
    """Starts fresh nodes and talks to them; remembers what to throw away."""

    def __init__(self):
        self.names = []

    def up(self, *names, **options):
        """Fresh nodes of these names: what was there of them before is thrown away first."""
        virtual.down(list(names))
        self.names += names
        return virtual.up(list(names), **options)

    def down(self, *names):
        virtual.down(list(names))
        self.names = [name for name in self.names if name not in names]

    def run(self, name, command, timeout_s=120):
        """A shell command as pi: the finished process, whatever its exit code."""
        argv = virtual.ssh_argv(lifecycle.running(name), command)
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s)

    def said(self, name, command):
        """The output of a command that must succeed."""
        done = self.run(name, command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def boot_id(self, name):
        """The node's boot, None while it does not answer."""
        done = self.run(name, "cat /proc/sys/kernel/random/boot_id")
        return done.stdout.strip() if done.returncode == 0 else None

    def reboot(self, name, deadline_s=60):
        """Reboots from inside and waits for the next boot to answer."""
        before = self.boot_id(name)
        self.run(name, "sudo systemctl reboot")
        self.wait_for_another_boot(name, before, deadline_s)

    def cut_power(self, name):
        """Ends a machine as a power cut does: nothing in it gets to clean up."""
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
    if nodes.names:
        virtual.down(nodes.names)
