"""The one-line summaries in the demo model's language: short reports about a node."""

from __future__ import annotations

from random import Random

from example import Example, by_wording


def node_name(rng: Random) -> str:
    """Return a host name such as pi5-a, node-7 or shelf-12."""
    stem = rng.choice(["pi4", "pi5", "pi", "node", "shelf", "rack", "lab"])
    return f"{stem}-{rng.choice([rng.choice('abcdefgh'), str(rng.randint(1, 20))])}"


def summary(rng: Random) -> Example:
    """Ask for one line with the facts of a short report about a node."""
    name = node_name(rng)
    ask = rng.choice(["Summarize: ", "Summarise: ", "Summary of: ", "In one line: "])
    report = rng.choice([_status_report, _build_report, _speed_report])
    sentences, line = report(rng, name)
    return by_wording("summary", ask + sentences, f"{name}: {line}")


def _status_report(rng: Random, name: str) -> tuple[str, str]:
    celsius, requests = rng.randint(30, 89), rng.randint(0, rng.choice([99, 999]))
    throttled = rng.random() < 0.5
    start = rng.choice([
        f"The node {name} ran at {celsius} C and served {requests} requests.",
        f"{name} served {requests} requests at {celsius} C.",
        f"Node {name} was at {celsius} C. It served {requests} requests.",
    ])  # fmt: skip
    state = "throttled" if throttled else "not throttled"
    return f"{start} It was {state}.", f"{celsius} C, {requests} requests, {state}."


def _build_report(rng: Random, name: str) -> tuple[str, str]:
    build, minutes, ok = f"b{rng.randint(1000, 9999)}", rng.randint(2, 90), rng.random() < 0.5
    start = rng.choice([
        f"The build of {build} on {name} took {minutes} minutes.",
        f"{name} worked {minutes} minutes on the build of {build}.",
    ])  # fmt: skip
    end = "It ended well." if ok else "It failed."
    return f"{start} {end}", f"{build} {'built' if ok else 'failed'} in {minutes} minutes."


def _speed_report(rng: Random, name: str) -> tuple[str, str]:
    speed, gib = rng.randint(1, 40), rng.randint(1, 16)
    return rng.choice([
        f"The model on {name} made {speed} tokens per second. It used {gib} GiB of memory.",
        f"{name} used {gib} GiB of memory. Its speed was {speed} tokens per second.",
    ]), f"{speed} tokens/s, {gib} GiB."  # fmt: skip
