"""An audit of a real system finds what was planted and nothing else, and leaves the node as it was.

The node gets the role base alone: what is beside a plan is the same for every role.
"""

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.nodes.fleet import BIN, ROOT, Fleet

pytestmark = pytest.mark.nodes

NODE = "vpi-69"
DROP_IN = "/etc/ssh/sshd_config.d/00-bramble.conf"
UPGRADES = "/etc/apt/apt.conf.d/99-bramble-unattended-upgrades"
# What a fresh virtual Pi has: the key by which tests log in, and what fails in a container.
WARNED = {"login-key", "other-failed-unit", "other-drop-in"}
OURS = ("/etc", "/opt/bramble", "/var/lib/bramble", "/usr/local", "/boot", "/home", "/root")
# What any login by SSH writes: who was here last (lastlog, wtmp; on Trixie databases of their own), the
# journal, and what is in /run. timesyncd keeps its time in a file.
LOGIN_WRITES = (
    *("/run", "/var/log", "/var/lib/wtmpdb", "/var/lib/lastlog"),
    *("/var/lib/systemd/timesync", "/var/cache/bramble"),
)


class Audited(Fleet):
    """A node that base is wanted on, and its audits."""

    def wants(self, **audit):
        base = {
            "ssh": {"password_authentication": False},
            "packages": ["htop"],
            "unattended_upgrades": False,
        }
        self.write([NODE], {NODE: {"node": {"roles": ["base"]}, "base": base, "audit": audit}})

    def audit(self, *words):
        """`bramble audit --json`: its exit code and the one host."""
        done = subprocess.run(
            [str(BIN / "bramble"), "audit", "--json", *words, NODE],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        (host,) = json.loads(done.stdout)["hosts"]
        return done.returncode, host


def told(host):
    """What is told of a host without asking for all, by what a waiver names."""
    return {
        item["id"]: item
        for item in host["items"]
        if item["status"] not in ("pass", "skip") or item["change"]
    }


@pytest.fixture(
    scope="module",
    params=[
        "bookworm",
        pytest.param("trixie", marks=[pytest.mark.thorough, pytest.mark.trixie]),
    ],
)
def fleet(request, virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE, release=request.param)
    fleet = Audited(tmp_path_factory.mktemp("fleet"))
    fleet.wants()
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    yield fleet
    virtual_pis.down(NODE)


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


def test_a_healthy_node_is_as_planned(fleet):
    code, host = fleet.audit()
    assert {item["kind"] for item in told(host).values()} <= WARNED
    assert (code, host["state"]) == (0, "as planned")


def test_it_takes_one_command_and_no_operation(fleet, tmp_path):
    count = tmp_path / "count"
    script = Path(__file__).with_name("counted_pyinfra.py")
    done = fleet.run(
        [sys.executable, script, "inventory.py", "deploys/audit.py", "-y"], BRAMBLE_COUNT=str(count)
    )
    assert done.returncode == 0, done.stdout
    counted = Counter(tuple(line.split()) for line in count.read_text().splitlines())
    assert counted[NODE, "command"] == 1
    assert counted[NODE, "operation"] == 0


# A command that plants it, one that takes it away, and the beginning of what is told of it.
PLANTED = {
    "a file edited by hand": (
        f"echo '# spoiled' >>{DROP_IN}",
        f"sed -i '/# spoiled/d' {DROP_IN}",
        "base: ",
    ),
    "a file of ours that all may write": (
        f"chmod 666 {UPGRADES}",
        f"chmod 644 {UPGRADES}",
        f"writable {UPGRADES}",
    ),
    "a file in a folder of ours that all may write": (
        "mkdir -p /opt/bramble/x; touch /opt/bramble/x/y; chmod 666 /opt/bramble/x/y",
        "rm -r /opt/bramble/x",
        "writable /opt/bramble/x/y",
    ),
    "a folder of ours that is pi's": (
        "mkdir -p /opt/bramble/x; chown pi /opt/bramble/x",
        "rm -r /opt/bramble/x",
        "owned-by-other /opt/bramble/x",
    ),
    "a listener": (
        "systemd-run -q --unit=stranger python3 -m http.server -b 0.0.0.0 9999;"
        " until ss -Hltn | grep -q :9999; do sleep 0.1; done",
        "systemctl stop stranger",
        "listener 0.0.0.0:9999",
    ),
    "a package that is held": (
        "apt-mark hold htop",
        "apt-mark unhold htop",
        "held-package htop",
    ),
    "a unit that failed": (
        "systemd-run -q --unit=stranger false || true;"
        " until systemctl -q is-failed stranger; do sleep 0.1; done",
        "systemctl reset-failed stranger",
        "other-failed-unit stranger.service",
    ),
    "a drop-in": (
        "mkdir -p /etc/systemd/system/ssh.service.d; cd /etc/systemd/system/ssh.service.d;"
        " printf '[Service]\\nNice=1\\n' >x.conf; systemctl daemon-reload",
        "rm -r /etc/systemd/system/ssh.service.d; systemctl daemon-reload",
        "other-drop-in ssh.service /etc/systemd/system/ssh.service.d/x.conf",
    ),
    "a line of cron": (
        f"echo '0 3 * * * root rm {DROP_IN}' >/etc/cron.d/stranger",
        "rm /etc/cron.d/stranger",
        "cron /etc/cron.d/stranger: ",
    ),
    "a timer": (
        "cd /etc/systemd/system; printf '[Timer]\\nOnCalendar=yearly\\n' >stranger.timer;"
        f" printf '[Service]\\nExecStart=rm {DROP_IN}\\n' >stranger.service",
        "rm /etc/systemd/system/stranger.*",
        "timer /etc/systemd/system/stranger.timer: ",
    ),
    "another root": (
        "useradd --non-unique --uid 0 --no-create-home toor",
        "sed -i '/^toor:/d' /etc/passwd /etc/shadow; sed -i '/^toor:/d' /etc/group /etc/gshadow",
        "root-user toor",
    ),
    "a key of root's": (
        "mkdir -p /root/.ssh; cp /home/pi/.ssh/authorized_keys /root/.ssh/",
        "rm /root/.ssh/authorized_keys",
        "other-account-key root",
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found_and_gone_when_it_is_taken_away(fleet, on, what):
    plant, mend, name = PLANTED[what]
    before = set(told(fleet.audit()[1]))
    on(plant)
    try:
        code, host = fleet.audit()
    finally:
        on(mend)
    found = [item for key, item in told(host).items() if key.startswith(name)]
    assert len(found) == 1, told(host).keys()
    assert code == (0 if found[0]["kind"] in WARNED else 2)
    assert set(told(fleet.audit()[1])) == before


def test_who_changed_a_file_is_told_by_sudos_journal(fleet, on, virtual_pis):
    virtual_pis.said(NODE, f"sudo sed -i '$a # spoiled' {DROP_IN}")
    try:
        _, host = fleet.audit()
    finally:
        on(f"sed -i '/# spoiled/d' {DROP_IN}")
    (item,) = [one for one in host["items"] if one["kind"] == "step" and one["diffs"]]
    (origin,) = item["origins"]
    assert origin["owner"] == "root:root 0644"
    assert any(
        line["user"] == "pi" and "sed -i" in line["command"] and DROP_IN in line["command"]
        for line in origin["sudo"]
    )


def test_only_what_is_new_since_the_last_audit_is_told(fleet, on):
    fleet.audit()
    on("apt-mark hold htop")
    try:
        code, host = fleet.audit("--since", "LAST")
        again, same = fleet.audit("--since", "LAST")
    finally:
        on("apt-mark unhold htop")
    assert (code, {key: item["change"] for key, item in told(host).items()}) == (
        2,
        {"held-package htop": "new"},
    )
    assert (again, told(same)) == (0, {})


def test_a_waiver_of_the_inventory_counts_until_its_day(fleet, on):
    waiver = {
        "what": "held-package htop",
        "owner": "Ada",
        "reason": "a test",
        "until": "2999-01-01",
    }
    on("apt-mark hold htop")
    try:
        fleet.wants(waivers=[waiver])
        code, host = fleet.audit()
        fleet.wants(waivers=[waiver | {"until": "2020-01-01"}])
        expired, _ = fleet.audit()
    finally:
        on("apt-mark unhold htop")
        fleet.wants()
    assert (code, told(host)["held-package htop"]["status"]) == (0, "waived")
    assert expired == 2


# It changes nothing


def files(on):
    """Each file, folder and link of the node with what would tell of a change, its ctime too."""
    apart = " ".join(f"-path {path} -prune -o" for path in LOGIN_WRITES)
    return set(on(f"find / -xdev {apart} -printf '%p %i %s %m %U %G %T@ %C@ %l\\n'").splitlines())


def hashes(on):
    """The sha256 of each file that is anybody's to change."""
    there = " ".join(OURS)
    return set(on(f"find {there} -xdev -type f -exec sha256sum {{}} + 2>/dev/null").splitlines())


def cursor(on):
    """Where the journal ends now."""
    return on("journalctl -n 0 --show-cursor").rpartition("cursor: ")[2].strip()


# Of a login: its session, the user's own manager, and what they are made of.
OF_LOGIN = re.compile(r"(session-|user@|user-\d+\.slice|user-runtime-dir@|user\.slice)")
BY_LOGIN = ("sshd", "sshd-session", "systemd-logind", "sudo", "(systemd)")


def others(on, after):
    """The journal's lines since a cursor, but for those that any login and its sudo leave."""
    fields = "SYSLOG_IDENTIFIER,MESSAGE,UNIT,_SYSTEMD_UNIT"
    said = on(f"journalctl -q -o json --output-fields={fields} --after-cursor='{after}'")
    entries = [json.loads(line) for line in said.splitlines()]
    assert "sudo" in {entry.get("SYSLOG_IDENTIFIER") for entry in entries}
    return [
        (entry.get("SYSLOG_IDENTIFIER"), entry.get("UNIT"), entry.get("MESSAGE"))
        for entry in entries
        if entry.get("SYSLOG_IDENTIFIER") not in BY_LOGIN
        and not OF_LOGIN.match(entry.get("UNIT", ""))
        and not OF_LOGIN.match(entry.get("_SYSTEMD_UNIT", ""))
    ]


def test_it_leaves_files_and_journal_as_any_login_does(fleet, on):
    """The journal gets lines of sshd, logind, the session's units and sudo, and no other."""
    on(f"echo '# spoiled' >>{DROP_IN}")
    # What runs by the clock writes when it will.
    on("systemctl stop '*.timer' cron")
    try:
        before, sums, start = files(on), hashes(on), cursor(on)
        for words in ((), ("--since", "LAST")):
            code, _ = fleet.audit(*words)
            assert code in (0, 2)
        written = others(on, start)
        after, sums_after = files(on), hashes(on)
    finally:
        on(f"systemctl restart timers.target cron; sed -i '/# spoiled/d' {DROP_IN}")
    assert sorted(before ^ after) == []
    assert sums == sums_after
    assert written == []
