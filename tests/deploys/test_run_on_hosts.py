"""One command on several hosts, of which some misbehave: none waits for another, and all is told."""

import json
import socket
import time

import pytest
from click.testing import CliRunner
from ssh_double import Server, write_inventory

from bramble.cli import main

SETTINGS = {
    "model": {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}
}


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """An inventory of servers that behave as their names say."""
    servers = []

    def made(*faults):
        servers.extend(Server(fault) for fault in faults)
        write_inventory(tmp_path / "inventory", servers, SETTINGS)
        monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path / "inventory"))
        monkeypatch.chdir(tmp_path)
        return servers

    yield made
    for server in servers:
        server.close()


def bramble(*words):
    return CliRunner().invoke(main, words)


def test_equal_outputs_are_printed_once_and_the_worst_exit_code_is_the_commands(fleet):
    fleet("healthy", "healthy as well", "healthy too")
    done = bramble("run", "healthy*", "--", "echo one; echo two >&2; exit 3")
    assert done.exit_code == 3
    assert done.stdout == (
        "healthy, healthy-as-well, healthy-too: exit code 3\n"
        "  one\n"
        "  two\n"
        "3 hosts: 3 failed (healthy, healthy-as-well, healthy-too)\n"
    )
    done = bramble("run", "healthy", "healthy-too", "--", "printf", "%s", "a  'b' $HOME")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (
        0,
        "healthy, healthy-too  a  'b' $HOME",
    )
    assert done.stdout.splitlines()[1] == "2 hosts: 2 ended with 0"


def test_outputs_that_differ_stand_side_by_side_in_the_order_of_the_fleet(fleet):
    fleet("healthy", "healthy too")
    done = bramble("run", "all", "--", "echo $$")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["healthy", "healthy-too", "2"]
    assert done.exit_code == 0


def test_what_nodes_print_moves_no_cursor(fleet):
    fleet("healthy")
    done = bramble("run", "healthy", "--", "printf '\\033[2Jone\\ttwo\\r'")
    assert done.stdout == "healthy  ?[2Jone\ttwo?\n"


def test_a_dead_host_a_silent_and_a_stuck_one_delay_nobody_and_are_told(fleet):
    servers = fleet("dead", "hangs in the middle", "healthy", "says nothing at all")
    # A close alone leaves one more connection to who is waiting for it.
    servers[0].socket.shutdown(socket.SHUT_RDWR)
    began_s = time.monotonic()
    done = bramble("run", "all", "--timeout", "1", "--json", "--", "echo up")
    found = {entry["host"]: entry for entry in json.loads(done.stdout)["hosts"]}
    assert time.monotonic() - began_s < 60
    assert list(found) == ["dead", "hangs-in-the-middle", "healthy", "says-nothing-at-all"]
    assert (found["healthy"]["code"], found["healthy"]["output"]) == (0, "up\n")
    assert found["healthy"]["seconds"] < 5
    assert found["says-nothing-at-all"]["code"] == 255
    assert "cannot be reached" in found["dead"]["problem"]
    assert found["hangs-in-the-middle"]["code"] == 124
    assert "it did not end within 1 s" in found["hangs-in-the-middle"]["problem"]
    assert found["hangs-in-the-middle"]["output"] == "looking at mountinfo\n"
    assert done.exit_code == 255


def test_a_command_that_takes_too_long_is_ended_on_the_node(fleet, tmp_path):
    fleet("healthy")
    done = bramble("run", "healthy", "--timeout", "1", "--", f"sleep 30; touch {tmp_path}/late")
    assert done.exit_code == 124
    assert "it was ended after 1 s (--timeout)" in done.stdout
    assert not (tmp_path / "late").exists()


def test_a_command_that_is_killed_in_time_is_not_said_to_have_taken_too_long(fleet):
    fleet("healthy")
    done = bramble("run", "healthy", "--", "exit 137")
    assert (done.exit_code, done.stdout) == (137, "healthy  exit code 137\n")


def test_a_host_that_prints_without_end_is_left_alone(fleet):
    fleet("healthy")
    done = bramble("run", "healthy", "--json", "--", "head -c 3000000 /dev/zero")
    (found,) = json.loads(done.stdout)["hosts"]
    assert found["problem"] == "it printed more than 1 MiB and was left alone"
    assert len(found["output"]) == 1 << 20


def test_what_ran_is_in_the_history_without_what_it_printed(fleet, tmp_path):
    fleet("healthy", "healthy too")
    bramble("run", "all", "--", "echo sesame >&2; exit 2")
    (run,) = json.loads(bramble("history", "--json").stdout)["runs"]
    assert run["command"] == "bramble run all -- 'echo sesame >&2; exit 2'"
    assert [host["state"] for host in run["hosts"]] == ["failed", "failed"]
    assert run["hosts"][0]["why"] == "exit code 2"
    kept = "".join(f.read_text() for f in (tmp_path / "inventory" / "reports").iterdir())
    assert kept.count("sesame") == 1


@pytest.mark.parametrize(
    "words", [("run", "healthy"), ("run", "healthy", "--"), ("run", "--", "w")]
)
def test_hosts_and_a_command_must_be_named(fleet, words):
    (server,) = fleet("healthy")
    done = bramble(*words)
    assert (done.exit_code, server.connections) == (2, 0)
    assert "-- COMMAND..." in done.stderr
