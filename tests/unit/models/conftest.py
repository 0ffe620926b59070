"""An inventory folder with a catalogue, and a hub on loopback that has what it names."""

import os
from textwrap import dedent

import pytest
from fake_hub import COMMIT, NEW, OLD, REPO, Repo, hub


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """No proxy, token or endpoint of this machine's."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("HF_"):
            monkeypatch.delenv(name)


@pytest.fixture
def there():
    with hub() as made:
        files = {"toy-3b-q4_k_m.gguf": (OLD, 2_104_932_768), "toy-3b-q8_0.gguf": (NEW, 77)}
        made.repos[REPO] = Repo(COMMIT, files)
        yield made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An inventory of one host that uses a model which is not locked yet."""
    made = tmp_path / "inventory"
    made.mkdir()
    (made / "models.yml").write_text(
        dedent("""
        models:
          toy-3b:
            repo: Toys/Toy-3B-GGUF
            files:
              q4_k_m: toy-3b-q4_k_m.gguf
              q8_0: toy-3b-q8_0.gguf
        """)
    )
    (made / "fleet.yml").write_text(
        "settings: {model: {use: 'toy-3b:q4_k_m'}}\nhosts: {pi5-a: {}}\n"
    )
    (made / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(made))
    monkeypatch.chdir(tmp_path)
    return made
