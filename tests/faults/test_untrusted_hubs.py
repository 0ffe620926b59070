"""Whatever a hub answers, and whatever the locks hold: a file's pin, or a sentence that says why not."""

import io
import json
from contextlib import suppress

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as some

from bramble.documents.problems import InventoryError
from bramble.llama import lock as engine_lock
from bramble.models import lock as models_lock
from bramble.models.catalogue import Place
from bramble.models.hub import Hub, HubError, HubUnreachable
from tests.faults.fuzz import TEXTS, examples, spoiled

pytestmark = pytest.mark.untrusted
GOOD = {
    "sha": "0" * 40,
    "siblings": ({"rfilename": "toy.gguf", "lfs": {"size": "7", "sha256": "a" * 64}},),
}
PLACE = Place(repo="Toys/Toy", file="toy.gguf", revision="main")
COMMIT, SHA256 = "0" * 40, "a" * 64
words = some.sampled_from((*TEXTS, COMMIT, SHA256, "toy.gguf", "7")) | some.text(max_size=5)
trees = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | words,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
listings = some.fixed_dictionaries(
    {},
    optional={
        "sha": words | trees,
        "siblings": trees
        | some.lists(
            some.fixed_dictionaries(
                {"rfilename": some.just("toy.gguf") | trees},
                optional={
                    "lfs": trees | some.dictionaries(some.sampled_from(("size", "sha256")), trees)
                },
            ),
            max_size=3,
        ),
    },
)
headers = some.dictionaries(
    some.sampled_from(
        (
            "X-Repo-Commit",
            "X-Linked-Etag",
            "X-Linked-Size",
            "Location",
            "X-Error-Code",
            "Retry-After",
        )
    ),
    words,
)


def answer(status, told, content):
    made = requests.Response()
    made.status_code, made.url, made.reason = status, "http://hub.example.org/", "because"
    made.headers.update(told)
    made.raw = io.BytesIO(content)
    return made


@examples(200)
@given(
    some.sampled_from((200, 302, 307, 401, 403, 404, 405, 405, 405, 429, 500)),
    headers,
    some.one_of(spoiled(GOOD), listings, trees).map(lambda tree: json.dumps(tree).encode())
    | some.binary(max_size=50),
)
def test_any_answer_of_a_hub_is_a_pin_or_a_sentence(status, told, content):
    """One without HEAD is asked for its list."""

    def request(method, *_, **__):
        return answer(status if method == "HEAD" else 200, told, content)

    with pytest.MonkeyPatch.context() as patch, suppress(HubError, HubUnreachable):
        patch.setattr(requests, "request", request)
        found = Hub("http://hub.example.org").resolve(PLACE)
        assert (found.file, len(found.sha256), len(found.revision)) == ("toy.gguf", 64, 40)
        assert found.size_bytes > 0


def listed(key, value):
    """A good list of one file, but for one value in it."""
    lfs = {"size": "7", "sha256": SHA256, **({key: value} if key in ("size", "sha256") else {})}
    one = {"rfilename": "toy.gguf", "lfs": lfs, **({key: value} if key == "lfs" else {})}
    whole = {"sha": COMMIT, "siblings": [one]}
    return {**whole, key: value} if key in whole else whole


@pytest.mark.parametrize("key", ["size", "sha256", "lfs", "sha", "siblings"])
def test_a_list_with_one_strange_value_is_a_pin_or_a_sentence(monkeypatch, key):
    for value in (*TEXTS, 0, -1, 10**30, 1.5, True, None, [], [[]], {}, {"size": []}):
        content = json.dumps(listed(key, value)).encode()
        monkeypatch.setattr(
            requests,
            "request",
            lambda how, *_, body=content, **__: answer(405 if how == "HEAD" else 200, {}, body),
        )
        with suppress(HubError, HubUnreachable):
            assert Hub("http://hub.example.org").resolve(PLACE).size_bytes > 0


class Endless(io.RawIOBase):
    """A body without an end."""

    read_bytes = 0

    def read(self, size=-1):
        self.read_bytes += 1 << 16
        return b'{"a": 1, ' * (1 << 13)


def test_a_list_without_an_end_is_given_up(monkeypatch):
    body = Endless()

    def request(method, *_, **__):
        made = answer(405 if method == "HEAD" else 200, {}, b"")
        made.raw = body
        return made

    monkeypatch.setattr(requests, "request", request)
    with pytest.raises(HubError, match="more than 16 MiB, or longer than 120 s"):
        Hub("http://hub.example.org").resolve(PLACE)
    assert body.read_bytes < 64 << 20


def problems(read, folder):
    try:
        read(folder)
    except InventoryError as error:
        return str(error).splitlines()
    return []


@examples(100)
@given(
    some.one_of(trees, some.dictionaries(words, trees, max_size=3)),
    some.sampled_from(("", "models")),
)
def test_a_damaged_lock_is_told_with_its_file(tmp_path, tree, key):
    content = json.dumps({key: tree} if key else tree)
    for module in (models_lock, engine_lock):
        (tmp_path / module.FILE).write_text(content)
        lines = problems(models_lock.load if module is models_lock else engine_lock.read, tmp_path)
        assert all(module.FILE in line for line in lines)
