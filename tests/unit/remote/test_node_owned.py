"""Root writes below no folder that another user may write, and follows no link that one planted."""

import hashlib
import os
import pwd
import subprocess
import sys

import pytest

from bramble import remote
from bramble.remote import fetch_model, owned, prune_models

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: root only")
NOBODY = pwd.getpwnam("nobody").pw_uid
CONTENT = b"GGUF" + bytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def place(tmp_path):
    """A folder that only root may write, on a way that only root may change."""
    folder = tmp_path / "models"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("root's own")
    path.chmod(0o600)
    return path


def as_nobody(*argv):
    """Run a command as another user: what it plants is what such a user can plant."""
    subprocess.run(argv, check=True, user=NOBODY, group=NOBODY)


def opened_to_others(place):
    """The way to a folder, for another user to come by."""
    for folder in place.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)


def query(place, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(CONTENT)
    return {
        "path": str(place / "toy.gguf"),
        "sha256": SHA256,
        "size_bytes": None,
        "sources": [],
        "upload": str(upload),
    }


@pytest.mark.parametrize(
    "name", ["toy.gguf.json.new", "toy.gguf.part", "toy.gguf", "toy.gguf.json"]
)
@pytest.mark.parametrize("kind", ["-s", "-P"])
def test_a_link_that_was_planted_before_root_had_the_folder_is_not_written_through(
    place, tmp_path, secret, capsys, name, kind
):
    opened_to_others(place)
    os.chown(place, NOBODY, NOBODY)
    if kind == "-s":
        as_nobody("ln", "-s", str(secret), str(place / name))
    else:
        os.link(secret, place / name)
    os.chown(place, 0, 0)
    refused = (kind, name) == ("-s", "toy.gguf.json")
    assert fetch_model.main(query(place, tmp_path)) == refused
    assert (
        "is a symbolic link; bramble owns it as a plain file" in capsys.readouterr().out
    ) == refused
    assert secret.read_text() == "root's own"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (place / "toy.gguf").read_bytes() == CONTENT
    assert not (place / "toy.gguf").is_symlink()


@pytest.mark.fault("F29")
@pytest.mark.parametrize("spoil", ["owner", "mode", "group", "above"])
def test_a_folder_that_others_may_write_is_refused_with_what_to_do(
    place, tmp_path, secret, capsys, spoil
):
    """The finding's own input: nobody's folder with m.gguf.json.new a link to a file of root's."""
    opened_to_others(place)
    if spoil == "owner":
        os.chown(place, NOBODY, NOBODY)
        as_nobody("ln", "-s", str(secret), str(place / "toy.gguf.json.new"))
    elif spoil == "mode":
        place.chmod(0o1777)
    elif spoil == "group":
        os.chown(place, 0, NOBODY)
        place.chmod(0o775)
    else:
        os.chown(place.parent, NOBODY, NOBODY)
    assert fetch_model.main(query(place, tmp_path)) == 1
    assert secret.read_text() == "root's own"
    bad = place.parent if spoil == "above" else place
    said = capsys.readouterr().out
    assert f"{bad} {'belongs to user' if spoil in ('owner', 'above') else 'may be written'}" in said
    assert f"sudo chown root:root {bad} && sudo chmod go-w {bad}" in said
    assert not (place / "toy.gguf").exists()
    os.chown(place.parent, 0, 0)


def test_a_link_of_roots_is_followed_to_where_it_leads_and_anothers_is_not(place, tmp_path):
    opened_to_others(place)
    link = tmp_path / "link"
    link.symlink_to("models")
    assert owned.refusal(str(link)) is None
    place.chmod(0o777)
    assert f"{place} may be written by others" in owned.refusal(str(link))
    place.chmod(0o755)
    link.unlink()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    as_nobody("ln", "-s", str(place), str(shared / "link"))
    assert "belongs to user" in owned.refusal(str(shared / "link" / "deeper"))


def test_links_in_a_circle_are_no_folder(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many links"):
        owned.refusal(str(tmp_path / "a"))


def test_an_upload_that_is_a_link_or_a_pipe_is_not_read(place, tmp_path, capsys):
    for plant in (["ln", "-s", "/dev/zero"], ["mkfifo"]):
        asked = query(place, tmp_path)
        os.unlink(asked["upload"])
        subprocess.run([*plant, asked["upload"]], check=True)
        done = subprocess.run(
            [sys.executable, "-I", "-"],
            input=remote.program("fetch_model", asked),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1
        assert "the model was not fetched" in done.stdout
        assert not os.path.lexists(asked["upload"])
    assert list(place.iterdir()) == []


def test_old_models_of_a_folder_that_others_may_write_are_not_removed(place, tmp_path, capsys):
    opened_to_others(place)
    (place / "old.gguf").write_bytes(CONTENT)
    (place / "old.gguf.part").write_bytes(CONTENT)
    os.chown(place, NOBODY, NOBODY)
    asked = {"folder": str(place), "planned": str(place / "x.gguf"), "home": str(tmp_path)}
    assert prune_models.main(asked | {"list": False}) == 1
    assert "belongs to user" in capsys.readouterr().out
    assert (place / "old.gguf.part").exists()
    os.chown(place, 0, 0)
    assert prune_models.main(asked | {"list": False}) == 0
    assert not (place / "old.gguf.part").exists()
