"""A step is carried out with what the store has for it, and else as the step itself says."""

import json

import pytest

from bramble import store
from bramble.ops import delivery
from bramble.steps import Step, Stored, Upload


class Host:
    """Remembers what it was told."""

    def __init__(self):
        self.told = []

    def log(self, text):
        self.told.append(text)


def step(otherwise=None):
    stored = Stored("abc", "install_release", {"release": "/r/abc"}, "/var/tmp/abc", otherwise)
    return Step("Install llama.cpp", "it is not there", "build_engine", {"jobs": 1}, stored=stored)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    return tmp_path


@pytest.fixture
def entry(folder):
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    (unpacked / "manifest.json").write_text(json.dumps({"release": "abc", "built_at": ""}))
    return store.add(unpacked)


def test_what_is_stored_is_sent_and_installed(entry):
    found, problem = delivery._from_store(Host(), step())
    assert problem is None
    assert found.program == "install_release"
    assert found.uploads == (Upload(entry.path, "/var/tmp/abc"),)
    assert found.query == {
        "release": "/r/abc",
        "sha256": entry.sha256,
        "size": entry.unpacked_size,
        "upload": "/var/tmp/abc",
    }


def test_without_it_the_step_itself_is_carried_out(folder):
    assert delivery._from_store(Host(), step()) == (step(), None)


def test_a_step_that_cannot_do_without_it_fails_with_its_words(folder):
    host = Host()
    assert delivery._from_store(host, step("build it"))[1] == "build it"
    assert "build it" in host.told[0]


def test_an_altered_archive_fails_the_step(entry):
    entry.path.write_bytes(b"x")
    assert "was altered" in delivery._from_store(Host(), step())[1]
