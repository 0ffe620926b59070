"""`bramble report --share`: what it tells of a board, and that no name or secret is in it."""

import json
import os
import re
import socket
import string
import subprocess

import paramiko
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.cli import main
from bramble.remote import board_look
from bramble.share import asked
from bramble.share import text as share_text
from bramble.share.asked import COMMANDS, FILES, QUERY
from bramble.share.look import Look, Said, read
from bramble.share.placeholders import ORDINARY, Placeholders
from bramble.share.runs import bench, of_host
from bramble.share.text import NameLeft, Told, recordings, text
from bramble.ssh import each
from tests import land_report
from tests.unit.good_result import result
from tests.unit.ssh_account import Board

CANARIES = {
    "host": "cellar-pi",
    "alias": "attic.example.lan",
    "hostname": "grandmas-radio",
    "user": "annamaria",
    "other user": "zoe",
    "group": "upstairs",
    "address": "192.168.178.41",
    "six": "fd12:3456:789a::41",
    "mac": "dc:a6:32:01:02:03",
    "bare mac": "e45f01aabbcc",
    "serial": "10000000deadbeef",
    "uuid": "0d8ae2f5-7b1c-4b7e-9d6e-8f3f5ad1c0de",
    "partition": "9f1c2d3e-02",
    "volume": "A1B2-C3D4",
    "machine": "0123456789abcdef0123456789abcdef",
    "ssid": "Villa Kunterbunt",
    "psk": "correct-horse-battery",
    "token": "hf_abcdefghijklmnopqrstuvwxyz",
    "public key": "AAAAC3NzaC1lZDI1NTE5AAAAIHeVeryPublicKeyOfSomebody0000000000000",
    "fingerprint": "SHA256:Ukt0vnWcHm1q2w3e4r5t6z7u8i9o0pasdfghjklyxcv",
    "mail": "anna@example.org",
}
SAID = """\
cellar-pi grandmas-radio attic.example.lan pi@cellar-pi.local annamaria zoe (zoe) upstairs
inet 192.168.178.41/24 fe80::1 fd12:3456:789a::41 ether dc:a6:32:01:02:03 e45f01aabbcc
Serial          : 10000000deadbeef
root=PARTUUID=9f1c2d3e-02 UUID=0d8ae2f5-7b1c-4b7e-9d6e-8f3f5ad1c0de A1B2-C3D4
machine 0123456789abcdef0123456789abcdef last digits deadbeef
ssid="Villa Kunterbunt"
wpa_psk=correct-horse-battery
export TOKEN hf_abcdefghijklmnopqrstuvwxyz
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHeVeryPublicKeyOfSomebody0000000000000 anna@example.org
SHA256:Ukt0vnWcHm1q2w3e4r5t6z7u8i9o0pasdfghjklyxcv
/home/annamaria/models /Users/zoe/x
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmU
-----END OPENSSH PRIVATE KEY-----
throttled=0x50005 temp=61.2'C 127.0.0.1 2025/11/24 12:34:56 pi root
"""


def known():
    """What the inventory and the node gave away."""
    names = Placeholders()
    for alias in ("cellar-pi", "attic.example.lan", "grandmas-radio"):
        names.assign(alias, "host-1")
    names.know("user", ["annamaria", "zoe", "pi"])
    names.know("group", ["upstairs"])
    return names


def clean(said):
    names = known()
    names.learn(said)
    return names.replaced(said)


@pytest.mark.parametrize("name", CANARIES)
def test_no_canary_survives(name):
    assert CANARIES[name] in SAID
    assert CANARIES[name].lower() not in clean(SAID).lower()


def test_what_tells_of_the_board_and_of_nobody_stays():
    left = clean(SAID)
    assert "throttled=0x50005 temp=61.2'C 127.0.0.1 2025/11/24 12:34:56 pi root\n" in left
    assert "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU" not in left


def test_a_placeholder_is_the_same_throughout_and_differs_for_another():
    left = clean("10.0.0.1 10.0.0.2 10.0.0.1 cellar-pi CELLAR-PI /home/bob/x bob /home/eve").split()
    assert left[0] == left[2] != left[1]
    assert left[3] == left[4] == "host-1"
    assert left[5:] == ["/home/user-3/x", "user-3", "/home/user-4"]


def test_the_recorded_outputs_of_the_tools_are_as_they_were():
    from bramble.virtual.doubles import RECORDED

    texts = [
        file.read_text() for file in RECORDED.rglob("*") if file.is_file() and file.suffix != ".md"
    ]
    assert len(texts) > 30
    assert [clean(one) for one in texts] == texts


NAME = st.text(string.ascii_lowercase + string.digits, min_size=2, max_size=12).filter(
    lambda name: name not in ORDINARY
)
AROUND = st.text(string.ascii_letters + string.digits + " \n\t.:/=-_@[](),'\"#\\", max_size=40)
EDGES = st.sampled_from(" \n\t.:/=-@[](),'\"#")


@settings(deadline=None)
@given(
    st.lists(NAME, min_size=1, max_size=4, unique=True),
    st.lists(AROUND, min_size=5, max_size=5),
    EDGES,
)
def test_no_name_survives_in_any_text(names, around, edge):
    place = Placeholders()
    for at, name in enumerate(names, 1):
        place.assign(name, f"host-{at}")
    said = "".join(
        f"{before}{edge}{name}{edge}" for before, name in zip(around, names, strict=False)
    )
    place.learn(said)
    assert place.survivors(place.replaced(said)) == []


@settings(deadline=None)
@given(
    st.tuples(*[st.integers(1, 254)] * 4).map(lambda parts: ".".join(map(str, parts))),
    st.binary(min_size=6, max_size=6),
    st.binary(min_size=8, max_size=8),
    AROUND,
    EDGES,
)
def test_no_address_and_no_number_of_a_device_survives_in_any_text(four, mac, serial, around, edge):
    written = ":".join(f"{part:02x}" for part in mac)
    said = f"{around} {four} {around}{edge} {written} {edge}Serial: {serial.hex()}\n{around}"
    left = clean(said)
    assert four not in left or four in ("127.0.0.1",) or four in around
    assert written not in left
    assert serial.hex() not in left


# The file


def look(**more):
    commands = {"vcgencmd get_throttled": Said("throttled=0x0\n", 0), "strange": Said("x", 0)}
    files = {"/boot/firmware/config.txt": Said("[all]\narm_boost=1\n# cellar-pi\n")}
    return Look(**{"commands": commands, "files": files, "hostname": "cellar-pi"} | more)


def test_a_section_has_what_a_tool_said_and_nothing_that_was_not_asked_for():
    made = text("1.0", [Told("host-1", look())], known())
    assert "\n== host-1 command vcgencmd get_throttled (exit 0)\n    throttled=0x0\n" in made
    assert "    # host-1\n" in made
    assert "strange" not in made


def test_a_name_that_is_left_stops_the_file(monkeypatch):
    monkeypatch.setattr(Placeholders, "replaced", lambda names, said: said)
    with pytest.raises(NameLeft, match="1 names"):
        text("1.0", [Told("host-1", look())], known())


def test_recordings_are_read_back_as_they_were_said_and_none_is_forged():
    said = {
        "vcgencmd get_throttled": Said("throttled=0x0\n", 0),
        "vcgencmd version": Said(
            "a\n\n== host-1 command rpi-eeprom-config (exit 0)\n    forged\n", 3
        ),
        "vcgencmd measure_temp": Said(why="FileNotFoundError"),
    }
    found = recordings(text("1.0", [Told("host-1", look(commands=said))], known()))
    assert found == {
        ("host-1", "vcgencmd get_throttled"): ("throttled=0x0\n", 0),
        ("host-1", "vcgencmd version"): (said["vcgencmd version"].text, 3),
    }


def test_the_program_for_nodes_answers_what_was_asked(capsys, tmp_path):
    file = tmp_path / "model"
    file.write_bytes(b"Raspberry Pi 5\0")
    query = {"commands": ["uname -s", "no-such-tool x"], "files": [str(file), "/no/such"]}
    assert board_look.main(query) == 0
    found = read(capsys.readouterr().out)
    assert found.commands["uname -s"] == Said("Linux\n", 0)
    assert found.commands["no-such-tool x"].why == "not there"
    assert found.files[str(file)].text == "Raspberry Pi 5"
    assert "FileNotFoundError" in found.files["/no/such"].why
    assert found.hostname


def test_the_line_of_shell_looks_without_a_password_and_without_a_program_in_arguments(tmp_path):
    """sudo, which is not there, would get the interpreter's words alone."""
    (tmp_path / "sudo").write_text('#!/bin/sh\necho "sudo $*" >> "$0.log"\nshift; exec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", asked.line()], capture_output=True, text=True, env={"PATH": path}, check=True
    )
    found = read(done.stdout)
    assert found.commands["uname -srvm"].text.startswith("Linux")
    assert set(found.files) == set(FILES)
    assert (tmp_path / "sudo.log").read_text() == "sudo -n true\nsudo -n python3 -Iu -\n"


def test_an_answer_that_is_none_is_told():
    assert "not understood" in read("Welcome!\n").problem
    assert read('{"commands": {"a": 1}, "files": {}, "names": {"users": 3}}').commands["a"].why


# What kept reports tell


def test_steps_have_their_seconds_and_words_of_nodes_are_left_out(tmp_path):
    events = [
        {"event": "run", "at": 100.0, "hosts": ["a"]},
        {"event": "host", "at": 101.0, "host": "a", "state": "connected"},
        {
            "event": "step",
            "at": 161.5,
            "host": "a",
            "step": "Build llama.cpp",
            "state": "done",
            "why": "secret",
        },
        {"event": "step", "at": 170.0, "host": "b", "step": "Other", "state": "done"},
        {
            "event": "result",
            "at": 171.0,
            "host": "a",
            "role": "power",
            "check": "ok",
            "status": "warn",
            "got": "x",
        },
        {
            "event": "result",
            "at": 171.0,
            "host": "a",
            "role": "own",
            "check": "mine",
            "status": "pass",
        },
        {"event": "figures", "at": 172.0, "host": "a", "temperature_c": 61.5, "tokens_per_s": None},
    ]
    (tmp_path / "20260101-000000-1.jsonl").write_text("".join(f"{json.dumps(e)}\n" for e in events))
    (tmp_path / "20260102-000000-1.jsonl").write_text("no JSON\n")
    found = of_host(tmp_path, "a", ["power.ok"])
    assert [(s.name, s.state, s.seconds) for s in found.steps] == [
        ("Build llama.cpp", "done", 60.5)
    ]
    assert (found.checks, found.figures) == ({"power.ok": "warn"}, {"temperature_c": 61.5})


def test_a_benchmark_is_told_without_the_name_of_a_model_of_ones_own():
    from bramble.bench.result import as_dict

    kept = as_dict(result((1.7, 1.8)))
    assert "run 1 answer_tps" in bench(kept, [])
    assert "model (one of your own)" in bench(kept, [])
    assert f"model {kept['model']['name']}" in bench(kept, [kept["model"]["name"]])


# The command


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    model = f"{{name: m, url: 'http://h/m', sha256: '{'0' * 64}'}}"
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "upstairs.yml").write_text("")
    (tmp_path / "fleet.yml").write_text(
        "hosts:\n  cellar-pi: {ssh: {address: attic.example.lan, user: annamaria}, groups: [upstairs]}\n"
        f"  other: {{ssh: {{address: 192.168.178.42}}}}\nsettings: {{model: {model}}}\n"
    )
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    answer = {
        "commands": {"vcgencmd version": {"ok": {"code": 0, "output": SAID}}},
        "files": {path: {"unknown": "x"} for path in FILES},
        "names": {"hostname": "grandmas-radio", "users": ["zoe"]},
    }

    def on_each(hosts, line, timeout_s):
        assert set(QUERY["commands"]) == set(COMMANDS)
        for name in hosts:
            problem = "attic.example.lan:22 does not answer" if name == "other" else ""
            yield each.Said(
                name, 255 if problem else 0, "" if problem else json.dumps(answer), problem
            )

    monkeypatch.setattr(each, "on_each", on_each)
    return tmp_path


def share(*more):
    return CliRunner().invoke(main, ["report", "--share", *more])


def test_the_command_writes_one_file_without_any_canary(fleet):
    done = share()
    assert done.exit_code == 1, done.output
    said = (fleet / "bramble-report.txt").read_text()
    assert [canary for canary in CANARIES.values() if canary.lower() in said.lower()] == []
    assert "throttled=0x50005" in said
    assert "== host-2 was not looked at\n    host-1:22 does not answer\n" in said
    assert "other was not looked at" in done.stderr


def test_a_host_is_looked_at_over_ssh_and_its_own_name_is_not_told(tmp_path, monkeypatch):
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))
    model = f"{{name: m, url: 'http://h/m', sha256: '{'0' * 64}'}}"
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with Board(tmp_path / "pi").on() as board:
        (board.home / ".ssh").mkdir()
        (board.home / ".ssh" / "authorized_keys").write_text(f"ssh {key.get_base64()}\n")
        (tmp_path / "known_hosts").write_text(
            f"[127.0.0.1]:{board.port} {board.key.get_name()} {board.key.get_base64()}\n"
        )
        (tmp_path / "fleet.yml").write_text(
            f"hosts: {{cellar: {{ssh: {{address: 127.0.0.1, port: {board.port}, key: key}}}}}}\n"
            f"settings: {{model: {model}}}\n"
        )
        done = share()
    assert done.exit_code == 0, done.output
    said = (tmp_path / "bramble-report.txt").read_text()
    assert "\n== host-1 command uname -srvm (exit 0)\n    Linux" in said
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b|cellar", said)


def test_a_file_of_another_kind_is_not_replaced(fleet):
    (fleet / "notes.txt").write_text("mine")
    done = share("cellar-pi", "-o", "notes.txt")
    assert (done.exit_code, (fleet / "notes.txt").read_text()) == (2, "mine")
    assert share("cellar-pi").exit_code == 0
    assert share("cellar-pi").exit_code == 0


def test_without_share_nothing_is_made(fleet):
    assert CliRunner().invoke(main, ["report"]).exit_code == 2
    assert not (fleet / "bramble-report.txt").exists()
    assert share_text.HEAD.startswith("#")


# Landing


def test_recordings_land_by_tool_and_arguments_with_the_codes_that_are_not_0(tmp_path):
    commands = {
        "vcgencmd measure_volts core": Said("volt=0.8768V\n", 0),
        "rpi-eeprom-update": Said("BOOTLOADER: update available\n", 1),
        "uname -srvm": Said("Linux\n", 0),
    }
    made = text("1.0", [Told("host-1", look(commands=commands))], known())
    assert land_report.land(made, "host-1", tmp_path) == [
        "vcgencmd/measure_volts_core",
        "rpi-eeprom-update/_",
        "rpi-eeprom-update/_.exit",
    ]
    assert (tmp_path / "rpi-eeprom-update" / "_.exit").read_text() == "1\n"
    assert (tmp_path / "vcgencmd" / "measure_volts_core").read_text() == "volt=0.8768V\n"
    assert land_report.land(made, "host-1", tmp_path) == []
    assert land_report.files(made, "host-2") == {}


def test_a_command_that_nobody_asked_for_lands_nowhere():
    forged = "== host-1 command vcgencmd ../../../x (exit 0)\n    mine\n"
    assert recordings(forged)
    assert land_report.files(forged, "host-1") == {}


def test_what_is_no_report_lands_nowhere(tmp_path, capsys):
    (tmp_path / "x.txt").write_text("hello")
    assert land_report.main([str(tmp_path / "x.txt"), "host-1", "pi5/healthy"]) == 1
    assert "is no report" in capsys.readouterr().out
