"""Whatever the files hold, loading ends with an inventory or with problems, one line each."""

import contextlib
import json
import tracemalloc

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from toy_sections import SECTIONS

from bramble import registry
from bramble.documents.problems import MOST_PROBLEMS, InventoryError
from bramble.fleet import prepare
from bramble.inventory.load import load

REAL = registry.sections()
HOST = "hosts: {a: {ssh: {address: 10.0.0.1}}}\n"
words = st.sampled_from(
    [
        "settings",
        "hosts",
        "groups",
        "ssh",
        "serving",
        "port",
        "address",
        "tls",
        "mounts",
        "env",
        "a",
        "g",
        "path",
        "flags",
        "threads",
    ]
)
STRANGE = [
    "\x1b[2J",
    "a\nb",
    "\u202eb",
    "\x00",
    "../x",
    "-a",
    "$(id)",
    "\u0430",
    "a" * 300,
    "\ud800",
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**60), 10**60)
    | st.floats()
    | words
    | st.text(max_size=4)
    | st.sampled_from(STRANGE)
)
keys = words | st.sampled_from(STRANGE)
trees = st.recursive(
    scalars,
    lambda t: st.lists(t, max_size=3) | st.dictionaries(keys, t, max_size=4),
    max_leaves=12,
)
fleets = st.fixed_dictionaries(
    {"settings": trees, "hosts": st.dictionaries(keys, trees, max_size=3)}
)


def attempt(tmp_path, fleet, group):
    (tmp_path / "groups").mkdir(exist_ok=True)
    (tmp_path / "fleet.yml").write_text(fleet)
    (tmp_path / "groups/g.yml").write_text(group)
    assert_problems(tmp_path, _problem_lines(tmp_path))


def _problem_lines(folder, sections=SECTIONS):
    try:
        load(folder, sections, prepare)
    except InventoryError as error:
        return str(error).split("\n")
    return []


def assert_problems(folder, lines):
    """Each is a line of its own that names a file, and nothing that was found controls a terminal."""
    assert all(line.startswith(str(folder)) and line.isprintable() for line in lines)
    assert len(lines) <= MOST_PROBLEMS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fleets | trees, trees)
def test_any_data(tmp_path, fleet, group):
    attempt(tmp_path, json.dumps(fleet), json.dumps(group))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(REAL)) | keys, trees, max_size=4), st.data())
def test_any_data_for_the_real_settings(tmp_path, said, data):
    """Half of the time for a setting that there is."""
    for name in said.keys() & REAL.keys():
        known = st.sampled_from(sorted(REAL[name].model_fields))
        said[name] = data.draw(trees | st.dictionaries(known, trees, max_size=3))
    (tmp_path / "fleet.yml").write_text(json.dumps({"settings": said, "hosts": {"a": {}}}))
    assert_problems(tmp_path, _problem_lines(tmp_path, REAL))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text("ab:-?[]{}&*!|>'\"%@`#,<=~ \t\n\x00\u2028\ufeff", max_size=40))
@example("hosts: &a {<<: *a}")
@example("hosts: {a: {ssh: {port: !!int x}}}")
@example("hosts: {a: {ssh: {port: !!float 1_0.5_}}}")
@example("? {a: b}\n: c")
def test_any_text(tmp_path, text):
    with contextlib.suppress(UnicodeEncodeError):
        attempt(tmp_path, text, text)


REPEATED = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "aliases that repeat": (f"a: &a [x]\n{REPEATED}", "more than 50000 values"),
    "deep lists": (f"settings: {'[' * 20_000}\n", "nested too deeply"),
    "deep mappings": (f"settings: {'{a: ' * 20_000}\n", "nested too deeply"),
    "deep lines": (
        "".join(f"{' ' * depth}a:\n" for depth in range(900)),
        "fleet.yml:50: nested too deeply",
    ),
    "many keys": ("".join(f"k{number}: v\n" for number in range(4_000)), "there are more"),
    "many settings": (
        f"settings: {{serving: {{{', '.join(f'k{number}: 1' for number in range(2_000))}}}}}\n{HOST}",
        "there are more",
    ),
    "a long file": ("# \n" * (1 << 19), "longer than 1 MiB"),
    "a long word": (f"{'x' * 100_000}: 1\n{HOST}", "not valid YAML"),
    "a long setting": (
        f"settings: {{serving: {{? {'x' * 100_000} : 1}}}}\n{HOST}",
        "unknown setting",
    ),
    "a long number": (
        f"settings: {{serving: {{port: 0x{'f' * 5_000}}}}}\n{HOST}",
        "more than 40 digits",
    ),
    "no number": (f"settings: {{serving: {{port: .nan, threads: 1e999}}}}\n{HOST}", "Infinity"),
    "half a pair": (f'settings: {{serving: {{question: "\\ud800"}}}}\n{HOST}', "surrogate pair"),
    "a key of half a pair": ('hosts: {"\\ud800": {}}\n', "fleet.yml:1: hosts: a key of half a"),
    "a name that controls": ('hosts: {"\\e[2Ja\\nb": {}}\n', "the host name '\\x1b[2Ja\\nb'"),
    "a tab": ("settings:\n\tserving: 1\n", "fleet.yml:2: not valid YAML: found a tab"),
    "a tag that runs": ("!!python/object/apply:os.system [id]", "has no meaning here"),
    "two documents": ("--- a\n--- b\n", "another document"),
    "no text": (b"settings: 1\n\xff", "fleet.yml:2: not text in UTF-8"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_is_too_much_is_told_with_its_place_and_takes_no_memory(tmp_path, bomb):
    content, told = BOMBS[bomb]
    (tmp_path / "fleet.yml").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    _problem_lines(tmp_path, REAL)  # what is made once for all is no inventory's
    tracemalloc.start()
    try:
        lines = _problem_lines(tmp_path, REAL)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert any(told in line for line in lines), lines[:5]
    assert_problems(tmp_path, lines)
    assert peak < 64 << 20
