"""Where a secret is kept on this computer, and that neither it nor a mistaken one is repeated."""

import sys
from pathlib import Path

import pytest

from bramble.documents.validation import validate
from bramble.roles.monitoring.settings import Settings
from bramble.secret_sources import Missing, Source, _asked, read

CANARY = "CanaryOfThisVeryTest"


def source(folder="/inventory", **values):
    return Source.model_validate(values, context={"folder": Path(folder), "host": "pi5-a"})


def faults(secrets, **more):
    _, found = validate(
        "monitoring",
        Settings,
        {"secrets": secrets, **more},
        host="pi5-a",
        folder=Path("/inventory"),
    )
    return [fault.message for fault in found]


def test_a_variable_a_file_and_a_command_give_what_they_hold_without_the_end_of_its_line(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("TOY_OF_A_TEST", f"{CANARY}\n")
    (tmp_path / "kept").write_text(f"{CANARY}\n")
    command = f"{sys.executable} -c \"print('{CANARY}')\""
    for one in (
        source(environment="TOY_OF_A_TEST"),
        source(tmp_path, file="kept"),
        source(command=command),
    ):
        assert _asked.__wrapped__(one) == CANARY


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"environment": "TOY_THAT_NOBODY_SET"}, "the variable TOY_THAT_NOBODY_SET is not set"),
        ({"file": "/nowhere/at/all"}, "/nowhere/at/all: No such file or directory"),
        ({"file": "/"}, "/: Is a directory"),
        ({"command": "no-program-of-this-name x"}, "`no-program-of-this-name` did not run"),
        ({"command": "false --token x"}, "`false` ended with 1"),
        ({"command": "true"}, "`true` is not set or empty"),
        ({"command": "printf 'a\\nb'"}, "`printf` has more than one line"),
    ],
)
def test_a_secret_that_cannot_be_had_says_why_without_the_commands_arguments(values, why):
    found = _asked.__wrapped__(source(**values))
    assert isinstance(found, Missing)
    assert why in found.why
    assert "token" not in found.why


def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path):
    (tmp_path / "kept").write_bytes(b"\xff\xfe")
    assert _asked.__wrapped__(source(tmp_path, file="kept")) == Missing(
        f"{tmp_path}/kept: it is no text"
    )


def test_a_secret_is_read_once_in_a_run(tmp_path):
    count = tmp_path / "count"
    one = source(command=f"sh -c 'echo x >>{count}; echo {CANARY}'")
    assert [read(one), read(one)] == [CANARY, CANARY]
    assert count.read_text() == "x\n"


@pytest.mark.parametrize(
    "wrong",
    [
        {"ntfy": f"https://ntfy.sh/{CANARY}"},
        {"ntfy": {"environment": f"https://ntfy.sh/{CANARY}"}},
        {"telegram": {"environment": f"123:{CANARY}"}},
    ],
)
def test_a_secret_in_the_place_of_its_source_is_refused_and_not_repeated(wrong):
    said = "\n".join(faults(wrong))
    assert "not shown: it may be a secret" in said
    assert CANARY not in said


@pytest.mark.parametrize("words", [f"pass show '{CANARY}", "", "  "])
def test_a_command_that_cannot_be_read_is_refused_and_not_repeated(words):
    said = "\n".join(faults({"ntfy": {"command": words}}))
    assert "monitoring.secrets.ntfy.command: found a value (not shown" in said
    assert CANARY not in said


@pytest.mark.parametrize("wrong", [{}, {"environment": "A", "file": "b"}])
def test_a_secret_has_exactly_one_source(wrong):
    (said,) = faults({"ntfy": wrong})
    assert said.startswith(f"monitoring.secrets.ntfy: {len(wrong)} sources are given; say where")
