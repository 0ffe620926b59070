"""A node tells what it is doing, line by line, and ends with whoever listens."""

import json
import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from bramble.remote import live, program, reader
from tests.unit.remote.test_node_edge_state import HEAD, answering
from tests.unit.remote.test_node_gateway_state import FIGURES as FIGURES_OF_A_GATEWAY
from tests.unit.remote.test_node_watch import BUILD, Handler, llama

FIGURES = """\
llamacpp:prompt_tokens_total 120
llamacpp:tokens_predicted_total 64
llamacpp:n_decode_total {decodes}
llamacpp:n_busy_slots_per_decode 1
llamacpp:predicted_tokens_seconds 0
llamacpp:requests_processing {busy}
llamacpp:requests_deferred 2
"""
DEADLINE_S = 60


@pytest.fixture
def server(monkeypatch):
    """A llama-server that makes ten more steps between two looks."""
    with llama() as found:
        found.decodes = 0

        def get(handler):
            if handler.path == "/props":
                said = {"build_info": BUILD, "model_alias": "toy", "is_sleeping": found.asleep}
                return handler.reply(200, json.dumps(said).encode())
            if not handler.path.startswith("/metrics"):
                return plain(handler)
            found.scraped.append(handler.path)
            found.decodes += 10
            text = FIGURES.format(decodes=found.decodes, busy=found.busy)
            return handler.reply(200, text.encode())

        plain = Handler.do_GET
        monkeypatch.setattr(Handler, "do_GET", get)
        yield found


@pytest.fixture
def node(commands):
    """The programs of a node that is well; `commands` replaces one."""
    shown = f"printf 'ActiveState=active\\nNRestarts=3\\nMainPID={os.getpid()}\\n'"
    commands("systemctl", shown)
    commands("vcgencmd", 'echo "temp=48.3\'C"; echo throttled=0x50002')
    return commands


def query(server=None, **changes):
    wanted = server and {
        "unit": "llama-server.service",
        "url": f"http://127.0.0.1:{server.server_port}",
        "model_name": "toy",
        "further": bool(server.states),
        "slots": 1,
        "guesses": False,
    }
    return {"server": wanted, "gateway": None, "status": None, "once": True, **changes}


@contextmanager
def running(asked, change=("", "")):
    """The program as a node runs it: read from an input that stays open."""
    text = program("live", asked).replace(*change)
    with subprocess.Popen(
        ["sh", "-c", f"exec {reader(text)}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            process.stdin.write(text.encode())
            process.stdin.flush()
            yield process
        finally:
            process.kill()


@pytest.fixture
def said(monkeypatch, capsys):
    """The one line that it prints, in this process."""
    with monkeypatch.context() as patch:
        patch.setattr(
            live, "signal", SimpleNamespace(signal=lambda *_: 0, alarm=int, SIGALRM=0, SIG_DFL=0)
        )
        patch.setattr(live.os, "nice", lambda _: 0)
        ours, theirs = os.pipe()
        patch.setattr(live.sys, "stdin", SimpleNamespace(fileno=lambda: ours))

        def line(asked):
            assert live.main(asked) == 0
            return json.loads(capsys.readouterr().out)

        yield line
        os.close(ours)
        os.close(theirs)


def test_a_node_that_is_well_tells_of_its_board_its_service_and_its_model(node, server, said):
    found = said(query(server))
    assert (found["temperature_c"], found["throttled"]) == (48.3, 0x50002)
    assert (found["unit"], found["restarts"]) == ("active", 3)
    assert found["resident_mib"] > 1
    assert (found["health"], found["build"]) == ("HTTP 200", BUILD)
    assert (found["models"], found["busy"], found["waiting"]) == ({"toy": "loaded"}, 0, 2)
    assert found["uptime_s"] > 0
    assert set(found["ages"]) == {"board", "unit", "server"}
    assert server.scraped == ["/metrics"]


@pytest.mark.parametrize(
    ("up", "started", "told"),
    [
        ("7300.52 100.00", f"1 (systemd (x) y) S {'0 ' * 18}700 0", 7293),
        ("7300.52 100.00", "1 (init) S", None),
        ("", f"1 (init) S {'0 ' * 18}700 0", None),
    ],
)
def test_a_container_is_up_since_its_own_boot(monkeypatch, up, started, told):
    files = {"/proc/uptime": up, "/proc/1/stat": started}
    monkeypatch.setattr(live.vitals, "read", files.get)
    monkeypatch.setattr(live.os, "sysconf", lambda name: 100)
    assert live.uptime_s() == told


def test_a_busy_server_is_looked_at_twice_so_that_its_speed_is_told(node, server, said):
    server.busy = 1
    found = said(query(server))
    assert found["busy"] == 1
    assert found["tokens_per_s"] > 0
    assert server.scraped == ["/metrics", "/metrics"]


def test_a_node_without_a_model_tells_of_its_board(node, said):
    found = said(query())
    assert (found["temperature_c"], found["health"], found["unit"]) == (48.3, None, None)


def test_a_server_that_is_down_and_one_that_loads_are_told_apart(node, server, said):
    server.health = 503
    assert said(query(server))["health"] == "HTTP 503"
    wanted = query(server)
    wanted["server"]["url"] = "http://127.0.0.1:1"
    assert "refused" in said(wanted)["health"]


def test_a_model_that_sleeps_is_told_and_not_woken(node, server, said):
    server.asleep = True
    found = said(query(server))
    assert (found["models"], found["busy"]) == ({"toy": "sleeping"}, 0)
    assert server.scraped == []


def test_of_several_models_only_those_that_are_loaded_are_asked(node, server, said):
    server.states = {"toy": "loaded", "second": "unloaded", "third": "failed"}
    found = said(query(server))
    assert found["models"] == server.states
    assert server.scraped == ["/metrics?model=toy&autoload=false"]


def test_what_nothing_tells_is_null_and_not_a_guess(commands, server, tmp_path, said):
    for name in ("systemctl", "vcgencmd"):
        commands(name, "exit 1")
    found = said(query(server, status=str(tmp_path / "none")))
    unknown = ("throttled", "unit", "restarts", "resident_mib", "files_ok", "files_at_s")
    assert [found[name] for name in unknown] == [None] * len(unknown)


def test_what_the_node_found_of_its_own_files_is_passed_on(node, tmp_path, said):
    status = tmp_path / "status.json"
    row = {"check": "files_are_as_written", "ok": False, "said": "1 differ: /etc/x"}
    status.write_text(json.dumps({"at_s": 12.5, "checks": [{"check": "other", "ok": True}, row]}))
    found = said(query(status=str(status)))
    assert (found["files_ok"], found["files_at_s"]) == (False, 12.5)
    assert found["files_said"] == "1 differ: /etc/x"
    status.write_text('{"checks": 7}')
    assert said(query(status=str(status)))["files_ok"] is None


def test_a_gateway_tells_who_waits_and_how_its_nodes_are(node, said, tmp_path):
    led = {"unit": "bramble-gateway.service", "socket": str(tmp_path / "figures.sock")}
    led |= {"pools": ["pool1", "pool2"]}
    with answering(tmp_path / "figures.sock", HEAD + FIGURES_OF_A_GATEWAY):
        found = said(query(gateway=led))
    assert (found["gateway"], found["queues"]) == ("active", {"pool1": 2, "pool2": 0})
    assert found["nodes"]["pool1/pi5-b"]["check"] == "L4CON"
    assert found["health"] is None
    assert set(found["ages"]) == {"board", "unit", "server", "gateway"}


def test_a_gateway_that_tells_nothing_is_told_as_that(node, said, tmp_path):
    led = {"unit": "bramble-gateway.service", "socket": str(tmp_path / "none"), "pools": ["pool1"]}
    found = said(query(gateway=led))
    assert (found["gateway"], found["queues"], found["nodes"]) == ("active", None, None)


def test_lines_come_until_the_input_ends(node, server):
    with running(query(server, once=False)) as process:
        for _ in range(3):
            assert json.loads(process.stdout.readline())["health"] == "HTTP 200"
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0
        assert process.stderr.read() == b""


def test_it_ends_when_nobody_reads_any_more(node):
    with running(query(once=False)) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(DEADLINE_S) == 0


def test_a_listener_that_says_nothing_for_long_ends_it_whatever_it_does(node):
    with running(query(once=False), ("SILENT_S = 60", "SILENT_S = 1")) as process:
        assert process.wait(DEADLINE_S) == -signal.SIGALRM


def test_a_byte_from_the_listener_is_a_sign_of_life(monkeypatch):
    alarms = []
    monkeypatch.setattr(live.signal, "alarm", alarms.append)
    ours, theirs = os.pipe()
    os.write(theirs, b"\n")
    assert live.listens(ours, live.time.monotonic() + 0.01) is True
    os.close(theirs)
    assert live.listens(ours, live.time.monotonic() + DEADLINE_S) is False
    os.close(ours)
    assert alarms == [live.SILENT_S]


def test_a_look_that_hangs_holds_up_no_line_and_its_age_is_told(said, monkeypatch):
    hangs = threading.Event()
    monkeypatch.setattr(live, "board", lambda: hangs.wait() and {"temperature_c": 1})
    monkeypatch.setattr(live, "LATEST_S", 0.5)
    found = said(query())
    hangs.set()
    assert found["health"] is None
    assert "temperature_c" not in found
    assert set(found["ages"]) == {"unit", "server"}


def test_it_writes_nothing(node, server, tmp_path, monkeypatch, said):
    opened = []
    plain = open

    def watched(path, mode="r", **more):
        opened.append(mode)
        return plain(path, mode, **more)

    for module in (live, live.server_state, live.vitals):
        monkeypatch.setattr(module, "open", watched, raising=False)
    said(query(server, status=str(tmp_path / "none")))
    assert set(opened) == {"r"}
