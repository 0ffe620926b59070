"""sudo that asks for a password, as on images since April 2026: the real one, with real PAM.

All processes of this computer, and with them the node's, are looked at 50 times a second meanwhile. The
fault matrix has the tests that its own ones go on from, too.
"""

import fcntl
import json
import os
import shlex
import subprocess
import termios

import pytest

from bramble import virtual
from bramble.remote import try_ssh
from bramble.roles.base.sudo import RULE
from bramble.sudo_password import COMMAND, OPTION, VARIABLE
from bramble.virtual import lifecycle, paths
from tests.nodes.fleet import BIN, ROOT, Fleet, wait_until
from tests.nodes.leaks import Watch, canary, files_with, on_node

pytestmark = pytest.mark.nodes

NODE = "vpi-21"
PASSWORD = canary()
ASKED = "sudo asks pi for a password, and none was given"
CHECK = "base.sudo_asks_as_planned"
STOCK = """
from pyinfra.operations import server

server.shell(name="A stock operation", commands=["id -u >/root/stock"], _sudo=True, _sudo_password="{}")
"""


class Asking(Fleet):
    """A node that gets the role base alone; what was said of it so far is in `said`."""

    said = ""

    def wants(self, **base):
        self.write([NODE], {NODE: {"node": {"roles": ["base"]}, "base": base}})

    def run(self, argv, **more):
        done = super().run(argv, **more)
        self.said += done.stdout
        return done

    def on_a_terminal(self, *words, answer):
        """`bramble` as on a terminal, where a person answers the first question; code and words."""
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [BIN / "bramble", *words],
            cwd=ROOT,
            env=self.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        said, answered = b"", False
        try:
            while data := os.read(ours, 4096):
                said += data
                if b"Password of sudo" in said and not answered:
                    answered = True
                    os.write(ours, f"{answer}\n".encode())
        except OSError:
            pass  # so ends what a terminal gives
        os.close(ours)
        self.said += said.decode()
        return process.wait(), said.decode()


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE)
    account = "rm /etc/sudoers.d/010_pi-nopasswd && echo 'pi ALL=(ALL) ALL' >/etc/sudoers.d/pi"
    argv = virtual.ssh_argv(lifecycle.running(NODE), "sudo chpasswd")
    subprocess.run(argv, input=f"pi:{PASSWORD}\n", text=True, check=True)
    virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(account)}")
    fleet = Asking(tmp_path_factory.mktemp("fleet"))
    fleet.wants()
    # Where a person keeps it, which is no place of bramble's.
    fleet.kept = tmp_path_factory.mktemp("kept")
    (fleet.kept / NODE).write_text(f"{PASSWORD}\nuser: pi\n")
    fleet.command = f"cat {fleet.kept}/{{host}}"
    # These two are given it in their environment by the tests.
    with Watch(PASSWORD, allowed=(BIN / "bramble", BIN / "pyinfra")) as fleet.watch:
        yield fleet
    virtual_pis.down(NODE)


@pytest.fixture
def on():
    """A command on the node as root, by the password on standard input: what it printed."""

    def said(command):
        asked = f"sudo -S -k -p '' sh -c {shlex.quote(command)}"
        argv = virtual.ssh_argv(lifecycle.running(NODE), asked)

        def done():
            nonlocal ended
            ended = subprocess.run(argv, input=f"{PASSWORD}\n", text=True, capture_output=True)
            return "Connection refused" not in ended.stderr

        ended = None
        # An sshd that reads its options anew listens to nobody for a moment.
        wait_until(done, 30, "an sshd that listens")
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    return said


def test_that_it_asks_is_told_first_with_what_to_do(fleet):
    done = fleet.bramble("verify", NODE)
    assert done.returncode == 1
    assert ASKED in done.stdout
    for way in (OPTION, COMMAND, VARIABLE, "base.passwordless_sudo: true"):
        assert way in done.stdout
    assert "a password is required" not in done.stdout


def test_a_wrong_password_is_tried_once(fleet, on):
    # The pattern does not match itself, as sudo's log has the command.
    told = "journalctl -b --no-pager -o cat -t sudo | grep '[i]ncorrect password'; true"
    before = len(on(told).splitlines())
    done = fleet.pyinfra("verify", "-y", **{VARIABLE: "wrong"})
    assert done.returncode == 1
    assert "sudo did not take the password that was given for pi" in done.stdout
    assert "tried once" in done.stdout
    (only,) = on(told).splitlines()[before:]
    assert " 1 incorrect password attempt ;" in only


@pytest.mark.fault("F23")
def test_the_command_that_prints_it_is_asked_and_the_rule_is_set_once(fleet, on):
    fleet.wants(passwordless_sudo=True)
    done = fleet.bramble("up", NODE, "--diff", **{COMMAND: fleet.command})
    assert done.returncode == 0, done.stdout
    assert "changed (Set sudo's rule)" in done.stdout
    assert on(f"stat -c '%a %U' {RULE}; visudo -c -f {RULE}").split("\n")[0] == "440 root"
    assert on(f"ls {try_ssh.UNDO} 2>&1; true").endswith("No such file or directory")
    assert fleet.bramble("up", NODE).stdout.startswith("Inventory")
    code, results = fleet.verify(NODE)
    assert (code, results[NODE, CHECK]["status"]) == (0, "pass")


@pytest.mark.fault("F23")
def test_a_rule_of_ours_that_another_beats_is_not_kept(fleet, on):
    on(f"rm {RULE}; echo 'pi ALL=(ALL) PASSWD: ALL' >/etc/sudoers.d/zzz-mine")
    done = fleet.pyinfra("node", "-y", **{VARIABLE: PASSWORD})
    assert done.returncode == 1
    assert "a password is required. What is not confirmed the node takes back" in done.stdout
    on(f"systemctl start {try_ssh.UNIT}; rm /etc/sudoers.d/zzz-mine")
    assert on(f"ls {RULE} 2>&1; true").endswith("No such file or directory")
    assert fleet.pyinfra("node", "-y", **{VARIABLE: PASSWORD}).returncode == 0


@pytest.mark.fault("F23")
def test_the_rule_is_taken_back_last_by_who_has_the_password_and_by_nobody_else(fleet, on):
    done = fleet.bramble("revert", "base", NODE)
    assert done.returncode == 1
    assert ASKED in done.stdout
    on(f"systemctl start {try_ssh.UNIT}")
    assert on(f"ls {RULE}") == RULE
    code, said = fleet.on_a_terminal("revert", "base", NODE, OPTION, answer=PASSWORD)
    assert (code, "reverted (Set sudo's rule)" in said) == (0, True), said
    assert on(f"ls {RULE} 2>&1; true").endswith("No such file or directory")


def test_pyinfras_own_password_of_an_operation_is_taken_by_the_same_way(fleet, on):
    deploy = fleet.kept / "stock.py"
    deploy.write_text(STOCK.format(PASSWORD))
    done = fleet.run([BIN / "pyinfra", "inventory.py", deploy, "-y"])
    assert done.returncode == 0, done.stdout
    assert on("cat /root/stock") == "0"


@pytest.mark.fault("F28")
def test_the_password_appears_nowhere(fleet, on, record_property):
    """After all of the runs before."""
    fleet.wants(passwordless_sudo=True)
    with_it = {VARIABLE: PASSWORD}
    for words in (("plan", NODE, "--json"), ("verify", NODE, "--json"), ("model", "list", NODE)):
        fleet.bramble(*words, **with_it)
    facts = fleet.run([BIN / "pyinfra", "inventory.py", "debug-inventory"], **with_it)
    assert NODE in facts.stdout
    found = {
        *fleet.watch.found,
        *on_node(on, PASSWORD),
        *(("here", path) for path in files_with(PASSWORD, fleet.folder, paths.node_dir(NODE))),
        *(("output", line) for line in fleet.said.splitlines() if PASSWORD in line),
    }
    record_property("leaked_secrets", len(found))
    assert fleet.watch.looks > 10
    assert found == set()


def test_what_would_leak_is_seen(fleet, on):
    with Watch(PASSWORD) as watch:
        subprocess.run(["sh", "-c", f"sleep 1; : {PASSWORD}"], check=True)
        on(f"systemd-run -q --wait -p Environment=X={PASSWORD} sleep 1")
    assert {kind for kind, _ in watch.found} == {"argv", "environment"}
    (fleet.folder / "planted").write_text(json.dumps({"password": PASSWORD}))
    assert files_with(PASSWORD, fleet.folder)
