"""What looks for leaks finds them, and not itself."""

import subprocess
import tempfile
from contextlib import contextmanager

import pytest

from tests.nodes import leaks
from tests.nodes.fleet import wait_until
from tests.nodes.leaks import Watch, canary, files_with, on_node, temporary

SECRETS = ("brk_CanaryOfThisVeryTest-1", "MIGHAg+CanaryOf/ThisVeryTest==")


def on(command):
    """A command of this computer in the place of a node."""
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout.strip()


@contextmanager
def running(*argv, **environment):
    """A process that goes on meanwhile."""
    with subprocess.Popen(argv, env=environment) as process:
        yield
        process.kill()


@pytest.mark.parametrize("secret", SECRETS)
def test_every_one_of_several_secrets_is_seen_in_argv_and_environments(secret):
    with (
        running("sleep", "100", X=secret),
        running("sleep", "200", X=secret),
        running("sh", "-c", f"sleep 9; : {secret}"),
        Watch(*SECRETS, allowed=("200",)) as watch,
    ):
        wait_until(lambda: watch.looks > 1, 60, "a whole look")
    assert ("environment", "sleep 100 ") in watch.found
    assert ("environment", "sleep 200 ") not in watch.found
    assert ("argv", f"sh -c sleep 9; : {secret} ") in watch.found


@pytest.mark.parametrize("secret", SECRETS)
def test_a_file_that_holds_one_is_found_and_the_search_itself_is_not(secret, tmp_path, monkeypatch):
    monkeypatch.setattr(leaks, "FOLDERS", str(tmp_path))
    said = []
    found = [*on_node(lambda command: said.append(command) or on(command), secret)]
    assert [kind for kind, _ in found if kind == "node"] == []
    assert not any(secret in command for command in said)
    (tmp_path / "planted").write_text(f"x {secret} y\n")
    assert ("node", str(tmp_path / "planted")) in on_node(on, secret)
    assert files_with(secret, tmp_path) == [str(tmp_path / "planted")]


def test_a_secret_of_one_test_is_in_no_other_ones():
    with running("sleep", "100", X=canary()), Watch(canary()) as watch:
        wait_until(lambda: watch.looks > 1, 60, "a whole look")
    assert watch.found == set()


def test_what_is_temporary_is_all_but_what_tests_have_there(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("pytest-of-root", "left"):
        (tmp_path / name).mkdir()
    assert temporary() == [tmp_path / "left"]
