"""An audit's look sees what is there beside the plan, and tells who changed a file."""

import base64
import hashlib
import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bramble import remote, snapshot
from bramble.audit.around import Around, read
from bramble.audit.facts import FACTS_NEEDED
from bramble.plan import together
from bramble.remote import around, audit, origins, probe, scheduled, swap_makers
from bramble.snapshot import Unknown
from bramble.system.around import Ran

KEY = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"k" * 40).decode()
PRINT = base64.b64encode(hashlib.sha256(base64.b64decode(KEY)).digest()).decode().rstrip("=")
ME = pwd.getpwuid(os.getuid()).pw_name


# Units, packages, processes, users


def test_units_that_failed_are_named(commands):
    commands("systemctl", "echo 'cups.service loaded failed failed CUPS Scheduler'")
    assert around.failed() == ["cups.service"]
    commands("systemctl", "true")
    assert around.failed() == []


def test_a_systemd_that_does_not_answer_is_no_empty_list(commands):
    commands("systemctl", "echo 'Failed to connect to bus' >&2; exit 1")
    assert "unknown" in probe.known(around.failed)


def test_packages_that_are_held_are_named(commands):
    commands("dpkg-query", "printf 'ii \\tcurl\\nhi \\thaproxy\\nhi \\thaproxy\\nrc \\tx\\n'")
    assert around.held() == ["haproxy"]


def test_a_process_that_listens_is_told_with_its_program():
    line = f'LISTEN 0 5 0.0.0.0:1 0.0.0.0:* users:(("python3",pid={os.getpid()},fd=3))'
    (found,) = around.holders(f"{line}\n{line}").values()
    assert found["exe"] == os.path.realpath(sys.executable)
    assert found["user"] == ME


def test_a_process_that_ended_is_left_out():
    with subprocess.Popen(["true"]) as ended:
        pass
    assert around.holders(f"users:((x,pid={ended.pid},fd=3))") == {}


def test_every_user_with_the_number_0_is_named(monkeypatch):
    root = pwd.struct_passwd(("root", "x", 0, 0, "", "/root", "/bin/sh"))
    other = pwd.struct_passwd(("toor", "x", 0, 0, "", "/", "/bin/sh"))
    pi = pwd.struct_passwd(("pi", "x", 1000, 1000, "", "/home/pi", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [root, pi, other])
    assert around.roots() == ["root", "toor"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home of the one user pi."""
    pi = pwd.struct_passwd(("pi", "x", 1000, 1000, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [pi])
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def test_keys_are_told_by_their_fingerprints(home):
    file = home / ".ssh" / "authorized_keys"
    file.write_text(f'# ssh-ed25519 AAAAxx\n\nfrom="10.*" ssh-ed25519 {KEY} me\nnonsense\n')
    assert around.keys() == [{"user": "pi", "path": str(file), "fingerprints": [f"SHA256:{PRINT}"]}]


def test_an_account_without_keys_is_left_out(home):
    assert around.keys() == []
    (home / ".ssh" / "authorized_keys").write_text("# none\n")
    assert around.keys() == []


def test_a_pipe_in_the_place_of_keys_is_not_waited_for(home):
    os.mkfifo(home / ".ssh" / "authorized_keys")
    assert around.keys() == []


def test_a_key_that_cannot_be_read_counts(home):
    (home / ".ssh" / "authorized_keys2").write_text("ssh-ed25519 AAAA(( me\n")
    assert around.keys()[0]["fingerprints"] == ["a key that cannot be read"]


def test_a_fingerprint_is_the_one_of_ssh_keygen(tmp_path):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True
    )
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True, text=True, check=True
    ).stdout
    assert around.fingerprint_of((tmp_path / "key.pub").read_text()) == said.split()[1]


# What others may write


@pytest.fixture
def tree(tmp_path):
    """A folder of ours, with a file in a folder."""
    top = tmp_path / "ours"
    (top / "in").mkdir(parents=True)
    (top / "in" / "file").write_text("x")
    for path in (top, top / "in"):
        path.chmod(0o755)
    (top / "in" / "file").chmod(0o644)
    return top


def paths(found):
    return {entry["path"]: entry["mode"] for entry in found["entries"]}


@pytest.mark.skipif(os.getuid() != 0, reason="a folder of another's is seen as root")
def test_a_tree_of_roots_has_nothing_loose(tree):
    assert around.loose([str(tree)]) == {"entries": [], "more": 0, "whole": True}


@pytest.mark.parametrize("mode", [0o646, 0o664, 0o666])
def test_a_file_that_others_may_write_is_told(tree, mode):
    (tree / "in" / "file").chmod(mode)
    assert paths(around.loose([str(tree)]))[str(tree / "in" / "file")] == mode


def test_a_folder_that_others_may_write_is_told(tree):
    (tree / "in").chmod(0o777)
    (entry,) = [e for e in around.loose([str(tree)])["entries"] if e["path"] == str(tree / "in")]
    assert (entry["kind"], entry["mode"]) == ("directory", 0o777)


@pytest.mark.skipif(os.getuid() != 0, reason="root alone gives files away")
def test_a_folder_of_anothers_is_told_and_a_file_of_anothers_is_not(tree):
    os.chown(tree / "in", 65534, 65534)
    os.chown(tree / "in" / "file", 65534, 65534)
    assert [entry["owner"] for entry in around.loose([str(tree)])["entries"]] == ["nobody"]


def test_what_a_link_leads_to_is_looked_at_where_it_is_right_in_ours(tree, tmp_path):
    there = tmp_path / "ssd"
    there.mkdir()
    (there / "model").write_text("x")
    (there / "model").chmod(0o666)
    (tree / "models").symlink_to(there)
    assert str(there / "model") in paths(around.loose([str(tree)]))


def test_links_have_no_mode_of_their_own(tree):
    (tree / "in" / "link").symlink_to("file")
    assert str(tree / "in" / "link") not in paths(around.loose([str(tree)]))


def test_a_folder_that_is_not_there_has_nothing(tmp_path):
    assert around.loose([str(tmp_path / "none")])["entries"] == []


def test_too_many_are_counted_and_too_much_is_not_looked_at(tree, monkeypatch):
    for number in range(5):
        (tree / f"{number}").write_text("")
        (tree / f"{number}").chmod(0o666)
    monkeypatch.setattr(around, "MOST_TOLD", 2)
    found = around.loose([str(tree)])
    assert len(found["entries"]) == 2
    assert found["more"] >= 3
    monkeypatch.setattr(around, "MOST_ENTRIES", 3)
    assert around.loose([str(tree)])["whole"] is False


# Cron and timers


WORDS = ("bramble", "/etc/fstab", "llama-server")


class Node:
    """The files that cron and systemd go by."""

    def __init__(self, root):
        self.root = root

    def write(self, path, text):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)


@pytest.fixture
def node(tmp_path, monkeypatch):
    made = Node(tmp_path / "root")
    for module, names in ((scheduled, ("CRON", "SCRIPTS", "TIMERS")), (swap_makers, ("UNITS",))):
        for name in names:
            moved = tuple(f"{made.root}{path}" for path in getattr(module, name))
            monkeypatch.setattr(module, name, moved)
    return made


@pytest.mark.parametrize("place", ["/etc/crontab", "/etc/cron.d/x", "/var/spool/cron/crontabs/pi"])
def test_a_line_of_cron_that_names_what_is_ours_is_found(node, place):
    path = node.write(
        place, "# llama-server\n0 3 * * * root systemctl stop llama-server\n@daily x\n"
    )
    line = "0 3 * * * root systemctl stop llama-server"
    assert scheduled.look(WORDS) == [{"kind": "cron", "path": path, "line": line}]


def test_what_a_script_of_cron_does_is_found(node):
    script = node.write("/opt/x.sh", "#!/bin/sh\n# /etc/fstab\nsed -i s/a/b/ /etc/fstab\n")
    node.write("/etc/cron.d/x", f"@reboot root {script} now\n")
    assert [one["line"] for one in scheduled.look(WORDS)] == ["sed -i s/a/b/ /etc/fstab"]


def test_a_pipe_that_cron_names_is_not_waited_for(node, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    node.write("/etc/cron.d/x", f"* * * * * root cat {tmp_path}/pipe\n")
    assert scheduled.look(WORDS) == []


def test_a_script_that_cron_runs_daily_is_found_once(node):
    node.write("/etc/cron.daily/x", "#!/bin/sh\nrm -r /opt/bramble\nrm -r /var/lib/bramble\n")
    assert [one["line"] for one in scheduled.look(WORDS)] == ["rm -r /opt/bramble"]


def test_cron_of_others_matters_is_left_alone(node):
    node.write("/etc/crontab", "17 * * * * root cd / && run-parts --report /etc/cron.hourly\n")
    node.write("/etc/cron.daily/x", "#!/bin/sh\napt-get clean\n")
    assert scheduled.look(WORDS) == []
    assert scheduled.look(()) == []


TIMER = "[Timer]\nOnCalendar=daily\n"


def test_a_timer_whose_service_names_what_is_ours_is_found(node):
    timer = node.write("/etc/systemd/system/x.timer", TIMER)
    node.write("/etc/systemd/system/x.service", "[Service]\nExecStart=/bin/rm -r /opt/bramble\n")
    line = "ExecStart=/bin/rm -r /opt/bramble"
    assert scheduled.look(WORDS) == [{"kind": "timer", "path": timer, "line": line}]


def test_a_timer_that_starts_a_unit_of_ours_is_found(node):
    node.write("/etc/systemd/system/x.timer", f"{TIMER}Unit=llama-server.service\n")
    assert [one["line"] for one in scheduled.look(WORDS)] == ["Unit=llama-server.service"]


def test_a_timer_until_the_next_boot_is_found_by_the_service_beside_it(node):
    node.write("/run/systemd/transient/run-1.timer", TIMER)
    node.write(
        "/run/systemd/transient/run-1.service", "[Service]\nExecStart=systemctl stop llama-server\n"
    )
    assert len(scheduled.look(WORDS)) == 1


def test_timers_of_others_matters_and_masked_ones_are_left_alone(node):
    timer = node.write("/etc/systemd/system/x.timer", TIMER)
    node.write("/etc/systemd/system/x.service", "[Service]\nExecStart=/bin/true\n")
    (Path(timer).parent / "llama-server.timer").symlink_to("/dev/null")
    assert scheduled.look(WORDS) == []


# Who and when


def test_times_owner_and_mode_of_a_path_are_told(tmp_path, commands):
    commands("dpkg-query", "exit 1")
    file = tmp_path / "x"
    file.write_text("x")
    file.chmod(0o640)
    os.utime(file, (1, 1_000_000))
    (found,) = origins.look([str(file), str(tmp_path / "none"), f"{file}/below"]).values()
    assert (found["owner"], found["mode"], found["modified_s"]) == (ME, 0o640, 1_000_000)
    assert abs(found["changed_s"] - time.time()) < 60
    assert (found["package"], found["as_packaged"]) == (None, None)


@pytest.fixture
def package(tmp_path, commands, monkeypatch):
    """A package with a file and a conffile, as dpkg tells of them."""
    folder = tmp_path / "info"
    folder.mkdir()
    monkeypatch.setattr(origins, "INFO", str(folder))
    file, conffile = tmp_path / "file", tmp_path / "conffile"
    file.write_text("as it was\n")
    conffile.write_text("as it was\n")
    md5 = hashlib.md5(b"as it was\n", usedforsecurity=False).hexdigest()
    (folder / "toy:arm64.md5sums").write_text(f"{md5}  {str(file).lstrip('/')}\n")
    commands(
        "dpkg-query",
        f'case $1 in -S) echo "diversion by x from: {file}"; echo "toy:arm64, x: {file}";'
        f' echo "toy:arm64: {conffile}"; exit 1;;'
        f" -W) printf ' {conffile} {md5}\\n';; esac",
    )
    return file, conffile


def test_a_file_of_a_package_is_compared_with_what_it_brought(package):
    for path in package:
        found = origins.look([str(path)])[str(path)]
        assert (found["package"], found["as_packaged"]) == ("toy:arm64", True)
        path.write_text("edited\n")
        assert origins.look([str(path)])[str(path)]["as_packaged"] is False


def test_a_file_without_a_checksum_is_not_judged(package, tmp_path):
    for file in (tmp_path / "info").iterdir():
        file.write_text("")
    assert origins.look([str(package[0])])[str(package[0])]["as_packaged"] is None


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/etc/x", ["/etc/x"]),
        ("/lib/x", ["/lib/x", "/usr/lib/x"]),
        ("/usr/lib/x", ["/usr/lib/x", "/lib/x"]),
    ],
)
def test_a_path_may_have_two_names_for_dpkg(path, names):
    assert list(origins.aliases(path)) == names


def entry(at_s, message):
    return json.dumps({"__REALTIME_TIMESTAMP": f"{at_s}000000", "MESSAGE": message})


def journal(commands, *lines, first="1700000000.123 pi kernel: Linux"):
    text = "".join(f"{line}\n" for line in lines)
    commands(
        "journalctl",
        f"case \"$*\" in *'-t sudo'*) cat <<'E'\n{text}E\n;; *) echo '{first}'; echo x;; esac",
    )


RAN = "pi : TTY=pts/0 ; PWD=/home/pi ; USER=root ; COMMAND=/bin/nano /etc/x"


def test_commands_before_a_change_and_those_that_name_a_file_are_told(commands):
    journal(
        commands,
        entry(5000, RAN.replace("/etc/x", "/etc/y")),
        entry(4000, RAN.replace("/etc/x", "/etc/y")),
        entry(100, RAN),
        entry(5000, "pam_unix(sudo:session): session opened for user root"),
        json.dumps({"__REALTIME_TIMESTAMP": "5000000000", "MESSAGE": [1, 2]}),
    )
    found = origins.sudo(["/etc/x"], {5060})
    assert [row["at_s"] for row in found["lines"]] == [5000, 100]
    assert found["begins_s"] == 1_700_000_000


def test_a_journal_without_a_line_begins_nowhere(commands):
    journal(commands, first="-- No entries --")
    assert origins.sudo([], set()) == {"lines": [], "begins_s": None}


def test_a_journal_that_was_read_in_part_begins_where_that_part_does(commands, monkeypatch):
    monkeypatch.setattr(origins, "MOST_LINES", 2)
    journal(commands, entry(5000, RAN), entry(4000, RAN))
    assert origins.sudo([], {5000})["begins_s"] == 4000


def test_a_journal_that_cannot_be_read_is_unknown(commands):
    commands("journalctl", "exit 1")
    assert "CalledProcessError" in probe.known(origins.sudo, [], set())["unknown"]


# The look as a whole

QUERY = {
    "files": ["/etc/passwd", "/etc/cron.d/*", "/proc/version", "/"],
    "units": ["llama-server.service"],
    "folders": [],
    "words": ["bramble"],
}


def test_cron_is_searched_for_the_paths_and_units_that_roles_look_at():
    assert audit.named(QUERY) == ["bramble", "/etc/passwd", "llama-server.service"]


def test_drop_ins_and_what_was_found_are_asked_after_too():
    unit = {"properties": {"DropInPaths": "/etc/a.conf /run/b.conf"}}
    seen = {
        "units": {"ok": {"x": unit}},
        "scheduled": {"ok": [{"path": "/etc/cron.d/x"}]},
        "keys": {"ok": [{"path": "/root/.ssh/authorized_keys"}]},
        "loose": {"ok": {"entries": [{"path": "/opt/bramble/x"}]}},
    }
    assert audit.interesting(QUERY, seen) == [
        "/etc/passwd",
        "/etc/cron.d/x",
        "/root/.ssh/authorized_keys",
        "/opt/bramble/x",
        "/etc/a.conf",
        "/run/b.conf",
    ]
    assert audit.interesting(QUERY, {"units": {"unknown": "no"}}) == ["/etc/passwd"]


@pytest.fixture(scope="module")
def looked():
    """What the program prints here, as it is sent to a node."""
    everything = {
        **{name: [] for name in ("secret", "packages", "users", "http", "free", "commands")},
        **{name: [] for name in ("properties", "programs")},
        **QUERY,
        "units": [],
    }
    done = subprocess.run(
        [sys.executable, "-Iu", "-"],
        input=remote.program("audit", everything),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_program_sees_all_of_it(looked):
    raw = remote.answer(looked)
    found = read(snapshot.read(raw).beside)
    assert set(raw["beside"]) == set(Around.__dataclass_fields__)
    assert "root" in found.roots
    assert found.origins["/etc/passwd"].owner == "root"
    assert "looking at origins" in looked


def test_a_part_that_fails_takes_no_other_along():
    found = read({"roots": {"ok": ["root"]}, "held": {"unknown": "no"}, "keys": {"ok": "x"}})
    assert found.roots == ("root",)
    assert found.held == Unknown("no")
    assert isinstance(found.keys, Unknown)
    assert isinstance(found.sudo, Unknown)


def test_sudos_line_tells_user_and_command():
    row = {"at_s": 5, "message": f"    {RAN}"}
    found = read({"sudo": {"ok": {"lines": [row], "begins_s": None}}})
    assert found.sudo.ran == (Ran(5, "pi", "/bin/nano /etc/x"),)


def test_no_look_of_a_deploy_pays_for_it():
    """The probe is sent without these programs, and asks for no folder and no word."""
    sent = remote.program("probe", {})
    assert not any(name in sent for name in ("remote.around", "remote.origins", "remote.scheduled"))
    assert FACTS_NEEDED.folders
    assert together([]).folders == ()
