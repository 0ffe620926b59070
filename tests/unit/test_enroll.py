"""`bramble enroll` and `replace`: a board that opens by a password, from a network to the inventory."""

import json

import paramiko
import pytest
import yaml
from click.testing import CliRunner

from bramble.cli import driver, main, terminal
from bramble.lan import meetings, pis
from bramble.lan.meetings import meet
from bramble.lan.pis import Pi
from bramble.settings import SshSettings
from bramble.ssh import known_hosts
from bramble.ssh.client import SshError, connect
from bramble.ssh.problems import fingerprint
from tests.unit.ssh_account import Board

MODEL = f"{{name: m, url: 'http://h/m', sha256: '{'0' * 64}'}}"
FLEET = f"""\
# Ours.
hosts:
  pi4-b:  # in the cellar
    groups: [pi4]
    ssh: {{address: 192.0.2.4}}
    # above the door

# Everything else.
settings:
  ssh:
    connect_timeout_s: 300
    key: key
  model: {MODEL}
"""
WORD = "corrèct horse"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An inventory of one host, with a key of ours that no board knows yet."""
    home = tmp_path / "me"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / "inventory"
    (folder / "groups").mkdir(parents=True)
    for name in ("pi4", "pi5"):
        (folder / "groups" / f"{name}.yml").write_text("")
    (folder / "fleet.yml").write_text(FLEET)
    (folder / "known_hosts").write_text("")
    paramiko.ECDSAKey.generate().write_private_key_file(str(folder / "key"))
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    monkeypatch.setenv("WORD", WORD)
    return folder


@pytest.fixture
def board(tmp_path):
    with Board(tmp_path / "pi", password=WORD).on() as made:
        yield made


@pytest.fixture
def person(monkeypatch):
    """Somebody sits at the terminal."""
    monkeypatch.setattr(terminal, "is_person", lambda: True)


def bramble(*words, given=""):
    return CliRunner().invoke(main, words, input=given)


def taken(board, *more, name="pi5-a"):
    """Enroll the board as a script does."""
    words = ["enroll", f"pi@127.0.0.1:{board.port}", "--name", name]
    words += ["--fingerprint", fingerprint(board.key), "--password-from-env", "WORD"]
    return bramble(*words, *more)


def read(folder):
    return yaml.safe_load((folder / "fleet.yml").read_text())


def test_a_board_that_opens_by_its_password_alone_is_a_host_that_opens_by_our_key(board, project):
    done = taken(board)
    assert done.exit_code == 0, done.output
    assert "pi5-a opens by" in done.output
    ssh = {"address": "127.0.0.1", "port": board.port, "user": "pi"}
    assert read(project)["hosts"]["pi5-a"] == {"groups": ["pi5"], "ssh": ssh}
    opened = SshSettings(**ssh, key=project / "key", known_hosts=project / "known_hosts")
    connect("pi5-a", opened).close()
    assert board.logins.count(("password", "pi", True)) == 1


def test_every_word_of_fleet_yml_stays_where_it_is(board, project):
    assert taken(board).exit_code == 0
    text = (project / "fleet.yml").read_text()
    start, end = FLEET.split("\n\n# Everything")
    assert text.startswith(start)
    assert text.endswith(f"\n\n# Everything{end}")


def test_the_password_is_nowhere_to_be_found(board, project):
    done = taken(board)
    assert WORD not in done.output
    assert not any(WORD in command for command in board.commands)
    kept = [file for file in project.rglob("*") if file.is_file()] + [*board.home.rglob("*")]
    assert not any(WORD.encode() in file.read_bytes() for file in kept if file.is_file())


def test_keys_that_are_there_stay_and_a_second_time_adds_none(board, project):
    file = board.home / ".ssh" / "authorized_keys"
    file.parent.mkdir()
    file.write_text("# mine\nssh-ed25519 AAAAother me")
    assert taken(board).exit_code == 0
    assert file.read_text().startswith("# mine\nssh-ed25519 AAAAother me\n")
    assert len(file.read_text().splitlines()) == 3
    assert file.stat().st_mode & 0o777 == 0o600
    (project / "fleet.yml").write_text(FLEET)
    assert taken(board).exit_code == 0
    assert len(file.read_text().splitlines()) == 3


def test_a_key_that_opens_nothing_in_a_new_connection_is_not_called_a_way_in(board, project):
    board.is_deaf = True
    done = taken(board)
    assert done.exit_code == 1
    assert "the key is in ~/.ssh/authorized_keys of pi5-a, and does not open it" in done.output
    assert (project / "fleet.yml").read_text() == FLEET


def test_a_wrong_password_is_tried_once_and_nothing_is_written(board, project):
    board.password = "other"
    done = taken(board)
    assert done.exit_code == 1
    assert "pi@127.0.0.1 does not take the password that was given" in done.output
    assert board.logins.count(("password", "pi", False)) == 1
    assert (project / "fleet.yml").read_text() == FLEET
    assert WORD not in done.output


def test_another_fingerprint_is_refused_before_anybody_logs_in(board, project):
    words = ("enroll", f"127.0.0.1:{board.port}", "--name", "pi5-a", "--fingerprint", "SHA256:x")
    done = bramble(*words)
    assert done.exit_code == 1
    assert "not SHA256:x; nothing was changed" in done.output
    assert (board.logins, (project / "known_hosts").read_text()) == ([], "")


@pytest.mark.parametrize("lacking", ["--name", "--fingerprint"])
def test_nobody_is_asked_off_a_terminal(board, lacking):
    words = {"--name": "pi5-a", "--fingerprint": fingerprint(board.key)}
    del words[lacking]
    done = bramble(
        "enroll", f"127.0.0.1:{board.port}", *[w for pair in words.items() for w in pair]
    )
    assert done.exit_code == 2
    assert "say --name and --fingerprint" in done.output
    assert board.logins == []


def test_a_person_is_asked_for_name_fingerprint_password_and_group(board, project, person):
    given = f"Pi 5\npi5-c\ny\n{WORD}\n-\n"
    done = bramble("enroll", f"127.0.0.1:{board.port}", given=given)
    assert done.exit_code == 0, done.output
    assert "Its groups (pi4, pi5; - for none) [pi5]" in done.output
    assert WORD not in done.output
    assert "groups" not in read(project)["hosts"]["pi5-c"]


def test_a_group_that_there_is_not_leaves_the_inventory_as_it_is(board, project, person):
    given = f"pi5-c\ny\n{WORD}\npi6\n"
    done = bramble("enroll", f"127.0.0.1:{board.port}", given=given)
    assert done.exit_code == 2
    assert "nothing defines 'pi6'" in done.output
    assert "the inventory was not changed" in done.output
    assert (project / "fleet.yml").read_text() == FLEET


def test_a_sudo_that_asks_for_a_password_is_told_with_what_to_do(board):
    board.answers["sudo "] = (1, b"sudo: a password is required\n")
    assert "`bramble up pi5-a --ask-sudo-password`" in taken(board).output


def test_a_board_without_a_known_model_gets_no_group_by_itself(board, project):
    board.answers["tr "] = (1, b"tr: no such file")
    assert taken(board, name="box").exit_code == 0
    assert "groups" not in read(project)["hosts"]["box"]


def test_a_first_host_is_taken_into_an_inventory_that_has_none(board, project):
    (project / "fleet.yml").write_text(f"hosts:\n# None yet.\nsettings: {{model: {MODEL}}}\n")
    (project.parent / "me" / ".ssh" / "id_ecdsa").write_bytes((project / "key").read_bytes())
    assert taken(board).exit_code == 0
    assert "# None yet.\n" in (project / "fleet.yml").read_text()
    assert [*read(project)["hosts"]] == ["pi5-a"]


def test_a_name_that_is_there_and_a_file_that_is_not_edited_safely_are_refused(board, project):
    assert "has a host pi4-b already" in taken(board, name="pi4-b").output
    flow = f"{{hosts: {{pi4-b: {{}}}}, settings: {{model: {MODEL}}}}}\n"
    (project / "fleet.yml").write_text(flow)
    done = taken(board)
    assert done.exit_code == 2
    assert '  pi5-a:\n    ssh:\n      address: "127.0.0.1"\n' in done.output
    assert (project / "fleet.yml").read_text() == flow
    assert board.logins == []


def test_a_board_that_shows_the_key_of_another_host_is_told(board, project):
    line = f"192.0.2.4 {board.key.get_name()} {board.key.get_base64()}\n"
    (project / "known_hosts").write_text(line)
    done = taken(board)
    assert done.exit_code == 1
    assert "of 192.0.2.4: it is that node at another address" in done.output


def test_an_address_that_had_another_key_is_told_with_how_to_take_it_out(board, project):
    other = paramiko.ECDSAKey.generate()
    (project / "known_hosts").write_text(
        f"[127.0.0.1]:{board.port} {other.get_name()} {other.get_base64()}\n"
    )
    done = taken(board)
    assert done.exit_code == 1
    assert f"ssh-keygen -R '[127.0.0.1]:{board.port}'" in done.output


def test_without_a_key_of_this_computer_nothing_is_asked(board, project):
    (project / "fleet.yml").write_text(FLEET.replace("    key: key\n", ""))
    done = taken(board)
    assert done.exit_code == 1
    assert "`ssh-keygen -t ed25519` makes one" in done.output


# The list


@pytest.fixture
def boards(board, monkeypatch, project):
    """A new board, one that is of the inventory, and one that shows no key."""
    there = [
        Pi("192.0.2.7", "b8:27:eb:00:00:07", "raspberrypi.local"),
        Pi("192.0.2.4"),
        Pi("192.0.2.9"),
    ]
    monkeypatch.setattr(pis, "find", lambda: there)

    def offered(host, ssh):
        if ssh.address == "192.0.2.9":
            raise SshError("192.0.2.9 shows no SSH key: nothing listens")
        return board.key if ssh.address == "192.0.2.7" else KNOWN

    monkeypatch.setattr(meetings, "offered_key", offered)
    (project / "known_hosts").write_text(f"192.0.2.4 {KNOWN.get_name()} {KNOWN.get_base64()}\n")
    return there


KNOWN = paramiko.ECDSAKey.generate()


def test_the_list_has_the_fingerprint_of_each_board_and_whose_it_is(boards, board):
    done = bramble("enroll", "--json")
    assert done.exit_code == 0, done.output
    new, ours, silent = json.loads(done.stdout)["boards"]
    assert (new["fingerprint"], new["host"]) == (fingerprint(board.key), "")
    assert ours["host"] == "pi4-b"
    assert (silent["fingerprint"], silent["problem"]) == (
        "",
        "192.0.2.9 shows no SSH key: nothing listens",
    )
    listed = bramble("enroll").output
    assert f"b8:27:eb:00:00:07  raspberrypi.local  new    {fingerprint(board.key)}" in listed
    assert "next: `bramble enroll 192.0.2.7 --name HOST`" in listed


def test_a_person_is_asked_for_each_new_board_alone(boards, person):
    done = bramble("enroll", given="n\n")
    assert done.exit_code == 0
    assert done.output.count("into the inventory?") == 1


def test_a_known_board_at_a_new_address_is_known_by_its_key(boards, project, monkeypatch):
    hosts = {"pi4-b": SshSettings(address="192.0.2.4", known_hosts=project / "known_hosts")}
    (met,) = meet([Pi("192.0.2.40")], project / "known_hosts", hosts)
    assert (met.host, met.is_new) == ("pi4-b", False)


def test_options_of_one_board_want_its_address():
    done = bramble("enroll", "--name", "pi5-a")
    assert (done.exit_code, "say its ADDRESS" in done.output) == (2, True)


# replace


OLD = paramiko.ECDSAKey.generate()


@pytest.fixture
def planned(monkeypatch):
    """A run of the plan of pi4-b, which has one thing to do."""
    step = {
        "role": "base",
        "step": "Install packages",
        "why": "git is missing",
        "diffs": [],
        "note": None,
    }
    entry = {"event": "plan", "host": "pi4-b", "refused": [], "warned": [], "steps": [step]}
    calls = []

    def run(deploy, hosts, *options, show):
        calls.append((deploy, list(hosts)))
        events = ({"event": "run", "hosts": ["pi4-b"]}, entry)
        ends = {"event": "end", "changed": [], "failed": [], "complete": True}
        return driver.Outcome(0, (*events, ends), None, None)

    monkeypatch.setattr(driver, "run", run)
    return calls


def put_in(board, *more):
    words = ("replace", "pi4-b", f"127.0.0.1:{board.port}", "--fingerprint", fingerprint(board.key))
    return bramble(*words, "--password-from-env", "WORD", *more)


def dead(project):
    """The old board is gone: nothing listens where it was."""
    fleet = FLEET.replace("192.0.2.4", "127.0.0.2, port: 1")
    fleet = fleet.replace("  pi4-b:", "  # first\n  pi4-b:")
    (project / "fleet.yml").write_text(fleet)
    line = f"{OLD.get_name()} {OLD.get_base64()}"
    (project / "known_hosts").write_text(f"[127.0.0.2]:1 {line}\nother {line}\n")
    return fleet


def test_another_board_takes_the_place_of_a_dead_one(board, project, planned):
    fleet = dead(project)
    done = put_in(board)
    assert done.exit_code == 0, done.output
    changed = fleet.replace("127.0.0.2, port: 1", f'"127.0.0.1", port: {board.port}')
    assert (project / "fleet.yml").read_text() == changed
    file = project / "known_hosts"
    assert not known_hosts.keys(file, "[127.0.0.2]:1")
    assert known_hosts.keys(file, "other")
    assert known_hosts.keys(file, f"[127.0.0.1]:{board.port}") == {
        board.key.get_name(): board.key.get_base64()
    }


def test_what_the_next_up_would_do_is_told(board, project, planned):
    dead(project)
    told = put_in(board).output
    assert planned == [("plan", ["pi4-b"])]
    assert "what `bramble up` would do: pi4-b: 1 step: base 1\n" in told
    assert "base: Install packages: git is missing" in told


def test_a_board_that_is_not_that_of_its_group_is_told(board, project, planned):
    dead(project)
    assert "in the group pi4, and the new board is a pi5" in put_in(board).output


def test_a_neighbour_with_the_same_model_is_named(board, project, planned):
    dead(project)
    fleet = (project / "fleet.yml").read_text()
    (project / "fleet.yml").write_text(fleet.replace("\n# Every", "  pi4-c: {}\n\n# Every"))
    assert "`bramble up pi4-b pi4-c`: pi4-c has the same model" in put_in(board).output


def test_a_board_that_still_answers_is_not_replaced(board, project, tmp_path):
    with Board(tmp_path / "old").on() as old:
        fleet = FLEET.replace("192.0.2.4", f"127.0.0.1, port: {old.port}")
        (project / "fleet.yml").write_text(fleet)
        line = f"[127.0.0.1]:{old.port} {old.key.get_name()} {old.key.get_base64()}\n"
        (project / "known_hosts").write_text(line)
        done = put_in(board)
    assert done.exit_code == 2
    assert "it is no dead board" in done.output
    assert ((project / "fleet.yml").read_text(), board.logins) == (fleet, [])


def test_a_new_board_at_the_old_address_changes_the_key_alone(board, project, planned):
    fleet = FLEET.replace("192.0.2.4", f"127.0.0.1, port: {board.port}")
    (project / "fleet.yml").write_text(fleet)
    name = f"[127.0.0.1]:{board.port}"
    (project / "known_hosts").write_text(f"{name} {OLD.get_name()} {OLD.get_base64()}\n")
    assert put_in(board).exit_code == 0
    assert (project / "fleet.yml").read_text() == fleet
    assert [*known_hosts.keys(project / "known_hosts", name).values()] == [board.key.get_base64()]


def test_an_address_that_hosts_of_its_own_file_has_is_changed_there(board, project, planned):
    dead(project)
    fleet = FLEET.replace("    ssh: {address: 192.0.2.4}\n", "")
    (project / "fleet.yml").write_text(fleet)
    (project / "hosts").mkdir()
    apart = project / "hosts" / "pi4-b.yml"
    apart.write_text("ssh:\n  port: 1\n  address: 127.0.0.2  # the shelf\n")
    assert put_in(board).exit_code == 0
    assert (project / "fleet.yml").read_text() == fleet
    assert apart.read_text() == f'ssh:\n  port: {board.port}\n  address: "127.0.0.1"  # the shelf\n'


def test_a_host_that_says_no_address_gets_one_where_it_stands(board, project, planned):
    fleet = FLEET.replace("    ssh: {address: 192.0.2.4}\n", "").replace(
        "key: key", "key: key\n    port: 1"
    )
    (project / "fleet.yml").write_text(fleet)
    done = put_in(board)
    assert done.exit_code == 0, done.output
    assert read(project)["hosts"]["pi4-b"]["ssh"] == {"address": "127.0.0.1", "port": board.port}
    assert "# in the cellar" in (project / "fleet.yml").read_text()


def test_the_first_part_of_a_name_is_offered_unless_it_is_that_of_the_image():
    names = ("kitchen.local", "raspberrypi-2.local", "")
    assert [Pi("192.0.2.1", name=name).label for name in names] == ["kitchen", "", ""]
