"""Faults of one node: apt and its mirrors, sshd, what is in the place of managed files, and reading.

The node gets the role base alone: these faults are those of every role's programs.
"""

import re
import shlex
import subprocess
import time

import pytest

from bramble import virtual
from bramble.remote import program, try_ssh
from bramble.roles.base.access import UNDO_AFTER_S
from bramble.virtual import lifecycle
from tests.faults import toy_packages
from tests.nodes.fleet import Fleet, wait_until
from tests.nodes.signed_repository import Key

pytestmark = [pytest.mark.nodes, pytest.mark.thorough]

NODE = "vpi-68"
TOYS = tuple(f"toy-{number}" for number in range(5))
HERE, PORT = "/srv/toys", 8097
SOURCE, KEYRING = "/etc/apt/sources.list.d/toys.list", "/etc/apt/keyrings/toys.asc"
DROP_IN = "/etc/ssh/sshd_config.d/00-bramble.conf"
KEYS = "/home/pi/.ssh/authorized_keys"


class One(Fleet):
    """A node that is brought what base wants of it."""

    def wants(self, **base):
        base = {"ssh": {"password_authentication": False}, "unattended_upgrades": False, **base}
        self.write([NODE], {NODE: {"node": {"roles": ["base"]}, "base": base}})

    def deploy(self):
        done = self.pyinfra("node", "-y")
        return done.returncode, done.stdout

    def converges(self):
        """Whether one run goes well and the next one changes nothing."""
        code, said = self.deploy()
        assert code == 0, said
        code, _ = self.deploy()
        return (code, self.events("end")[0]["changed"]) == (0, [])


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE)
    fleet = One(tmp_path_factory.mktemp("fleet"))
    fleet.wants()
    assert fleet.converges()
    yield fleet
    virtual_pis.down(NODE)


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


def run_there(text):
    """A program on the node, as root and by its standard input, as a deploy runs it."""
    argv = virtual.ssh_argv(lifecycle.running(NODE), "sudo python3 -Iu -")
    return subprocess.run(argv, input=text, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def toys(fleet, tmp_path_factory):
    """The repository on the node, and its key."""
    made = tmp_path_factory.mktemp("toys")
    folder = toy_packages.build(made / "files", TOYS)
    key = Key(made / "key")
    (folder / "Release").write_text(toy_packages.release(folder))
    key.gpg("--clearsign", "--output", folder / "InRelease", folder / "Release")
    (folder / "Release").unlink()
    key.export(folder / "key.asc")
    argv = virtual.ssh_argv(
        lifecycle.running(NODE),
        f"sudo sh -ec 'mkdir -p {HERE}; tar -C {HERE} -x --no-same-owner; cp {HERE}/key.asc {KEYRING}'",
    )
    with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as packed:
        subprocess.run(argv, stdin=packed.stdout, check=True)


@pytest.fixture
def no_toys(toys, on):
    """The node without the packages, before and after."""
    gone = f"dpkg --purge --force-all {' '.join(TOYS)} >/dev/null 2>&1; dpkg --audit"
    assert on(gone) == ""
    yield
    on(f"rm -f {SOURCE}")
    assert on(gone) == ""


def installed(on):
    """Which of the packages are installed, by dpkg."""
    said = on("dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' 'toy-*' 2>/dev/null || true")
    return [line.split()[1] for line in said.splitlines() if line.startswith("ii ")]


@pytest.mark.fault("F16")
def test_a_dpkg_that_was_killed_is_finished_by_the_next_run(fleet, no_toys, on, record_property):
    """In each maintainer script of each of five packages; the last of them by whole deploys."""
    on(f"echo 'deb [trusted=yes] file:{HERE} ./' >{SOURCE}; apt-get -q update")
    text = program("apt_install", {"packages": list(TOYS)})
    points = [(toy, phase) for toy in TOYS for phase in toy_packages.PHASES]
    for toy, phase in points:
        on(f"mkdir -p {toy_packages.KILL}; touch {toy_packages.KILL}/{toy}-{phase}")
        killed = run_there(text)
        assert killed.returncode, (toy, phase)
        assert set(installed(on)) < {*TOYS}
        again = run_there(text)
        assert again.returncode == 0, (toy, phase, again.stdout)
        assert (installed(on), on("dpkg --audit")) == ([*TOYS], "")
        on(f"dpkg --purge {' '.join(TOYS)}")
    fleet.wants(packages=list(TOYS))
    on(f"touch {toy_packages.KILL}/toy-3-postinst")
    code, said = fleet.deploy()
    assert code == 1, said
    assert fleet.converges()
    assert installed(on) == [*TOYS]
    record_property("kill_points", len(points) + 1)
    fleet.wants()


SERVER = f"python3 -m http.server -b 127.0.0.1 -d {HERE} {PORT}"
SILENT = f"""python3 -c "
import socket, time
server = socket.create_server((\\"127.0.0.1\\", {PORT}), backlog=99)
time.sleep(9999)" """
MIRRORS = {
    "404": ("systemctl -q is-active toys", "mv InRelease kept", "mv kept InRelease"),
    "no answer": ("true", "true", "true"),
    "an altered release file": (
        "true",
        "cp InRelease kept; sed -i s/Origin:.toys/Origin:.tows/ InRelease",
        "mv kept InRelease",
    ),
    "no signature": (
        "true",
        "cp InRelease kept; sed -n '/^Origin/,/Packages$/p' kept >Release; rm InRelease",
        "mv kept InRelease; rm Release",
    ),
    "another index": (
        "true",
        "cp Packages kept; sed -i 's/a toy/a tow/' Packages",
        "mv kept Packages",
    ),
}
SAID = {
    "404": "does not give that",
    "no answer": "the mirror is not reached",
    "an altered release file": "a signature does not hold, and nothing is taken unsigned",
    "no signature": "a signature does not hold, and nothing is taken unsigned",
    "another index": "is not what its lists say",
}


@pytest.mark.fault("F17")
@pytest.mark.parametrize("fault", MIRRORS)
def test_a_mirror_that_fails_is_told_and_nothing_unsigned_is_installed(fleet, no_toys, on, fault):
    _, spoil, mend = MIRRORS[fault]
    quick = 'Acquire::http::Timeout "5"; Acquire::http::Proxy::127.0.0.1 "DIRECT";'
    on(f"echo {shlex.quote(quick)} >/etc/apt/apt.conf.d/99-toys")
    on(f"echo 'deb [signed-by={KEYRING}] http://127.0.0.1:{PORT} ./' >{SOURCE}")
    on(f"rm -f /var/lib/apt/lists/*{PORT}* /var/lib/apt/lists/partial/*{PORT}*")
    on(f"cd {HERE}; {spoil}")
    on(f"systemd-run -q --unit=toys {SILENT if fault == 'no answer' else SERVER}")
    on(f"until ss -Hltn | grep -q :{PORT}; do sleep 0.1; done")
    fleet.wants(packages=list(TOYS))
    code, said = fleet.deploy()
    assert code == 1, said
    assert SAID[fault] in said
    assert installed(on) == []
    on(f"cd {HERE}; {mend}; systemctl stop toys; systemctl reset-failed toys 2>/dev/null || true")
    on(f"systemd-run -q --unit=toys {SERVER}; until ss -Hltn | grep -q :{PORT}; do sleep 0.1; done")
    assert fleet.converges()
    assert installed(on) == [*TOYS]
    on("systemctl stop toys; rm /etc/apt/apt.conf.d/99-toys")
    fleet.wants()


HOLD = (
    "import fcntl, time; lock = open('/var/lib/apt/lists/lock', 'wb'); "
    "fcntl.lockf(lock, fcntl.LOCK_EX); time.sleep(3600)"
)


@pytest.mark.fault("F25")
def test_of_two_runs_at_once_the_second_one_changes_nothing_and_names_the_first(fleet, on):
    """The first one waits for a lock in the middle of its steps."""
    on("dpkg --purge hello; rm -f /var/lib/apt/lists/*_Packages*")
    on(f"systemd-run --quiet --unit=somebody python3 -c {shlex.quote(HOLD)}")
    fleet.wants(packages=["hello"])
    said = fleet.folder / "said"
    with said.open("w") as output:
        first = fleet.start_pyinfra("node", "-y", stdout=output)
    wait_until(lambda: "waiting for PID" in said.read_text(), 120, "the first run's wait")
    fleet.wants(packages=["hello", "sl"], timezone="Asia/Tokyo")
    code, second = fleet.deploy()
    assert code == 1
    assert re.search(rf"@\S+, process {first.pid} \(since .*\) is changing this node", second)
    assert on("date +%Z") != "JST"
    on("systemctl stop somebody")
    assert first.wait() == 0, said.read_text()
    assert fleet.converges()
    assert on("date +%Z") == "JST"


@pytest.mark.fault("F25")
def test_a_run_that_was_killed_lets_go_of_the_node(fleet, on):
    on("dpkg --purge hello")
    on(f"systemd-run --quiet --unit=somebody python3 -c {shlex.quote(HOLD)}")
    on("rm -f /var/lib/apt/lists/*_Packages*")
    fleet.wants(packages=["hello"])
    said = fleet.folder / "said"
    with said.open("w") as output:
        first = fleet.start_pyinfra("node", "-y", stdout=output)
    wait_until(lambda: "waiting for PID" in said.read_text(), 120, "the first run's wait")
    first.kill()
    first.wait()
    on("systemctl stop somebody")
    assert fleet.converges()
    fleet.wants()


# What `sshd -t` has nothing against, and what people cannot log in with.
LOCKED_OUT = {
    "nobody is let in": (DROP_IN, "AllowUsers nobody\n"),
    "no key is left": (KEYS, "# none\n"),
    "sshd ends": (DROP_IN, "ListenAddress 192.0.2.1\n"),
}
BACK_AFTER_S = 60


@pytest.mark.fault("F23")
@pytest.mark.parametrize("how", LOCKED_OUT)
def test_a_change_that_locks_everybody_out_is_taken_back_by_the_node(
    fleet, on, virtual_pis, how, record_property
):
    """The trial of a deploy without the checks before it; its time shortened from two minutes."""
    assert UNDO_AFTER_S <= 120
    path, text = LOCKED_OUT[how]
    before = on(f"sha256sum {DROP_IN} {KEYS}; stat -c '%a %U' {DROP_IN} {KEYS}")
    was = on(f"sha256sum {path}").split()[0]
    owner = "pi" if path == KEYS else "root"
    file = {"path": path, "was_sha256": was, "text": text, "mode": 0o600, "owner": owner}
    query = {"confirm": False, "files": [file], "keys": None, "undo_after_s": BACK_AFTER_S}
    begun = run_there(program("try_ssh", query))
    assert begun.returncode == 0, begun.stderr
    assert virtual_pis.boot_id(NODE) is None, "nobody is locked out"
    wait_until(lambda: virtual_pis.boot_id(NODE), BACK_AFTER_S + 60, "the way in")
    record_property("bricked", 0)
    left = f"ls -d {try_ssh.UNDO} {try_ssh.UNIT_FILE} 2>/dev/null | wc -l"
    wait_until(lambda: on(left) == "0", 30, "the end of the trial")
    assert on(f"sha256sum {DROP_IN} {KEYS}; stat -c '%a %U' {DROP_IN} {KEYS}") == before
    assert fleet.converges()


PLACES = {
    "a link": (DROP_IN, "mv {0} /root/kept; ln -s /root/kept {0}", "mv /root/kept {0}"),
    "a folder": (
        "/etc/apt/apt.conf.d/99-bramble-unattended-upgrades",
        "mv {0} /root/kept; mkdir {0}",
        "rmdir {0}; mv /root/kept {0}",
    ),
    "an immutable file": (DROP_IN, "echo '# x' >{0}; chattr +i {0}", "chattr -i {0}"),
}


CAUSES = {
    "a link": f"{DROP_IN} is ",
    "a folder": "is not a plain file",
    "an immutable file": "it is immutable, and stays as it is",
}


@pytest.mark.fault("F29")
@pytest.mark.parametrize("kind", PLACES)
def test_what_is_in_the_place_of_a_managed_file_fails_the_host_with_its_cause(fleet, on, kind):
    path, spoil, mend = PLACES[kind]
    seen = f"stat -c '%F %i' {path}"
    on(spoil.format(path))
    there = on(seen)
    code, said = fleet.deploy()
    try:
        assert code == 1, said
        assert CAUSES[kind] in said
        assert on(seen) == there
        assert "Traceback" not in said
    finally:
        on(mend.format(path))
    assert fleet.converges()


def everything(on):
    """Each file, folder and link of the node with what would tell of a change, apart from its log."""
    form = "%p %i %s %m %T@ %C@ %l\\n"
    # What is another file system, its log, and the compiler's cache, which all virtual Pis share.
    apart = (
        "/run",
        "/var/log",
        "/var/lib/systemd/timesync",
        "/var/lib/private",
        "/var/cache/bramble",
    )
    left_out = " ".join(f"-path {path} -prune -o" for path in apart)
    return on(f"find / -xdev {left_out} -printf '{form}' | sort").splitlines()


@pytest.mark.promise(6)
def test_plan_verify_and_dry_runs_write_nothing_on_the_node(fleet, on):
    on(f"echo '# spoiled' >>{DROP_IN}")
    for words in (("plan",), ("verify",), ("up", "--dry", "--diff"), ("verify", "--deep")):
        before, began = everything(on), time.monotonic()
        done = fleet.bramble(*words, NODE)
        assert "00-bramble.conf" in done.stdout, done.stdout
        changed = sorted({*everything(on)} ^ {*before})
        assert changed == [], (words, time.monotonic() - began)
    assert fleet.converges()
