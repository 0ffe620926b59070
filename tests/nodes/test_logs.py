"""log2ram on a virtual Pi, from a signed repository of our own: what is taken, refused and kept."""

import shlex
import subprocess

import pytest

from bramble import virtual
from bramble.virtual import lifecycle
from tests.nodes import signed_repository
from tests.nodes.fleet import BIN, Fleet

pytestmark = pytest.mark.nodes

NODE = "vpi-146"
DEPLOY = """
from bramble.pyinfra.run import execute, gather_facts
from bramble.pyinfra.verification import verify

node = gather_facts()
execute(node, "storage")
execute(node, "boot")
verify(node, "storage")
"""
HERE, PORT = "/srv/log2ram", 8099
URL = f"http://127.0.0.1:{PORT}"
INDEX = f"{HERE}/dists/bookworm/main/binary-amd64/Packages"
RELEASE = f"{HERE}/dists/bookworm/InRelease"
OURS = (
    "/etc/apt/sources.list.d/bramble-log2ram.sources",
    "/etc/apt/preferences.d/bramble-log2ram",
    "/etc/apt/keyrings/bramble-log2ram-*.gpg",
)
ABOUT_LOG2RAM = (
    "storage.logs_are_in_memory",
    "storage.logs_have_room",
    "storage.logs_take_no_zram",
    "storage.repository_gives_log2ram_only",
)


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


class Logs(Fleet):
    """A fleet that is brought no further than storage, and to the reboot that it asks for."""

    def deploy(self, code=0, **storage):
        """One deploy with these settings of storage; the steps that had something to do."""
        self.write([NODE], {NODE: {"storage": {"ssd": {"device": "off"}, **storage}}})
        script = self.folder / "logs.py"
        script.write_text(DEPLOY)
        done = self.run([BIN / "pyinfra", "inventory.py", script, "-y"])
        assert done.returncode == code, done.stdout
        self.said = done.stdout
        return [event["step"] for event in self.events("step")]

    def log2ram(self, **changes):
        """The settings that have log2ram come from our repository."""
        repository = {
            "url": URL,
            "key_file": str(self.key_file),
            "fingerprint": self.key.fingerprint,
        }
        return {"log2ram": "on", "log2ram_repository": repository | changes}


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A fresh virtual Pi that serves the repository to itself."""
    virtual_pis.up(NODE)
    fleet = Logs(tmp_path_factory.mktemp("fleet"))
    made = tmp_path_factory.mktemp("repository")
    fleet.key = signed_repository.Key(made / "key")
    fleet.key_file = fleet.key.export(made / "key.asc")
    serve(signed_repository.build(made / "files", fleet.key, "amd64"))
    return fleet


def serve(folder):
    """Put the repository on the node and serve it there; apt asks no proxy for it."""
    script = (
        f"mkdir -p {HERE}; tar -C {HERE} -x --no-same-owner; "
        "echo 'Acquire::http::Proxy::127.0.0.1 \"DIRECT\";' >/etc/apt/apt.conf.d/99-here; "
        "printf '[Service]\\nExecStart=python3 -m http.server -b 127.0.0.1 -d %s %s\\n"
        f"[Install]\\nWantedBy=multi-user.target\\n' {HERE} {PORT} "
        ">/etc/systemd/system/here.service; systemctl -q enable --now here"
    )
    argv = virtual.ssh_argv(lifecycle.running(NODE), f"sudo sh -ec {shlex.quote(script)}")
    with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as packed:
        subprocess.run(argv, stdin=packed.stdout, check=True)


def nothing_of_ours(on):
    """Whether neither the repository nor log2ram is on the node."""
    return on(f"ls -d {' '.join(OURS)} 2>/dev/null; dpkg-query -W log2ram 2>/dev/null; true") == ""


def test_by_default_nothing_is_installed_and_the_reason_is_told(fleet, on):
    assert "Install log2ram" not in fleet.deploy()
    found = fleet.verify(NODE)[1]
    for check in ABOUT_LOG2RAM:
        assert found[NODE, check]["status"] == "skip"
        assert "the journal is volatile, there is no rsyslog" in found[NODE, check]["got"]
    assert found[NODE, "storage.journal_is_where_planned"]["status"] == "pass"
    assert found[NODE, "storage.journal_keeps_to_its_cap"]["status"] == "pass"
    assert "left out: no log would wear the card" in fleet.bramble("plan", NODE).stdout
    assert fleet.deploy() == []
    assert nothing_of_ours(on)


def test_a_key_with_another_fingerprint_is_refused_and_nothing_is_left(fleet, on):
    fleet.deploy(code=1, **fleet.log2ram(fingerprint="0" * 40))
    assert f"holds {fleet.key.fingerprint}, and the pinned fingerprint is {'0' * 40}" in fleet.said
    assert nothing_of_ours(on)


@pytest.mark.fault("F17")
@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (
            f"sed -i 's/^Version: 99.0$/Version: 98.0/' {INDEX}",
            f"sed -i 's/^Version: 98.0$/Version: 99.0/' {INDEX}",
        ),
        (f"sed -i 's/^Origin: test/Origin: tess/' {RELEASE}", f"sed -i s/tess/test/ {RELEASE}"),
        (f"mv {RELEASE} {HERE}/kept", f"mv {HERE}/kept {RELEASE}"),
    ],
    ids=["another index", "another release file", "no signature"],
)
def test_a_repository_that_is_not_as_it_was_signed_is_refused(fleet, on, spoil, mend):
    on(spoil)
    fleet.deploy(code=1, **fleet.log2ram())
    on(mend)
    assert "log2ram's repository was not added: apt does not take the repository" in fleet.said
    assert nothing_of_ours(on)
    on("apt-get -q update")


def test_a_host_that_serves_other_packages_too_is_refused(fleet, on):
    other = "/etc/apt/sources.list.d/other.list"
    on(f"ln -s . {HERE}/other; echo 'deb [trusted=yes] {URL}/other bookworm main' >{other}")
    on("apt-get -q update")
    fleet.deploy(code=1, **fleet.log2ram())
    on(f"rm {other}; apt-get -q update")
    assert f"127.0.0.1 serves {URL}/other too" in " ".join(fleet.said.split())
    assert nothing_of_ours(on)


def test_a_memory_that_is_too_small_is_refused_with_the_numbers(fleet, on):
    on("dd if=/dev/urandom of=/var/log/large bs=1M count=40 status=none")
    fleet.deploy(code=1, **fleet.log2ram(), log2ram_size_mib=32)
    on("rm /var/log/large")
    assert "/var/log needs 4" in fleet.said
    assert "and storage.log2ram_size_mib is 32" in fleet.said
    assert on("dpkg-query -W log2ram 2>/dev/null; true") == ""


def test_log2ram_comes_from_there_and_nothing_else_does(fleet, on):
    fleet.deploy(**fleet.log2ram(), journal={"storage": "persistent"})
    assert f"{URL} bookworm/main" in on("apt-cache policy log2ram")
    assert "Candidate: 99.0" not in on("apt-cache policy curl")
    assert " 99.0 -1\n" in on("apt-cache policy curl")
    assert on("findmnt -no FSTYPE,SOURCE,SIZE /var/log").split() == ["tmpfs", "log2ram", "128M"]
    assert "persistent" in on("cat /etc/systemd/journald.conf.d/99-bramble.conf")
    assert fleet.deploy(**fleet.log2ram(), journal={"storage": "persistent"}) == []
    found = fleet.verify(NODE)[1]
    assert {found[NODE, check]["status"] for check in ABOUT_LOG2RAM} == {"pass"}


def test_logs_outlast_an_orderly_reboot(fleet, virtual_pis, on):
    on("echo a line >/var/log/app.log; logger a-line-of-the-journal")
    virtual_pis.reboot(NODE)
    assert on("findmnt -no SOURCE /var/log") == "log2ram"
    assert on("cat /var/log/app.log") == "a line"
    assert "a-line-of-the-journal" in on("journalctl -t root -o cat")
    # A journal that was written back while it was open would be put aside as damaged.
    assert on("find /var/log/journal -name '*~'") == ""


def test_a_pin_that_is_gone_is_found_and_mended(fleet, on):
    settings = fleet.log2ram() | {"journal": {"storage": "persistent"}}
    on(f"rm {OURS[1]}")
    result = fleet.verify(NODE)[1][NODE, "storage.repository_gives_log2ram_only"]
    assert (result["status"], "takes any package" in result["got"]) == ("fail", True)
    assert fleet.deploy(**settings) == ["Add log2ram's repository"]
    assert fleet.deploy(**settings) == []


def test_another_size_is_in_force_after_the_one_reboot(fleet, on):
    settings = fleet.log2ram() | {"journal": {"storage": "persistent"}, "log2ram_size_mib": 160}
    steps = fleet.deploy(**settings)
    assert steps.count("Reboot") == 1
    assert on("findmnt -no SOURCE,SIZE /var/log").split() == ["log2ram", "160M"]
    assert on("cat /var/log/app.log") == "a line"
    assert fleet.deploy(**settings) == []


def test_a_program_that_writes_there_is_named_and_nothing_is_ended(fleet, on):
    on("systemd-run -q --unit=writer sh -c 'exec sleep 600 >>/var/log/writer.log'")
    done = fleet.bramble("revert", "storage", NODE)
    on("systemctl stop writer")
    assert done.returncode == 1
    assert "would continue writing to memory that nobody sees" in done.stdout
    assert on("findmnt -no SOURCE /var/log") == "log2ram"
    assert fleet.verify(NODE)[1][NODE, "storage.journal_is_where_planned"]["status"] == "pass"


def test_revert_brings_the_logs_back_to_the_disk(fleet, on):
    on("echo another >>/var/log/app.log; logger a-line-before-revert")
    done = fleet.bramble("revert", "storage", NODE)
    assert done.returncode == 0, done.stdout
    assert nothing_of_ours(on)
    assert on("findmnt -no SOURCE /var/log || echo none") == "none"
    assert on("ls -d /var/hdd.log 2>/dev/null || echo gone") == "gone"
    assert on("cat /var/log/app.log").split("\n") == ["a line", "another"]
    assert "a-line-before-revert" in on("journalctl -t root -o cat")
    assert "nothing to revert" in fleet.bramble("revert", "storage", NODE).stdout
