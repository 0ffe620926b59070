"""Keys of clients: what is kept of one, what is refused, and the commands that change them."""

import datetime
import hashlib
import json

import pytest
from click.testing import CliRunner

from bramble.access import keys
from bramble.access.keys import Client, Hash, KeyRefused
from bramble.cli import main
from bramble.documents.problems import InventoryError, looks_like_a_key

DAY = datetime.date(2026, 11, 30)
GIVEN = "correct-horse-battery-staple-0123456789-abcdef"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command in an inventory's folder."""
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))

    def run(*words, code=0):
        done = CliRunner().invoke(main, ["key", *words])
        assert done.exit_code == code, done.output
        return done

    return run


def test_a_new_key_has_256_random_bits_and_looks_like_what_an_inventory_refuses():
    several = {keys.generate() for _ in range(50)}
    assert len(several) == 50
    assert all(len(key) == len(keys.PREFIX) + 43 for key in several)
    assert all(looks_like_a_key(key) for key in several)


def test_of_a_key_its_hash_and_its_day_are_kept():
    assert keys.kept(GIVEN, DAY) == Hash(sha256=sha256(GIVEN), created="2026-11-30")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("short", "5 characters, allowed: 32 to 512"),
        ("x" * 513, "513 characters"),
        ("with blanks " * 4, "blanks"),
        ("tab\t" * 10, "blanks, control"),
        ("ü" * 40, "beyond ASCII"),
        ("ab" * 20, "too few different"),
    ],
)
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused_without_being_shown(key, said):
    with pytest.raises(KeyRefused) as refused:
        keys.kept(key, DAY)
    assert said in str(refused.value)
    assert key not in str(refused.value)


def test_what_is_written_is_read_back(tmp_path):
    clients = {
        "phone": Client(key=keys.kept(GIVEN, DAY)),
        "laptop": Client(key=keys.kept(GIVEN + "1", DAY), before=keys.kept(GIVEN + "2", DAY)),
    }
    keys.write(tmp_path, clients)
    assert keys.load(tmp_path) == clients
    assert keys.load(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Laptop: {}\n", "allowed: 1 to 40 lower-case"),
        ("laptop: {}\n", "laptop.key"),
        ('laptop: {key: {sha256: "x", created: "2026-11-30"}}\n', "laptop.key.sha256"),
        ("[\n", "keys.lock:2"),
        (
            "".join(
                f'{name}: {{key: {{sha256: "{"a" * 64}", created: "2026-11-30"}}}}\n'
                for name in ("one", "two")
            ),
            "two has the key of one",
        ),
    ],
)
def test_a_damaged_file_is_told_by_line_and_never_read_in_part(tmp_path, text, said):
    (tmp_path / keys.FILE).write_text(text)
    with pytest.raises(InventoryError, match=r"keys\.lock") as error:
        keys.load(tmp_path)
    assert said in str(error.value)


def test_a_new_key_is_printed_once_alone_and_is_nowhere_on_the_disk(run, tmp_path):
    done = run("create", "laptop")
    key = done.stdout.strip()
    assert keys.load(tmp_path)["laptop"].key.sha256 == sha256(key)
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert texts
    assert not any(key in text for text in texts)
    assert key not in run("list").output
    assert key not in run("list", "--json").output


def test_a_given_key_is_taken_from_the_environment_a_file_or_a_command_and_not_shown(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv("MINE", GIVEN)
    file = tmp_path / "secret"
    file.write_text(f"{GIVEN}-file\n")
    for name, words, key in (
        ("a", ("--from-env", "MINE"), GIVEN),
        ("b", ("--from-file", str(file)), f"{GIVEN}-file"),
        ("c", ("--from-command", f"printf %s {GIVEN}-command"), f"{GIVEN}-command"),
    ):
        done = run("create", name, *words)
        assert keys.load(tmp_path)[name].key.sha256 == sha256(key)
        assert key not in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from-env", "NOT_SET_HERE"), "NOT_SET_HERE is not set"),
        (("--from-file", "/nowhere/at/all"), "No such file"),
        (("--from-command", "false"), "`false` ended with 1"),
        (("--from-command", "/nowhere/at/all"), "`/nowhere/at/all` did not run"),
        (("--from-command", "'"), "where the key is from: No closing quotation"),
        (("--from-command", ""), "it has no word"),
        (("--from-command", "printf short"), "5 characters"),
        (("--from-env", "HOME", "--from-command", "true"), "give one of"),
    ],
)
def test_a_source_that_gives_no_key_ends_the_command_and_changes_nothing(
    run, tmp_path, words, said
):
    assert said in run("create", "laptop", *words, code=2).output
    assert not (tmp_path / keys.FILE).exists()


def test_a_rotated_key_stays_valid_beside_the_new_one_until_it_is_revoked(run, tmp_path):
    first = run("create", "laptop").stdout.strip()
    second = run("rotate", "laptop").stdout.strip()
    valid = [one.sha256 for one in keys.load(tmp_path)["laptop"].valid]
    assert valid == [sha256(second), sha256(first)]
    assert "two valid keys already" in run("rotate", "laptop", code=2).output
    run("revoke", "laptop", "--before")
    assert [one.sha256 for one in keys.load(tmp_path)["laptop"].valid] == [sha256(second)]
    assert "one valid key" in run("revoke", "laptop", "--before", code=2).output
    run("revoke", "laptop")
    assert keys.load(tmp_path) == {}


def test_names_are_told_apart_and_two_clients_have_no_key_in_common(run, monkeypatch):
    monkeypatch.setenv("MINE", GIVEN)
    run("create", "laptop", "--from-env", "MINE")
    assert "has a key already" in run("create", "laptop", code=2).output
    assert "a key of laptop" in run("create", "phone", "--from-env", "MINE", code=2).output
    assert "allowed: 1 to 40" in run("create", "My Phone", code=2).output
    assert "did you mean 'laptop'?" in run("rotate", "latop", code=2).output
    assert "did you mean 'laptop'?" in run("revoke", "latop", code=2).output


def test_a_list_has_names_days_and_the_beginning_of_a_hash(run, tmp_path):
    assert "no client has a key" in run("list").output
    key = run("create", "laptop").stdout.strip()
    run("rotate", "laptop")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = run("list").stdout.splitlines()
    assert f"laptop               {today}  {sha256(key)[:12]}  valid: until it is revoked" in lines
    (newer, older) = json.loads(run("list", "--json").stdout)["keys"]
    assert (newer["valid"], older["valid"]) == ("yes", "until it is revoked")
    assert (older["client"], older["created"], older["sha256"]) == ("laptop", today, sha256(key))


def test_a_file_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / keys.FILE).mkdir()
    assert "nothing was changed" in run("create", "laptop", code=2).output
    assert [path.name for path in tmp_path.iterdir()] == [keys.FILE]
