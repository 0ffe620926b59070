"""The role base on a virtual Pi: names, keys, repairs, and that no change of sshd locks anybody out."""

import hashlib
import json
import shlex
import subprocess
from pathlib import Path

import paramiko
import pytest
import yaml

from bramble import virtual
from bramble.remote import program, time_sync
from bramble.virtual import lifecycle
from bramble.virtual.model import address_of
from tests.nodes.fleet import BIN, ROOT, Fleet, wait_until

pytestmark = pytest.mark.nodes

NODE = "vpi-145"
DEPLOY = """
from bramble.pyinfra.run import execute, gather_facts
from bramble.pyinfra.verification import verify

node = gather_facts()
execute(node, "base")
verify(node, "base")
"""
DROP_IN = "/etc/ssh/sshd_config.d/00-bramble.conf"
KEYS = "/home/pi/.ssh/authorized_keys"
OLD_SHA256 = hashlib.sha256(b"PrintMotd yes\n").hexdigest()


class Base(Fleet):
    """A fleet that gets this one role."""

    def deploy(self):
        script = self.folder / "base_alone.py"
        script.write_text(DEPLOY)
        return self.run([BIN / "pyinfra", "inventory.py", script, "-y"])

    def start_deploy(self):
        """A deploy under way; what it says goes into the file `said` of the fleet's folder."""
        script = self.folder / "base_alone.py"
        script.write_text(DEPLOY)
        with (self.folder / "said").open("w") as said:
            return subprocess.Popen(
                [BIN / "pyinfra", "inventory.py", script, "-y"],
                cwd=ROOT,
                env=self.environment(PYTHONUNBUFFERED="1"),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def changed(self):
        """A deploy that must go well; the names of the hosts that changed."""
        done = self.deploy()
        assert done.returncode == 0, done.stdout
        return self.events("end")[0]["changed"]


@pytest.fixture(scope="module")
def second_key(tmp_path_factory):
    """A key pair of somebody else; the path of its private half."""
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "second", "-f", path], check=True
    )
    return path


@pytest.fixture(scope="module")
def desired_settings(second_key):
    """What this fleet wants of base."""
    return {
        "hostname": "attic",
        "timezone": "Europe/Vienna",
        "unattended_upgrades": False,
        "authorized_keys": [second_key.with_suffix(".pub").read_text().strip()],
        "ssh": {"password_authentication": False},
        "passwordless_sudo": True,
    }


@pytest.fixture(scope="module")
def fleet(virtual_pis, desired_settings, tmp_path_factory):
    virtual_pis.up(NODE)
    fleet = Base(tmp_path_factory.mktemp("fleet"))
    fleet.write([NODE], {NODE: {"base": desired_settings}})
    fleet.first_run = fleet.changed()
    return fleet


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


def found(fleet):
    _, results = fleet.verify(NODE)
    return {check: entry for (_, check), entry in results.items() if check.startswith("base.")}


def test_all_of_it_is_in_force_and_a_second_run_changes_nothing(fleet, on):
    assert fleet.first_run == [NODE]
    assert fleet.changed() == []
    assert on("hostname") == "attic"
    assert on("getent hosts attic") == "127.0.1.1       attic"
    assert on("date +%Z") in ("CET", "CEST")
    assert "passwordauthentication no" in on("sshd -T")
    assert on(f"wc -l <{KEYS}") == "2"
    assert on("ls /var/lib/bramble /etc/systemd/system | grep -c undo; true") == "0"
    statuses = {check: entry["status"] for check, entry in found(fleet).items()}
    assert statuses.pop("base.cloud_init_keeps_the_name") == "skip"
    assert set(statuses.values()) == {"pass"}


def test_the_look_tells_of_the_clock_what_timedatectl_does(on):
    program = Path(time_sync.__file__).read_text() + "\nimport json\nprint(json.dumps(look()))\n"
    reported = json.loads(on(f"python3 -I - <<'END'\n{program}END"))
    oracle = dict(line.split("=", 1) for line in on("timedatectl show").splitlines())
    assert reported == {name: oracle[name] for name in reported}
    assert set(reported) == {"Timezone", "CanNTP", "NTP", "NTPSynchronized"}


def test_a_half_installed_package_is_found_and_repaired(fleet, on):
    half = "/^Package: curl$/,/^Status:/ s/^Status: .*/Status: install ok half-configured/"
    on(f"sed -i '{half}' /var/lib/dpkg/status")
    assert found(fleet)["base.dpkg_is_consistent"]["got"] == "half installed: curl"
    assert fleet.changed() == [NODE]
    assert on("dpkg --audit") == ""


HOLD = (
    "import fcntl, time; lock = open('/var/lib/apt/lists/lock', 'wb'); "
    "fcntl.lockf(lock, fcntl.LOCK_EX); time.sleep(3600)"
)


@pytest.mark.fault("F15")
def test_an_apt_of_somebody_elses_is_waited_for_and_a_broken_source_is_told(
    fleet, on, desired_settings
):
    on("rm -f /var/lib/apt/lists/*_Packages*")
    on("echo 'deb file:/srv/none bookworm main' >/etc/apt/sources.list.d/none.list")
    on(f"systemd-run --quiet --unit=somebody-elses-apt python3 -c {shlex.quote(HOLD)}")
    pid = on("systemctl show -p MainPID --value somebody-elses-apt")
    fleet.write([NODE], {NODE: {"base": desired_settings | {"packages": ["hello"]}}})
    with fleet.start_deploy() as process:
        said = fleet.folder / "said"
        wait_until(lambda: "waiting for PID" in said.read_text(), 120, "the word on the lock")
        on("systemctl stop somebody-elses-apt")
        assert process.wait() == 0, said.read_text()
    reported = said.read_text()
    where = "which holds /var/lib/apt/lists/lock"
    assert f"waiting for PID {pid} (python3, somebody-elses-apt.service), {where}" in reported
    assert (
        "the package lists could not all be updated: the mirror, or a proxy before it" in reported
    )
    assert on("hello") == "Hello, world!"
    on("rm /etc/apt/sources.list.d/none.list; apt-mark hold hello")
    assert fleet.changed() == [], "on hold is installed"
    assert found(fleet)["base.packages_are_installed"]["status"] == "pass"
    fleet.write([NODE], {NODE: {"base": desired_settings}})


@pytest.mark.fault("F23")
def test_a_change_that_locks_us_out_is_back_after_a_reboot_without_us(
    fleet, on, virtual_pis, desired_settings, second_key
):
    before = on(f"cat {KEYS}")
    fleet.write([NODE], {NODE: {"base": desired_settings | {"exclusive_keys": True}}})
    done = fleet.deploy()
    fleet.write([NODE], {NODE: {"base": desired_settings}})
    assert done.returncode == 1
    assert "the node did not let us in again" in done.stdout
    assert virtual_pis.boot_id(NODE) is None, "we are locked out for now"
    argv = virtual.ssh_argv(lifecycle.running(NODE), "sudo systemctl reboot")
    ours = str(next(word for word in argv if str(word).endswith("id_ed25519")))
    subprocess.run([str(second_key) if word == ours else word for word in argv], check=False)
    virtual_pis.wait_for_another_boot(NODE, None, 60)
    assert on(f"cat {KEYS}") == before
    assert fleet.changed() == []


@pytest.mark.fault("F23")
def test_a_trial_that_is_killed_at_any_instant_leaves_no_obstacle(fleet, on, virtual_pis):
    """Killed before each thing that it changes, and booted: by systemd, with the real sshd."""
    paths = ["/etc/ssh/sshd_config.d/90-toy.conf", "/etc/ssh/toy_keys"]
    texts = ["PrintMotd no\n", "ssh-ed25519 AAAA toy\n"]
    files = [
        {"path": path, "was_sha256": was, "text": text, "mode": 0o600, "owner": "root"}
        for path, was, text in zip(paths, [OLD_SHA256, None], texts, strict=True)
    ]
    on(f"echo PrintMotd yes >{paths[0]}")
    begin = {"confirm": False, "files": files, "keys": None, "undo_after_s": 3600}
    job = {
        "paths": paths,
        "new": texts,
        "begin": program("try_ssh", begin),
        "confirm": program("try_ssh", {"confirm": True}),
    }
    driver = Path(__file__).with_name("killed_trials.py").read_text()
    argv = virtual.ssh_argv(lifecycle.running(NODE), "sudo python3 -")
    text = f"{driver}\nmain(json.loads({json.dumps(job)!r}))\n"
    done = subprocess.run(argv, input=text, text=True, capture_output=True)
    on(f"rm {paths[0]}")
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert min(found["kills"].values()) > 5


def test_a_broken_configuration_of_sshd_is_found_and_not_touched(fleet, on):
    on(f"rm {DROP_IN}; echo Nonsense yes >/etc/ssh/sshd_config.d/50-mine.conf")
    done = fleet.deploy()
    assert done.returncode == 1
    assert "Nonsense" in done.stdout
    assert on(f"ls {DROP_IN} 2>&1; true").endswith("No such file or directory")
    assert found(fleet)["base.sshd_configuration_is_valid"]["status"] == "fail"
    on("rm /etc/ssh/sshd_config.d/50-mine.conf")
    assert fleet.changed() == [NODE]


@pytest.fixture
def behind(fleet, on, tmp_path):
    """The node as a host that only ~/.ssh/config knows, behind a jump host: itself, seen from itself."""
    (group,) = (fleet.folder / "groups").glob("virtual.yml")
    known = yaml.safe_load(group.read_text())["ssh"]
    address, ssh = address_of(NODE), tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "known_hosts").write_text(Path(known["known_hosts"]).read_text())
    (ssh / "config").write_text(
        f"Host mypi\n  HostName 127.0.0.1\n  User pi\n  ProxyJump pi@{address}\n"
        f"Host mypi {address}\n  IdentityFile {known['key']}\n"
    )
    own = Base(tmp_path / "fleet")
    changes = {"ssh": {"address": "mypi", "known_hosts": "../known_hosts"}}
    own.write([NODE], {NODE: changes | {"node": {"roles": ["base"]}}})
    shared = own.folder / "groups" / "virtual.yml"
    said = yaml.safe_load(shared.read_text()) | {"ssh": {}}
    shared.write_text(yaml.safe_dump(said))
    own.home = {"HOME": str(tmp_path / "home")}
    own.fingerprint = on("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    return own


def test_a_host_that_only_ssh_config_knows_is_trusted_and_deployed_to_through_its_jump(behind):
    untrusted = behind.bramble("plan", NODE, **behind.home)
    assert untrusted.returncode == 1
    assert f"run `bramble trust {NODE}` first" in untrusted.stdout
    trusted = behind.bramble("trust", NODE, "--fingerprint", behind.fingerprint, **behind.home)
    assert trusted.returncode == 0, trusted.stdout
    planned = behind.bramble("plan", NODE, **behind.home)
    assert planned.returncode == 0, planned.stdout
    assert planned.stdout.splitlines()[0] == f"Inventory {behind.folder}: {NODE}"
    assert "steps to do" in planned.stdout


def test_a_host_whose_key_changed_is_told_with_the_word_that_trusts_it_anew(behind):
    other = paramiko.ECDSAKey.generate()
    known = behind.folder.parent / "known_hosts"
    known.write_text(f"127.0.0.1 {other.get_name()} {other.get_base64()}\n")
    for words in (("verify", NODE), ("plan", NODE), ("up", NODE), ("trust", NODE)):
        done = behind.bramble(*words, **behind.home)
        assert f"run `bramble trust {NODE} --replace`" in done.stdout, words
        assert done.returncode == 1, words


def test_base_is_taken_back_and_set_again(fleet, on):
    done = fleet.bramble("revert", "base", NODE)
    assert done.returncode == 0, done.stdout
    assert "passwordauthentication yes" in on("sshd -T")
    assert "nothing to revert" in fleet.bramble("revert", "base", NODE).stdout
    assert fleet.changed() == [NODE]
    assert fleet.changed() == []
