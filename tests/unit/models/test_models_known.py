"""A model is found by a part of its name, and its fit told where no hub is reached."""

import json

import pytest
from click.testing import CliRunner

from bramble.cli import main
from bramble.fit.named import meant
from bramble.models import catalogue, known
from bramble.models.catalogue import Place
from bramble.models.source import SourceError
from tests.shapes.shipped_dimensions import text

NOBODY = "http://127.0.0.1:1"
NAMES = [
    *("qwen2.5-0.5b-instruct:q4_k_m", "qwen2.5-3b-instruct:q4_k_m", "qwen2.5-3b-instruct:q8_0"),
    *("qwen2.5-7b-instruct:q4_k_m", "gemma-3-1b-it:q4_k_m", "gemma-3-270m-it:q4_k_m"),
]


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """`bramble fit` without an inventory and without a hub: the exit code, the answer, what is said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRAMBLE_INVENTORY", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)

    def run(*words):
        done = CliRunner().invoke(main, ["fit", *words, "--json"])
        return done.exit_code, json.loads(done.stdout) if done.stdout else None, done.stderr

    return run


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("qwen2.5-7b-instruct:q4_k_m", "qwen2.5-7b-instruct:q4_k_m"),
        ("qwen2.5-7b-instruct", "qwen2.5-7b-instruct:q4_k_m"),
        ("qwen2.5-7b", "qwen2.5-7b-instruct:q4_k_m"),
        ("qwen2.5-3b:q8_0", "qwen2.5-3b-instruct:q8_0"),
        ("270m", "gemma-3-270m-it:q4_k_m"),
    ],
)
def test_a_part_of_a_name_that_no_other_has_is_enough(name, found):
    assert meant(name, NAMES) == found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "qwen2.5-3b",
            "Which quant of qwen2.5-3b? There are: qwen2.5-3b-instruct:q4_k_m, "
            "qwen2.5-3b-instruct:q8_0.",
        ),
        (
            "gemma",
            "Which model of gemma? There are: gemma-3-1b-it:q4_k_m, gemma-3-270m-it:q4_k_m.",
        ),
        (
            "qwen2.5-7b:q8_0",
            "qwen2.5-7b:q8_0 is no file; did you mean 'qwen2.5-7b-instruct:q4_k_m'?",
        ),
        ("gema-3-1b-it", "did you mean 'gemma-3-1b-it:q4_k_m' or "),
        ("zzz", "zzz is no file; known: gemma-3-1b-it:q4_k_m, "),
    ],
)
def test_what_means_several_or_none_is_asked_back_with_what_is_near(name, said):
    with pytest.raises(SourceError) as error:
        meant(name, NAMES)
    assert said in str(error.value)


def test_without_a_hub_the_dimensions_that_come_with_bramble_are_taken_and_that_is_told(fit):
    code, answer, said = fit("qwen2.5-7b", "--board", "pi5-8g")
    assert (code, answer["verdict"]) == (0, "yes")
    first, second, *_ = said.splitlines()
    assert first == "qwen2.5-7b: taken for qwen2.5-7b-instruct:q4_k_m"
    assert "cannot be read" in second
    assert "the dimensions that come with bramble" in second
    assert fit("qwen2.5-7b", "--board", "pi4-4g")[0] == 1


def test_a_file_whose_dimensions_do_not_come_with_bramble_cannot_be_told_without_a_hub(fit):
    code, answer, said = fit("phi-3.5-mini-instruct:q4_k_m", "--board", "pi5-8g")
    assert (code, answer) == (2, None)
    assert "cannot be read" in said
    assert known.dims_of_place(Place("a/b", "main", "c.gguf")) is None


def test_what_ships_is_what_the_shapes_give():
    assert known.FILE.read_text(encoding="utf-8") == text()


def test_what_ships_is_of_files_of_the_catalogue(tmp_path):
    places = catalogue.places(catalogue.load(tmp_path))
    there = {use for use, place in places.items() if known.dims_of_place(place)}
    assert {use for use in places if use.startswith("qwen2.5-")} <= there
    assert len(there) > 20
