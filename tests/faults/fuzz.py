"""How much tests with hypothesis try, and the strange values that they try: the same in each run.

`make test` takes the few examples that a test names, `--thorough` many times as many, and others each
time. No example has a time limit, which would depend on the computer: what bounds them is the memory
that they take, the bytes that they read, and the limit of the whole test against hangs.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some

TIMES = 1
"""How many times as many examples: 20 with --thorough (tests/faults/plugin.py)."""
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

CONTROLS = "\x1b]0;title\x07\x1b[2J\x1b[8m\r\x00\x08\x9b31m\u202e\u200b\u2028\U000e0041"
TEXTS = (
    CONTROLS,
    f"/var/{CONTROLS}/x",
    "",
    " ",
    "\n" * 300,
    "../../../etc/passwd",
    "/etc/../../root/.ssh/authorized_keys",
    "$(touch /tmp/bramble-was-here)",
    "; touch /tmp/bramble-was-here #",
    "`touch /tmp/bramble-was-here`",
    "-rf",
    "%s%n{0}{x.__class__}",
    "9" * 5000,
    "-1",
    "1e999",
    "nan",
    "infinity",
    "0x" + "f" * 300,
    "a" * 60_000,
    "a=b\n" * 10_000,
    "[" * 10_000,
    '{"a":' * 5_000,
    "null",
    "[]",
    '{"binaries": 1, "release": [], "models": {}, "at": {}}',
    "<script>alert(1)</script>",
)
NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 2**64 - 1)
EXTREMES = (*NUMBERS, 10**400, 1e308, -1e308, 5e-324, 0.0, -0.5)


def examples(number: int) -> settings:
    """Return the settings of a test that tries so many examples."""
    return settings(
        max_examples=number * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        suppress_health_check=SLOW,
    )


def hostile(value: object) -> some.SearchStrategy[object]:
    """Return strange values of the same type."""
    if isinstance(value, str):
        return some.sampled_from(TEXTS) | some.text(max_size=20)
    if isinstance(value, bool) or value is None:
        return some.sampled_from((value, *TEXTS)) if value is None else some.booleans()
    if isinstance(value, int | float):
        return some.sampled_from(NUMBERS) | some.integers(-(2**64) + 1, 2**64 - 1)
    return some.nothing()


@some.composite
def spoiled(draw, whole):
    """Return a value, of dataclasses and what they hold, with one thing in it that is strange."""
    if is_dataclass(whole):
        name = draw(some.sampled_from([field.name for field in fields(whole)]))
        return replace(whole, **{name: draw(spoiled(getattr(whole, name)))})
    if isinstance(whole, dict) and whole:
        key = draw(some.sampled_from(sorted(whole)))
        return {**whole, key: draw(spoiled(whole[key]))}
    if isinstance(whole, tuple) and whole:
        at = draw(some.integers(0, len(whole) - 1))
        return (*whole[:at], draw(spoiled(whole[at])), *whole[at + 1 :])
    if isinstance(whole, frozenset):
        return whole | {draw(some.sampled_from(TEXTS))}
    return draw(hostile(whole)) if isinstance(whole, str | int | float) or whole is None else whole


scalars = (
    some.none() | some.booleans() | some.sampled_from((*EXTREMES, *TEXTS)) | some.text(max_size=5)
)
trees = some.recursive(
    scalars,
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(TEXTS[:6]), inner, max_size=3)
    ),
    max_leaves=6,
)
"""JSON values of every type, with what is strange in them."""


@some.composite
def mangled(draw, whole):
    """Return a JSON value in which one value is another, of whatever type, or is missing."""
    if not isinstance(whole, dict | list) or not whole or draw(some.integers(0, 9)) == 0:
        return draw(trees)
    inner = dict(whole) if isinstance(whole, dict) else list(whole)
    at = draw(some.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
    if draw(some.integers(0, 9)) == 0:
        del inner[at]
    else:
        inner[at] = draw(mangled(inner[at]))
    return inner
