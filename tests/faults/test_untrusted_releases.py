"""Whatever a release's manifest holds, and whatever the store lists: it is shown, or refused."""

import hashlib
import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import example, given

from bramble.cli import main
from bramble.llama import store
from bramble.remote import engine_home, install_release
from tests.faults.fuzz import examples, mangled

pytestmark = pytest.mark.untrusted
PROGRAM = b"a program"
MANIFEST = {
    "release": "abc",
    "binaries": {"llama-server": hashlib.sha256(PROGRAM).hexdigest()},
    "built_at": "2026-01-01",
    "soc": "cortex-a72",
    "codename": "bookworm",
    "variant": "plain",
    "build_info": "b1-123456789",
    "compiler": "gcc 12",
    "builder": "pi4-a",
    "source": {"kind": "git"},
    "options": {"GGML_NATIVE": "OFF"},
    "compiled_in": {"cpu_flags": "-march=armv8-a", "parts": ["cpu"], "system_info": {"NEON": "1"}},
}
LISTED = {"release": "abc", "sha256": "a" * 64, "unpacked_size": 7, "manifest": MANIFEST}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """An inventory, and a store that lists one release; beside it what nobody may touch."""
    top = tmp_path_factory.mktemp("top")
    model = f"{{name: toy, url: http://models.example.org/toy.gguf, sha256: {'d' * 64}}}"
    (top / "fleet").mkdir()
    (top / "fleet" / "fleet.yml").write_text(
        f"settings: {{model: {model}}}\nhosts: {{pi4-a: {{}}}}\n"
    )
    (top / "store").mkdir()
    for name in ("other.json", "a.tar.gz", "fleet.json"):
        (top / name).write_text(json.dumps(LISTED))
    return SimpleNamespace(top=top, listing=top / "store" / "abc.json")


def engine(here, *words):
    """What the command tells: never a traceback, nor what controls a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAMBLE_INVENTORY", str(here.top / "fleet"))
        patch.setenv(store.VARIABLE, str(here.top / "store"))
        done = CliRunner().invoke(main, ["engine", *words])
    assert isinstance(done.exception, SystemExit | None), done.exc_info
    assert all(letter.isprintable() or letter in "\n\t" for letter in done.output)
    return done


@examples(100)
@given(mangled(LISTED))
@example({**LISTED, "manifest": {"release": "abc"}})
@example({**LISTED, "manifest": {**MANIFEST, "compiled_in": 7}})
@example({**LISTED, "manifest": {**MANIFEST, "options": None, "source": []}})
@example({**LISTED, "release": "../other"})
@example({**LISTED, "sha256": "../a"})
def test_whatever_the_store_lists_is_shown_and_pruned_or_refused_with_its_file(here, listed):
    here.listing.write_text(json.dumps(listed))
    for words in (("list",), ("list", "--json"), ("prune",)):
        done = engine(here, *words)
        if done.exit_code:
            assert "abc.json is damaged" in done.output
    assert sorted(path.name for path in here.top.iterdir()) == [
        *("a.tar.gz", "fleet", "fleet.json", "other.json", "store")
    ]


@examples(100)
@given(mangled(MANIFEST))
@example([])
@example({**MANIFEST, "binaries": ["llama-server"]})
@example({**MANIFEST, "binaries": {"../../other": "0" * 64}})
@example({**MANIFEST, "binaries": {"llama-server": None}})
def test_a_release_is_what_its_manifest_lists_or_is_not_installed(tmp_path, manifest):
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin" / "llama-server").write_bytes(PROGRAM)
    (tmp_path / engine_home.MANIFEST).write_text(json.dumps(manifest))
    try:
        install_release.verify(str(tmp_path), "/opt/bramble/engine/releases/abc")
    except (install_release.InstallError, OSError, ValueError, LookupError):
        return  # what the program tells in a sentence
    assert manifest["release"] == "abc"
    assert manifest["binaries"].items() <= MANIFEST["binaries"].items()
