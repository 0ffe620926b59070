"""What `bramble doctor` finds here and on hosts: each planted fault, and none where all is well."""

import json
import os
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import paramiko
import pytest
from click.testing import CliRunner

from bramble.cli import driver, main
from bramble.cli.driver import Outcome
from bramble.doctor import computer, reach, ways
from bramble.doctor.finding import HERE
from bramble.settings import SshSettings
from bramble.ssh.client import SshError
from tests.unit.ssh_server import serving

FLEET = """
hosts:
  pi5-a: {{ssh: {{address: 192.0.2.41, key: {key}}}}}
  pi4-b: {{ssh: {{address: 192.0.2.42, key: {key}}}}}
settings:
  node: {{roles: [base]}}
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Two Pis that are known, a key to log in with, and room for everything."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path / "inventory"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(computer.store, "MOST_BYTES", 1)
    monkeypatch.chdir(tmp_path)
    new_key(tmp_path / "id")
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text(FLEET.format(key=tmp_path / "id"))
    key = paramiko.ECDSAKey.generate()
    lines = [f"192.0.2.4{n} {key.get_name()} {key.get_base64()}" for n in (1, 2)]
    (tmp_path / "inventory" / "known_hosts").write_text("\n".join(lines) + "\n")
    return tmp_path / "home"


def new_key(path, word=""):
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", word, "-f", path]
    subprocess.run(words, check=True)
    return path


def doctor(*words):
    return CliRunner().invoke(main, ["doctor", *words])


def findings(*words):
    """All findings by where and what, and the exit code."""
    done = doctor(*words, "--json")
    found = json.loads(done.stdout)["findings"]
    return {(one["where"], one["what"]): one for one in found}, done.exit_code


def found_wrong(*words):
    found, code = findings(*words)
    bad = {key: one for key, one in found.items() if one["status"] != "ok"}
    assert code == bool(bad)
    assert all(one["remedy"] for one in bad.values())
    assert not any(one["remedy"] for key, one in found.items() if key not in bad)
    return bad


# This computer


def test_where_nothing_is_wrong_the_exit_code_is_0():
    done = doctor()
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{HERE}\n  ok      system: ")
    assert "\n  wrong" not in done.output
    assert done.output.splitlines()[-1].endswith("looked at, nothing to mend")


def test_nothing_is_written(tmp_path, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert doctor().exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("version", "status"), [((3, 11), "ok"), ((3, 14), "ok"), ((3, 10), "wrong")]
)
def test_a_python_that_bramble_is_not_tested_with_is_told(version, status):
    assert computer._python(version).status == status


def test_the_versions_of_python_are_those_of_the_package():
    text = (Path(computer.__file__).parents[2] / "pyproject.toml").read_text()
    assert f'requires-python = ">={computer.OLDEST[0]}.{computer.OLDEST[1]}"' in text


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("pyinfra<3.11,>=3.10", None),
        ("pyinfra<3.10,>=3.9", "is not <3.10"),
        ("pyinfra>=4", "is not >=4"),
        ("no-package-of-this-name>=1", "no-package-of-this-name is missing"),
    ],
)
def test_a_package_that_is_not_what_bramble_asks_for_is_told(requirement, said):
    found = computer._lacking(requirement)
    assert (found is None) == (said is None)
    assert said is None or said in found


def test_a_computer_without_ssh_is_told(monkeypatch):
    monkeypatch.setattr(computer.shutil, "which", lambda name: None)
    one = found_wrong()[HERE, "ssh"]
    assert one["found"] == "there is no ssh, ssh-keygen, ssh-add"
    assert "apt-get install openssh-client" in one["remedy"]


def test_a_disk_without_room_for_a_release_is_told(monkeypatch):
    monkeypatch.setattr(computer.store, "MOST_BYTES", 1 << 60)
    assert {what for _, what in found_wrong()} == {"room for releases", "room for models"}


def test_an_inventory_with_problems_is_told_with_their_lines(tmp_path):
    (tmp_path / "inventory" / "fleet.yml").write_text(
        "hosts: {a: {sh: {}}}\nsettings: {node: {roles: [x]}}\n"
    )
    done = doctor("--json")
    bad = [one for one in json.loads(done.stdout)["findings"] if one["status"] == "wrong"]
    assert done.exit_code == 1
    assert [one["what"] for one in bad] == ["inventory"] * 2
    assert "inventory/fleet.yml:1: " in bad[0]["found"]


def test_a_folder_without_an_inventory_is_told_what_makes_one(tmp_path):
    (tmp_path / "inventory" / "fleet.yml").unlink()
    assert "`bramble init`" in found_wrong()[HERE, "inventory"]["found"]


def test_a_host_that_the_inventory_lacks_ends_it_with_code_2():
    done = doctor("pi5-b")
    assert (done.exit_code, "did you mean 'pi5-a'?" in done.output) == (2, True)


# Keys and known hosts


def planted(tmp_path, home, which):
    key, known = tmp_path / "id", tmp_path / "inventory" / "known_hosts"
    if which == "missing":
        key.unlink()
    elif which == "open":
        key.chmod(0o644)
    elif which == "public":
        key.write_text(key.with_name("id.pub").read_text())
    elif which == "encrypted":
        key.unlink()
        new_key(key.rename(key) if key.exists() else key, "word")
    elif which == "damaged":
        known.write_text(known.read_text() + "192.0.2.43 ssh-ed25519 AA!A\n")
    elif which == "untrusted":
        known.write_text(known.read_text().splitlines()[0] + "\n")
    elif which == "config":
        (home / ".ssh" / "config").write_text("Match\n")


PLANTED = {
    "missing": ("SSH key {key}", "there is no file", "ssh-keygen -t ed25519"),
    "open": ("SSH key {key}", "others may use it (mode 0644)", "`chmod 600 {key}`"),
    "public": ("SSH key {key}", "is a public key", "ssh-keygen"),
    "encrypted": ("SSH key {key}", "is encrypted", "ssh-keygen"),
    "damaged": ("known_hosts {known}", "no key is in line 3", "`sed -i 3d {known}`"),
    "config": ("~/.ssh/config", "cannot be read", "mend that line"),
}


@pytest.mark.parametrize("which", PLANTED)
def test_a_fault_in_what_one_logs_in_with_is_found(tmp_path, home, which):
    (tmp_path / "id.pub").rename(tmp_path / "kept")
    (tmp_path / "kept").rename(tmp_path / "id.pub")
    if which == "encrypted":
        (tmp_path / "id.pub").unlink()
    planted(tmp_path, home, which)
    names = {"key": tmp_path / "id", "known": tmp_path / "inventory" / "known_hosts"}
    what, said, remedy = (text.format(**names) for text in PLANTED[which])
    bad = found_wrong()
    assert [*bad] == [(HERE, what)]
    assert said in bad[HERE, what]["found"]
    assert remedy in bad[HERE, what]["remedy"]


def test_a_host_whose_key_is_not_known_is_told_the_command(tmp_path, home):
    planted(tmp_path, home, "untrusted")
    bad = found_wrong()
    assert [*bad] == [("pi4-b", "trust")]
    assert bad["pi4-b", "trust"]["remedy"] == "`bramble trust pi4-b`"


def without_key(tmp_path):
    (tmp_path / "inventory" / "fleet.yml").write_text(
        "hosts: {pi5-a: {ssh: {address: 192.0.2.41}}}\nsettings: {node: {roles: [base]}}\n"
    )


def test_a_computer_without_any_key_is_told(tmp_path, home):
    without_key(tmp_path)
    assert "neither an agent nor ~/.ssh has one" in found_wrong()[HERE, "SSH key"]["found"]
    new_key(home / ".ssh" / "id_ed25519")
    assert found_wrong() == {}


def test_a_key_with_a_passphrase_needs_an_agent_that_has_it(tmp_path, home, monkeypatch):
    without_key(tmp_path)
    path = new_key(home / ".ssh" / "id_ed25519", "word")
    bad = found_wrong()[HERE, f"SSH key {path}"]
    assert "it has a passphrase, and there is no agent" in bad["found"]
    assert f"ssh-add {path}" in bad["remedy"]
    with agent(tmp_path, monkeypatch):
        bad = found_wrong()[HERE, f"SSH key {path}"]
        assert "the agent does not have it" in bad["found"]
        subprocess.run(
            ["ssh-add", "-q", path],
            check=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | asking(tmp_path),
        )
        assert found_wrong() == {}


def test_a_key_with_a_passphrase_is_in_nobodys_way_where_another_one_opens(tmp_path, home):
    without_key(tmp_path)
    new_key(home / ".ssh" / "id_rsa", "word")
    assert len(found_wrong()) == 1
    new_key(home / ".ssh" / "id_ed25519")
    assert found_wrong() == {}


def asking(tmp_path):
    """What makes ssh-add ask a program for the passphrase."""
    program = tmp_path / "ask"
    program.write_text("#!/bin/sh\necho word\n")
    program.chmod(0o755)
    return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}


@contextmanager
def agent(tmp_path, monkeypatch):
    """An SSH agent of this test's own."""
    place = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL) as process:
        monkeypatch.setenv("SSH_AUTH_SOCK", place)
        try:
            while not os.path.exists(place):
                assert process.poll() is None
                time.sleep(0.01)
            yield
        finally:
            process.terminate()


def test_an_agent_that_does_not_answer_is_told_where_one_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nothing"))
    found, count = ways._agent(True)
    assert (found.status, found.what, count) == ("wrong", "SSH agent", 0)
    assert "nothing answers at SSH_AUTH_SOCK" in found.found
    assert found_wrong() == {}


# Hosts


class Shell:
    """A connection on which `date` says something."""

    def __init__(self, said):
        self.said = said

    def __enter__(self):
        return self

    def __exit__(self, *_ended):
        return None

    def exec_command(self, _command, timeout):
        assert timeout <= reach.LIMIT_S
        return None, SimpleNamespace(read=lambda _size: self.said().encode()), None


@pytest.fixture
def nodes(monkeypatch):
    """Hosts that are reached with the clock of this computer, and a plan that refuses nothing.

    `nodes.clocks`: seconds that a host is ahead; `nodes.refused`: what its plan refuses.
    """
    made = SimpleNamespace(clocks={}, refused={}, unreachable={}, runs=[], folders=[], lost=())

    def connect(host, ssh):
        if host in made.unreachable:
            raise SshError(f"{host} cannot be reached: {made.unreachable[host]}")
        return Shell(lambda: made.clocks.get(host, str(int(time.time()))))

    def run(deploy, hosts, *options, show, reports):
        made.runs.append((deploy, list(hosts), options))
        made.folders.append(reports)
        plans = [
            {"event": "plan", "host": host, "refused": made.refused.get(host, [])}
            for host in hosts
            if host not in made.lost
        ]
        begun = {"event": "run", "hosts": list(hosts)}
        ended = {"event": "end", "changed": [], "failed": [*made.lost], "complete": True}
        said = [{"event": "host", "host": host, "why": "sudo asks"} for host in made.lost]
        return Outcome(0, (begun, *plans, *said, ended), Path("r"), Path("l"))

    monkeypatch.setattr(reach, "connect", connect)
    monkeypatch.setattr(driver, "run", run)
    return made


def test_a_host_that_can_be_deployed_to_has_nothing_to_mend(nodes):
    assert found_wrong("pi5-a", "pi4-b") == {}
    assert nodes.runs == [("plan", ["pi5-a", "pi4-b"], ("-y",))]
    found, _ = findings("pi5-a")
    assert found["pi5-a", "plan"]["found"] == "a deploy would not be refused"
    assert {where for where, _ in found} == {HERE, "pi5-a"}


def test_without_a_name_no_host_is_connected_to(nodes):
    assert found_wrong() == {}
    assert nodes.runs == []


def test_no_report_of_it_stays(nodes, tmp_path):
    assert found_wrong("pi5-a") == {}
    assert not nodes.folders[0].exists()
    assert not (tmp_path / "reports").exists()


def test_what_a_deploy_would_refuse_is_told_for_each_reason(nodes):
    nodes.refused["pi5-a"] = ["The userland is 32-bit."]
    bad = found_wrong("pi5-a", "pi4-b")
    assert [*bad] == [("pi5-a", "plan")]
    assert bad["pi5-a", "plan"]["found"] == "The userland is 32-bit."
    assert "`bramble plan pi5-a`" in bad["pi5-a", "plan"]["remedy"]


def test_a_host_that_has_no_plan_is_told_why(nodes):
    nodes.lost = ("pi5-a",)
    assert found_wrong("pi5-a")["pi5-a", "plan"]["found"] == "sudo asks"


def test_a_host_that_cannot_be_reached_is_told_and_not_planned(nodes):
    nodes.unreachable["pi5-a"] = "it is off"
    bad = found_wrong("pi5-a", "pi4-b")
    assert [*bad] == [("pi5-a", "reachable")]
    assert "it is off" in bad["pi5-a", "reachable"]["found"]
    assert nodes.runs == [("plan", ["pi4-b"], ("-y",))]


@pytest.mark.parametrize(
    ("off_s", "said", "remedy"),
    [
        (-4000, "s behind this", "`bramble up pi5-a`"),
        (4000, "s ahead of this", "timedatectl set-ntp"),
    ],
)
def test_a_clock_that_is_off_is_told(nodes, off_s, said, remedy):
    nodes.clocks["pi5-a"] = str(int(time.time()) + off_s)
    bad = found_wrong("pi5-a")["pi5-a", "clock"]
    assert said in bad["found"]
    assert remedy in bad["remedy"]


def test_a_clock_may_be_off_as_far_as_the_inventory_says(nodes, tmp_path):
    nodes.clocks["pi5-a"] = str(int(time.time()) - 500)
    fleet = tmp_path / "inventory" / "fleet.yml"
    fleet.write_text(f"{fleet.read_text()}  base: {{clock: {{tolerance_s: 3600}}}}\n")
    assert found_wrong("pi5-a") == {}


def test_a_clock_that_cannot_be_read_is_unknown(nodes):
    nodes.clocks["pi5-a"] = "This account is not available."
    found, code = findings("pi5-a")
    assert (found["pi5-a", "clock"]["status"], code) == ("unknown", 1)


def test_a_host_that_hangs_is_told_at_the_limit_and_delays_nobody(monkeypatch):
    free, ended = threading.Event(), []

    def connect(host, ssh):
        if host == "hangs":
            free.wait(60)
            ended.append(host)
            raise SshError("late")
        return Shell(lambda: str(int(time.time())))

    monkeypatch.setattr(reach, "connect", connect)
    hosts = {name: SshSettings(address="192.0.2.1") for name in ("hangs", "good", "fine")}
    try:
        answers = [*reach.reach(hosts, lambda host: 60, limit_s=1)]
        assert {one.host for one in answers[:2]} == {"good", "fine"}
        assert all(one.is_reached for one in answers[:2])
        assert (answers[2].host, answers[2].is_reached, ended) == ("hangs", False, [])
        assert "no login within 1 s at 192.0.2.1" in answers[2].findings[0].found
    finally:
        free.set()


def test_a_real_server_that_does_not_know_the_key_is_told_with_its_way_out(tmp_path):
    """The whole way: a socket, a known host key, and an account that is not let in."""
    server = paramiko.ECDSAKey.generate()
    with serving(server, guest=paramiko.ECDSAKey.generate()) as port:
        known = tmp_path / "known"
        known.write_text(f"[127.0.0.1]:{port} {server.get_name()} {server.get_base64()}\n")
        ssh = SshSettings(address="127.0.0.1", port=port, key=tmp_path / "id", known_hosts=known)
        (answer,) = reach.reach({"pi": ssh}, lambda host: 60)
    assert not answer.is_reached
    assert "put the public key there (`ssh-copy-id" in answer.findings[0].found


def test_a_closed_port_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ssh = SshSettings(
        address="127.0.0.1", port=port, key=tmp_path / "id", known_hosts=tmp_path / "x"
    )
    (answer,) = reach.reach({"pi": ssh}, lambda host: 60)
    assert f"nothing listens at 127.0.0.1:{port}" in answer.findings[0].found


def test_text_names_where_each_finding_is_and_what_to_do(nodes):
    nodes.unreachable["pi5-a"] = "it is off"
    lines = doctor("pi5-a").output.splitlines()
    at = lines.index("pi5-a")
    assert lines[at + 1].startswith("  ok      trust: ")
    assert lines[at + 2] == "  wrong   reachable: pi5-a cannot be reached: it is off"
    assert lines[at + 3].startswith("          to do: ")
    assert lines[-1] == f"1 of {sum(line.startswith('  ') for line in lines) - 1} to mend"
