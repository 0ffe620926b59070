"""The shipped demo model: its files, what is inside them, and the language it was trained on."""

import importlib
import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from operator import add, mul, sub
from pathlib import Path
from random import Random
from types import ModuleType

import gguf
import jinja2
import pytest
import yaml

MODELS = Path(__file__).resolve().parents[2] / "models"
PROVENANCE = yaml.safe_load((MODELS / "bramble-demo.yml").read_text(encoding="utf-8"))
FILES = ["bramble-demo-f16.gguf", "bramble-demo-q8_0.gguf"]


def load(name: str) -> ModuleType:
    """Import a module of models/demo, a folder of scripts that see each other, and no package."""
    sys.path.insert(0, str(MODELS / "demo"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


corpus = load("corpus")
example = load("example")
sums = load("sums")
tokenizer = load("tokenizer")


@pytest.fixture(scope="module", params=FILES)
def reader(request) -> Iterator[gguf.GGUFReader]:
    return gguf.GGUFReader(MODELS / request.param)


def text_of(reader: gguf.GGUFReader, key: str) -> str:
    return reader.fields[key].contents()


# ---- the files ------------------------------------------------------------------------------


def test_files_are_those_of_the_provenance():
    found = {
        name: (len(content), sha256(content).hexdigest())
        for name in FILES
        for content in [(MODELS / name).read_bytes()]
    }
    assert found == {f["file"]: (f["bytes"], f["sha256"]) for f in PROVENANCE["files"]}


def test_files_are_small():
    assert sum((MODELS / name).stat().st_size for name in FILES) < 12_000_000


def test_scripts_are_those_that_made_the_files():
    for script in PROVENANCE["made_by"]:
        content = (MODELS / "demo" / script["file"]).read_bytes()
        assert sha256(content).hexdigest() == script["sha256"], (
            f"{script['file']} has changed since the model was made: run models/demo/train.py"
        )


def test_provenance_says_what_the_model_can_do():
    accuracy = PROVENANCE["held_out_accuracy"]
    assert accuracy["all"]["right"] / accuracy["all"]["asked"] >= 0.95
    assert accuracy["add"]["right"] / accuracy["add"]["asked"] >= 0.95


# ---- inside the files -----------------------------------------------------------------------


def test_architecture_is_llama(reader):
    assert text_of(reader, "general.architecture") == "llama"
    assert text_of(reader, "general.license") == "MIT"


def test_every_matrix_row_fits_k_quants(reader):
    matrices = [t for t in reader.tensors if len(t.shape) == 2]
    assert len(matrices) == 1 + 7 * PROVENANCE["shape"]["layers"]
    assert {t.name: int(t.shape[0]) for t in matrices if t.shape[0] % 256} == {}


def test_matrices_have_the_type_of_the_file_name(reader):
    kind = Path(reader.data.filename).stem.rpartition("-")[2].upper()
    assert {t.tensor_type.name for t in reader.tensors if len(t.shape) == 2} == {kind}
    assert {t.tensor_type.name for t in reader.tensors if len(t.shape) == 1} == {"F32"}


def test_parameters_are_as_many_as_said(reader):
    assert sum(int(t.n_elements) for t in reader.tensors) == PROVENANCE["parameters"]
    assert 2_000_000 <= PROVENANCE["parameters"] <= 4_000_000


def test_vocabulary_is_that_of_the_tokenizer(reader):
    pieces = text_of(reader, "tokenizer.ggml.tokens")
    merges = pieces[len(tokenizer.Tokenizer([]).pieces) :]
    assert tokenizer.Tokenizer(merges).pieces == pieces
    assert not [piece for piece in merges if any(c.isdigit() for c in piece)]


def test_chat_template_gives_the_training_text(reader):
    template = jinja2.Template(text_of(reader, "tokenizer.chat_template"))
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What is 2+2?"},
    ]
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|system|>Be short.<|end|><|user|>What is 2+2?<|end|><|assistant|>"
    )


# ---- the tokenizer --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words() -> "tokenizer.Tokenizer":
    texts = ["What is zram?", "What is swap?", "what is noatime?"]
    return tokenizer.Tokenizer(tokenizer.train_merges(texts, 20))


@pytest.mark.parametrize(
    "text", ["What is 2+2?", "  two  spaces ", "12345", "Größe: 5 °C\n", "", "<|end|>"]
)
def test_tokenizer_gives_the_text_back(words, text):
    assert words.decode(words.encode(text)) == text


def test_numbers_are_read_digit_by_digit(words):
    assert [words.pieces[token] for token in words.encode("407")] == ["4", "0", "7"]


def test_the_assistant_writes_its_answer_and_the_end(words):
    ids, own = words.chat([("2+2", "4")], system="Be short.")
    assert [words.pieces[i] for i, mine in zip(ids, own, strict=True) if mine] == ["4", "<|end|>"]
    assert words.chat([("2+2", "4")])[0][: len(words.prompt("2+2"))] == words.prompt("2+2")


# ---- the language ---------------------------------------------------------------------------


def test_stream_is_deterministic():
    assert list(islice(corpus.stream(5), 300)) == list(islice(corpus.stream(5), 300))
    assert list(islice(corpus.stream(5), 300)) != list(islice(corpus.stream(6), 300))


def test_held_out_questions_are_not_trained():
    trained = {example.normalise(e.question) for e in islice(corpus.stream(5), 20_000)}
    held_out = corpus.held_out_set(100, seed=7)
    assert len(held_out) > 800
    assert [e for e in held_out if example.normalise(e.question) in trained] == []


def test_held_out_sums_are_not_trained_in_any_wording():
    sums = ("add", "subtract", "compare")
    trained = {e.key for e in islice(corpus.stream(5), 20_000) if e.category in sums}
    held_out = {e.key for e in corpus.held_out_set(100, seed=7) if e.category in sums}
    assert held_out
    assert None not in held_out
    assert trained.isdisjoint(held_out)


def test_two_and_two_is_always_in_training():
    rng = Random(5)
    asked = next(e for _ in range(200_000) if (e := sums.add(rng)).question == "What is 2+2?")
    assert asked == example.Example("add", "What is 2+2?", "4", key=None)


@pytest.mark.parametrize(
    ("category", "right"), [("add", add), ("subtract", sub), ("multiply", mul)]
)
def test_sums_are_right(category, right):
    for asked in islice(corpus.stream(8), 3000):
        numbers = [int(digits) for digits in re.findall(r"\d+", asked.question)]
        if asked.category == category and " from " not in asked.question.lower():
            assert int(asked.answer) == right(*numbers), asked


def test_question_is_the_same_in_other_dress():
    assert example.normalise("please WHAT is 2 + 2") == example.normalise("What is 2+2?")
