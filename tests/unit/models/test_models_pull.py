"""`bramble model pull`: a locked model comes onto this computer, and a token to the hub alone."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from fake_hub import COMMIT, REPO

from bramble.cli import main
from bramble.models import cache, lock
from tests.unit.remote.scripted_server import Moved, Status, Whole, serving

CONTENT = b"GGUF" + random.Random(20261123).randbytes(2_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
USE, TOKEN = "toy-3b:q4_k_m", "hf_the_token"
# What runs in the background may have been told to ignore SIGINT.
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from bramble.cli import main
main()
"""


@pytest.fixture
def started(monkeypatch):
    """The command lines of all processes that were started."""
    found, real = [], subprocess.Popen

    def popen(argv, *arguments, **options):
        found.append(" ".join(map(str, argv)))
        return real(argv, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    return found


@pytest.fixture
def pull(folder, tmp_path, monkeypatch, started):
    """Runs `bramble model pull` on a fleet whose model is locked."""
    entry = lock.Locked(
        repo=REPO, revision=COMMIT, file="toy.gguf", size_bytes=len(CONTENT), sha256=SHA256
    )
    lock.write(folder, {USE: entry})
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kept" / "models"))

    def run(server, *names, **environment):
        environment = {"HF_ENDPOINT": server.url.rpartition("/")[0], **environment}
        return CliRunner().invoke(main, ["model", "pull", *(names or (USE,))], env=environment)

    return run


@pytest.fixture
def hub():
    with serving(CONTENT) as server:
        yield server


def test_a_gated_model_is_fetched_with_a_token_that_the_hub_alone_sees(
    pull, hub, started, tmp_path
):
    with serving(CONTENT) as cdn:
        hub.script = [Moved(cdn.url)]
        done = pull(hub, HF_TOKEN=TOKEN)
    assert done.exit_code == 0, done.output
    assert cache.place(SHA256).read_bytes() == CONTENT
    assert (hub.tokens, cdn.tokens) == ([f"Bearer {TOKEN}"], [None])
    assert cache.folder().stat().st_mode & 0o777 == 0o700
    assert TOKEN not in done.output + " ".join(started)
    assert [
        p for p in tmp_path.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()
    ] == []


def test_a_token_is_not_shown_without_tls(pull):
    with serving(CONTENT, "127.0.0.2") as elsewhere:
        assert pull(elsewhere, HF_TOKEN=TOKEN).exit_code == 0
        assert elsewhere.tokens == [None]


def test_a_token_of_a_file_is_taken(pull, hub, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert pull(hub, HF_TOKEN_PATH=str(tmp_path / "token")).exit_code == 0
    assert hub.tokens == [f"Bearer {TOKEN}"]


def test_a_pull_that_is_stopped_says_so_in_words_and_is_taken_up(pull, hub):
    hub.script = [Whole(cut_after=1_500_000, stall=True)]
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "model", "pull", USE],
        env={**os.environ, "HF_ENDPOINT": hub.url.rpartition("/")[0]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        assert process.stdout is not None
        part = cache.place(SHA256).with_suffix(".gguf.part")
        until = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size >= 1 << 20):
            assert time.monotonic() < until
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        said = process.stdout.read()
    assert process.returncode == 1
    assert said.endswith("Stopped. The same command continues from there.\n")
    assert "Traceback" not in said
    assert pull(hub).exit_code == 0
    assert hub.ranges[-1] is not None


def test_what_is_there_is_not_fetched_again(pull, hub):
    assert pull(hub).exit_code == 0
    again = pull(hub)
    assert (again.exit_code, len(hub.ranges)) == (0, 1)
    assert "is there already" in again.output


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Status(401), "bramble model pull"),
        (Whole(instead=CONTENT[:-1] + b"x"), f"and {SHA256} is pinned"),
    ],
)
def test_what_cannot_be_had_is_told_and_not_kept(pull, hub, step, words):
    hub.script = [step] * 3
    done = pull(hub)
    assert done.exit_code == 1
    assert words in done.output
    assert cache.find(SHA256) is None


def test_a_name_that_is_not_locked_is_refused_with_what_to_do(pull, hub):
    done = pull(hub, "toy-3b:q8_0")
    assert done.exit_code == 2
    assert "toy-3b:q8_0 is not in models.lock" in done.output
    assert "`bramble model lock` pins it" in done.output
    assert hub.ranges == []
