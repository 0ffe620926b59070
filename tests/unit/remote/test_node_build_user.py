"""What a build runs is held by the kernel: who it is, what it may write, and whom it can reach."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bramble.remote import build_proof, build_user, llama_bench, switch_engine
from bramble.remote.build_user import UserError

ROOT = Path(__file__).parents[3]
WITHIN_S = 30
# Of every Linux; no test makes a user.
NOBODY = "nobody"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as somebody else")


@pytest.fixture
def own(open_folder):
    """A folder of the user's in it."""
    build_user.have(str(open_folder / "own"), NOBODY)
    return open_folder / "own"


def said(script, writable=(), **variables):
    """What a shell script says that runs as the user."""
    options = build_user.options(NOBODY, writable, **variables)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, **options)
    return done.stdout + done.stderr


@as_root
def test_a_program_runs_as_the_user_and_can_become_nobody_else():
    status = said("cat /proc/self/status")
    for line in ("Uid", "Gid"):
        numbers = re.search(rf"^{line}:\t(.*)$", status, re.M)[1].split()
        assert len({*numbers}) == 1
        assert numbers[0] != "0"
    assert re.findall(r"^Cap(?:Inh|Prm|Eff|Amb):\t(\w+)$", status, re.M) == ["0" * 16] * 4
    assert "NoNewPrivs:\t1" in status


@as_root
@pytest.mark.parametrize("place", ["/tmp", "/var/tmp", "/dev/shm", "other"])
def test_nothing_is_written_outside_of_its_folders(open_folder, own, place):
    other = open_folder / "other"
    other.mkdir()
    other.chmod(0o777)
    path = Path(place if place.startswith("/") else other, f"{open_folder.name}-file")
    assert "Read-only file system" in said(f"echo x > {path}", (str(own),))
    assert not path.exists()


@as_root
def test_its_own_folders_are_written_and_are_its_home_and_its_place_for_temporary_files(own):
    assert said('echo x > "$HOME/a"; echo y > "$TMPDIR/b"', (str(own),)) == ""
    assert [(own / name).read_text() for name in "ab"] == ["x\n", "y\n"]
    assert own.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_program_of_setuid_root_that_it_makes_or_finds_is_the_users_still(own):
    shutil.copy("/usr/bin/id", own / "id")
    (own / "id").chmod(0o4755)
    assert said(f"{own}/id -u", (str(own),)).strip() != "0"


@as_root
def test_it_reaches_no_network_not_even_the_nodes_own():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        assert "unreachable" in said(f'{shutil.which("python3", path="/usr/bin")} -c "{script}"')


@as_root
def test_sockets_of_the_nodes_programs_are_not_there():
    assert said("ls -A /run") == ""


@as_root
def test_variables_of_roots_are_not_passed_on(monkeypatch):
    monkeypatch.setenv("CANARY", "secret")
    known = said("env", NINJA_STATUS="x")
    assert "NINJA_STATUS=x" in known
    assert "secret" not in known


def test_without_a_user_a_program_runs_as_whoever_called_it(tmp_path):
    options = build_user.options(MORE="x")
    script = f'id -u; echo "$MORE"; echo y > {tmp_path}/file'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, **options)
    assert done.stdout.split() == [str(os.geteuid()), "x"]
    assert (tmp_path / "file").exists()


def test_a_user_that_is_not_there_is_told_with_what_to_do():
    with pytest.raises(
        UserError, match="no user nobody-has-this-name here; deploy the role engine"
    ):
        build_user.options("nobody-has-this-name")


CALLS = """
import functools
from bramble.remote import build_tools, build_user
by = functools.partial(build_user.options, "nobody", ({own!r},))
build_tools.call("sh", "-c", "echo $$ > {own}/new; mv {own}/new {own}/pid; exec sleep 1000", by=by)
"""


def runs(pid):
    """Whether such a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, problem):
    until = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < until, problem
        time.sleep(0.02)


@as_root
def test_what_the_user_runs_ends_with_the_program_of_roots_that_started_it(own):
    words = [sys.executable, "-c", CALLS.format(own=str(own))]
    parent = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        wait_until((own / "pid").exists, "nothing was started")
        pid = int((own / "pid").read_text())
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not runs(pid), "it went on")
    finally:
        parent.kill()
        parent.wait()


# What it leaves


@pytest.fixture
def made(own):
    """A program of the user's."""
    path = own / "llama-server"
    path.write_bytes(b"program")
    path.chmod(0o6777)
    os.chown(path, *build_user.identity(NOBODY))
    return path


@as_root
def test_a_program_is_taken_as_roots_that_nobody_else_may_write(open_folder, made):
    build_user.taken(str(made), f"{open_folder}/taken", NOBODY, 100)
    status = os.stat(open_folder / "taken")
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 0, 0o755)
    assert (open_folder / "taken").read_bytes() == b"program"


def links_to_shadow(made):
    made.unlink()
    made.symlink_to("/etc/shadow")


def is_another_name(made):
    other = made.with_name("other")
    made.rename(other)
    os.link(other, made)


@as_root
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (links_to_shadow, "symbolic links"),
        (is_another_name, "not a file of its own"),
        (lambda made: os.chown(made, 0, 0), "not a file of its own"),
        (lambda made: made.write_bytes(bytes(101)), "0 are allowed"),
        (lambda made: (made.unlink(), os.mkfifo(made)), "no plain file"),
        (lambda made: (made.unlink(), made.mkdir()), "no plain file"),
    ],
)
def test_what_is_no_plain_file_of_the_users_is_not_taken(open_folder, made, spoil, words):
    spoil(made)
    with pytest.raises(OSError, match=words):
        build_user.taken(str(made), f"{open_folder}/taken", NOBODY, 100)
    assert not (open_folder / "taken").exists()


@as_root
def test_a_folder_of_another_or_a_link_is_made_again(open_folder):
    (open_folder / "aim").mkdir()
    (open_folder / "aim" / "kept").write_text("x")
    for make in (
        lambda p: p.mkdir(),
        lambda p: p.symlink_to(open_folder / "aim"),
        lambda p: p.touch(),
    ):
        place = open_folder / "place"
        make(place)
        build_user.have(str(place), NOBODY)
        status = os.lstat(place)
        assert (status.st_uid, oct(status.st_mode)) == (
            build_user.identity(NOBODY)[0],
            "0o40700",
        )
        place.rmdir()
    assert (open_folder / "aim" / "kept").exists()


@as_root
def test_its_own_folder_is_kept_with_what_is_in_it(own):
    (own / "object.o").write_text("x")
    build_user.have(str(own), NOBODY)
    assert (own / "object.o").exists()


@as_root
def test_the_compiler_cache_of_an_earlier_bramble_is_given_and_no_link_in_it_followed(open_folder):
    cache, aim = open_folder / "ccache", open_folder / "aim"
    (cache / "0").mkdir(parents=True)
    (cache / "0" / "entry").write_text("x")
    aim.touch()
    (cache / "0" / "link").symlink_to(aim)
    build_user.have_cache(str(cache), NOBODY)
    uid = build_user.identity(NOBODY)[0]
    given = [cache, *cache.rglob("*")]
    assert {os.lstat(path).st_uid for path in given} == {uid}
    assert len(given) == 4
    assert aim.stat().st_uid == 0


# Releases that nobody trusts yet

# It passes for a llama-bench, once it has said who it is and tried to write beside itself.
TELLS = """#!/bin/sh
id -u >&2
touch "$(dirname "$0")/mark"
echo '[{"avg_ts": 40.5}, {"avg_ts": 9.1}]'
"""


@pytest.fixture
def release(open_folder):
    """A release whose programs tell who they are."""
    place = open_folder / "releases" / "one" / "bin"
    place.mkdir(parents=True)
    for name in ("llama-bench", "llama-server"):
        (place / name).write_text(TELLS)
        (place / name).chmod(0o755)
    return place.parent


@as_root
def test_a_release_is_tried_as_the_user_before_it_becomes_the_current_one(release):
    problem, said = switch_engine.smoke(str(release), NOBODY)
    assert problem is None
    assert said.split()[0] == str(build_user.identity(NOBODY)[0])
    assert not (release / "bin" / "mark").exists()


@as_root
def test_a_server_tells_its_features_as_the_user(release):
    info = "I system_info: n_threads = 1 | CPU : UID_$(id -u) = 1 | "
    (release / "bin" / "llama-server").write_text(f'#!/bin/sh\necho "{info}"; touch "$3"\n')
    uid = build_user.identity(NOBODY)[0]
    found = build_proof.system_info([str(release / "bin" / "llama-server")], NOBODY)
    assert found == {f"UID_{uid}": "1"}


@as_root
def test_a_candidate_of_a_race_runs_as_the_user(release, open_folder):
    model = open_folder / "model.gguf"
    model.touch()
    words = {"prompt_tokens": 1, "answer_tokens": 1, "threads": 1, "ubatch_tokens": 1, "cool_s": 0}
    query = {"model": str(model), "held_back": "note", "user": NOBODY, **words}
    (release / "bin" / "llama-bench").write_text(TELLS.replace("40.5", "'\"$(id -u)\"'"))
    uid = build_user.identity(NOBODY)[0]
    assert llama_bench.bench(query, str(release))["prompt_tps"] == uid
    assert not (release / "bin" / "mark").exists()
