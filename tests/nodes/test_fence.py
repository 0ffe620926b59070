"""bramble's table of nftables on a virtual Pi: SSH stays, others' tables stay, and a lock-out ends."""

import contextlib
import shlex
import socket
import subprocess

import pytest

from bramble import virtual
from bramble.remote import program
from bramble.virtual import lifecycle
from bramble.virtual.model import address_of
from tests.nodes.fleet import BIN, Fleet, wait_until

pytestmark = pytest.mark.nodes

NODE, OPEN = "vpi-83", 9107
LIST = "nft list table inet bramble"
SHUT = """\
table inet bramble
delete table inet bramble
table inet bramble {
	chain input {
		type filter hook input priority filter - 5; policy drop;
		iif "lo" accept
	}
}
"""


class Fenced(Fleet):
    """A node that gets base and a firewall."""

    def wants(self, **firewall):
        roles = ["base", "engine", "model", "serving", "firewall"]
        self.write([NODE], {NODE: {"node": {"roles": roles}, "firewall": firewall}})

    def deploy(self, code=0):
        """The role alone, as pyinfra's users call it."""
        script = self.folder / "fence.py"
        script.write_text("from bramble.deploys import firewall\n\nfirewall()\n")
        done = self.run([BIN / "pyinfra", "inventory.py", script, "-y"])
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory, on):
    virtual_pis.up(NODE)
    on("apt-get -q update && apt-get -q -y install --no-install-recommends nftables")
    fleet = Fenced(tmp_path_factory.mktemp("fleet"))
    # Something of somebody else's, and a program that anybody may reach.
    on("nft add table inet theirs && nft add chain inet theirs input")
    on(f"systemd-run --quiet --unit=open python3 -m http.server {OPEN} --bind 0.0.0.0")
    wait_until(lambda: reached(OPEN), 20, "the open port")
    yield fleet
    virtual_pis.down(NODE)


def reached(port):
    try:
        socket.create_connection((address_of(NODE), port), 2).close()
    except OSError:
        return False
    return True


def test_deny_drops_what_is_not_named_and_keeps_ssh_and_others_tables(fleet, on):
    fleet.wants(mode="deny")
    assert "Load the firewall, on trial" in fleet.deploy()
    assert not reached(OPEN)
    assert on("echo alive") == "alive"
    assert "table inet theirs" in on("nft list tables")
    assert on("systemctl is-enabled bramble-firewall") == "enabled"
    assert on("systemctl list-timers --all | grep -c bramble-firewall-undo || true") == "0"
    _, results = fleet.verify(NODE)
    for check in ("table_is_in_force", "files_are_as_written", "ssh_is_let_in"):
        assert results[NODE, f"firewall.{check}"]["status"] == "pass"
    assert "Load the firewall" not in fleet.deploy()


def test_a_port_that_is_named_is_let_through(fleet):
    fleet.wants(mode="deny", ports=[OPEN])
    fleet.deploy()
    assert reached(OPEN)
    fleet.wants(mode="deny")
    fleet.deploy()
    assert not reached(OPEN)


def test_debians_own_unit_flushes_everything_and_ours_comes_back(fleet, on):
    on("systemctl restart nftables")
    assert "table inet theirs" not in on("nft list tables")
    wait_until(lambda: "policy drop" in on(LIST), 20, "our table")
    on("nft add table inet theirs")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("table_is_in_force", "nft delete table inet bramble"),
        ("table_is_in_force", "nft insert rule inet bramble input accept"),
        ("table_is_in_force", "systemctl disable bramble-firewall"),
        ("files_are_as_written", "sed -i s/drop/accept/ /etc/bramble/firewall.nft"),
    ],
)
def test_a_planted_fault_is_found_and_mended(fleet, on, name, fault):
    on(fault)
    _, results = fleet.verify(NODE)
    assert results[NODE, f"firewall.{name}"]["status"] == "fail"
    fleet.deploy()
    _, results = fleet.verify(NODE)
    assert results[NODE, f"firewall.{name}"]["status"] == "pass"
    assert not reached(OPEN)


def test_an_sshd_elsewhere_is_never_shut_out(fleet, on):
    on("echo 'Port 22\nPort 2244' > /etc/ssh/sshd_config.d/ports.conf && systemctl restart ssh")
    wait_until(lambda: reached(22), 20, "sshd")
    before = on(LIST)
    on("nft delete table inet bramble")
    said = fleet.deploy(code=1)
    assert "sshd listens on port 2244, which firewall.ssh_ports does not name" in said
    _, results = fleet.verify(NODE)
    assert results[NODE, "firewall.ssh_is_let_in"]["status"] == "fail"
    on("rm /etc/ssh/sshd_config.d/ports.conf && systemctl restart ssh")
    wait_until(lambda: reached(22), 20, "sshd")
    fleet.deploy()
    assert on(LIST) == before


def test_a_table_that_shuts_us_out_is_taken_back_by_the_node_itself(fleet, on):
    """The rules are brought past every check of ours, as a fault in them would be."""
    before = on(LIST)
    query = {"rules_text": SHUT, "undo_after_s": 8}
    argv = virtual.ssh_argv(lifecycle.running(NODE), "sudo python3 -Iu -")
    text = program("try_firewall", query)
    # It may be that the node cannot even say that it is done.
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(argv, input=text, text=True, capture_output=True, timeout=5)
    assert not reached(22)
    wait_until(lambda: reached(22), 60, "a new connection")
    assert on(LIST) == before
    assert on("ls /run/bramble/firewall 2>/dev/null || true") == ""
    _, results = fleet.verify(NODE)
    assert results[NODE, "firewall.table_is_in_force"]["status"] == "pass"


def test_the_next_boot_has_the_table_before_the_network(fleet, on, virtual_pis):
    virtual_pis.reboot(NODE)
    assert "policy drop" in on(LIST)
    _, results = fleet.verify(NODE)
    assert results[NODE, "firewall.table_is_in_force"]["status"] == "pass"


def test_off_takes_the_table_away_and_nothing_else(fleet, on):
    on("nft add table inet theirs")
    fleet.wants(mode="off")
    fleet.deploy()
    assert on("nft list tables") == "table inet theirs"
    assert (
        on("ls /etc/bramble/firewall* /etc/systemd/system/bramble-firewall* 2>/dev/null || true")
        == ""
    )
    assert "End the firewall" not in fleet.deploy()
