"""What commands decided about the engine comes back as it was written, and nonsense is refused."""

from dataclasses import replace

import pytest
import yaml

from bramble.documents.problems import InventoryError
from bramble.llama.lock import FILE, Held, Lock, ReleasePin, Rolling, Variant, read, write

# Digits alone, and with an e among them: YAML would read both as numbers.
PIN = ReleasePin(release="123456789012", build_info="b11300-0c1e57098")
EXPONENT = ReleasePin(release="12e456789012", build_info="b0-000000001")
WHOLE = Lock(
    commit="1" * 40,
    rolling=Rolling(commit="2" * 40, hosts=("pi5-a", "pi5-b")),
    variants={
        "cortex-a76": Variant(
            variant="kleidiai", host="pi5-a", model='the "big" one', tokens_per_second=9.5
        )
    },
    hosts={"pi5-b": PIN, "pi5-a": EXPONENT},
    models={"pi5-b": Held(name="123e4", sha256="1" * 64, instead_of="2" * 64)},
)


@pytest.mark.parametrize(
    "lock", [WHOLE, Lock(commit="3" * 40), Lock(hosts={"a": PIN}), Lock(rolling=WHOLE.rolling)]
)
def test_what_is_written_is_read_back(tmp_path, lock):
    assert write(tmp_path, lock)
    assert read(tmp_path) == lock
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_same_lock_is_the_same_file_and_is_not_written_again(tmp_path):
    write(tmp_path, WHOLE)
    before = (tmp_path / FILE).stat().st_ino
    turned = replace(WHOLE, hosts=dict(reversed(WHOLE.hosts.items())))
    assert not write(tmp_path, turned)
    assert (tmp_path / FILE).stat().st_ino == before


def test_without_a_file_nothing_is_decided_and_an_empty_lock_makes_none(tmp_path):
    assert read(tmp_path) == Lock()
    assert not write(tmp_path, Lock())
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_plain_yaml_for_people(tmp_path):
    write(tmp_path, WHOLE)
    said = yaml.safe_load((tmp_path / FILE).read_text())
    assert said["hosts"]["pi5-a"] == {"release": "12e456789012", "build_info": "b0-000000001"}
    assert said["rolling"] == {"commit": "2" * 40, "hosts": ["pi5-a", "pi5-b"]}


def test_a_host_of_a_roll_has_its_commit_and_the_others_the_fleets():
    assert WHOLE.commit_of("pi5-a") == "2" * 40
    assert WHOLE.commit_of("pi4-c") == "1" * 40
    assert Lock().commit_of("pi5-a") is None


def test_a_pin_comes_and_goes_alone():
    assert WHOLE.with_pin("pi5-a", None).hosts == {"pi5-b": PIN}
    assert Lock().with_pin("pi5-a", PIN).hosts == {"pi5-a": PIN}
    assert WHOLE.with_model("pi5-b", None) == replace(WHOLE, models={})
    held = WHOLE.models["pi5-b"]
    assert WHOLE.with_model("pi5-a", held).models == {"pi5-a": held, "pi5-b": held}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ncommitt: x\n", f"{FILE}:2: committ: unknown; did you mean 'commit'?"),
        ("commit: 12\n", f"{FILE}:1: commit: found 12, allowed: 40 hexadecimal digits"),
        ("hosts: [a]\n", f"{FILE}:1: hosts: found a list, allowed: a mapping"),
        ("hosts:\n  a:\n    release: x\n    build_info: b1-000000000\n", f"{FILE}:3: hosts.a."),
        ("hosts:\n  a:\n    release: '123456789012'\n", "hosts.a.build_info"),
        ("variants:\n  cortex-a76: plain\n", f"{FILE}:2: variants.cortex-a76: found"),
        ("rolling:\n  hosts: [a]\n", "rolling.commit"),
        ("models:\n  a: {name: ../x, sha256: x}\n", f"{FILE}:2: models.a.name"),
        ("hosts: {\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_what_to_do(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InventoryError) as error:
        read(tmp_path)
    assert said in str(error.value)
