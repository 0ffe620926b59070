"""One run holds a node: the next one gets its name, and has it once the first one's connection ends."""

import json
import subprocess
import sys
import threading
import time

import pytest

from bramble import remote
from bramble.remote import hold_node

pytestmark = pytest.mark.fault("F25")


@pytest.fixture
def run(tmp_path):
    """Begin a run of this name: its process, and what it answered."""
    begun = []

    def begin(who, wait_s=0, silent_s=60):
        text = remote.program("hold_node", {"who": who, "wait_s": wait_s})
        text = text.replace(hold_node.LOCK, str(tmp_path / "held" / "run.lock"))
        text = text.replace("SILENT_S = 60", f"SILENT_S = {silent_s}")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-Iuc", text], text=True, **pipes)
        begun.append(process)
        return process, json.loads(process.stdout.readline())

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def test_the_second_run_is_given_the_name_of_the_first(run):
    _, first = run("anna@laptop, process 1")
    assert first["waited_s"] < 1
    second, answer = run("ben@desk, process 2")
    assert answer["who"] == "anna@laptop, process 1"
    time.strptime(answer["since"].rpartition(" ")[0], "%Y-%m-%d %H:%M:%S")
    assert answer["holder"] == f"anna@laptop, process 1 (since {answer['since']})"
    assert second.wait() == 1


def test_a_lock_whose_words_cannot_be_read_is_held_all_the_same(tmp_path):
    (tmp_path / "lock").write_text("[]")
    with (tmp_path / "lock").open() as file:
        assert hold_node.holder(file) == {"holder": "another run", "who": None, "since": None}


@pytest.mark.parametrize("end", ["its connection ends", "it is killed", "it is silent"])
def test_a_run_that_ends_lets_go_of_the_node(run, end):
    first, _ = run("anna", silent_s=0.5 if end == "it is silent" else 60)
    if end == "its connection ends":
        first.stdin.close()
    elif end == "it is killed":
        first.kill()
    _, answer = run("ben", wait_s=60)
    assert "waited_s" in answer
    assert run("carl")[1]["holder"].startswith("ben")


def test_a_run_that_says_now_and_then_that_it_lives_keeps_the_node(run):
    first, _ = run("anna", silent_s=2)
    over = threading.Event()

    def beat():
        while not over.wait(0.1):
            first.stdin.write("\n")
            first.stdin.flush()

    beating = threading.Thread(target=beat)
    beating.start()
    _, answer = run("ben", wait_s=5)
    over.set()
    beating.join()
    assert answer["holder"].startswith("anna")
