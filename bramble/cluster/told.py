"""A plan, and the published points, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bramble.cluster import boards
from bramble.cluster.plan import Plan, band
from bramble.cluster.points import NEEDED_SHARE, Held
from bramble.cluster.ways import Share, Way

VERSION = 1
MB, MBIT = 1e6, 8e-6
TITLES = {"rpc tensor": "rpc tensor (experimental)", "dllama": "dllama (distributed-llama)"}


def as_dict(found: Plan) -> dict[str, Any]:
    """Return a plan as JSON has it."""
    return {
        "kind": "bramble cluster plan",
        "version": VERSION,
        "model": found.model,
        "arch": found.arch,
        "ctx": found.ctx,
        "root": found.nodes[0].name,
        "nodes": [
            {"name": one.name, "memory_mib": one.room.memory_mib, "family": one.family}
            for one in found.nodes
        ],
        "ways": [_way(one) for one in found.ways],
        "sentences": [*found.sentences],
        "not_known": [*found.not_known],
        "notes": [*found.notes],
    }


def _way(way: Way) -> dict[str, Any]:
    sent = way.traffic
    return {
        "name": way.name,
        "verdict": way.verdict,
        "why": way.why,
        "shares": [vars(one) for one in way.shares],
        "tokens_per_s": [*(way.tokens_per_s or ())],
        "calibrated_on": way.calibrated_on,
        "sent_bytes": [sent.sent_bytes, sent.most_bytes] if sent else [],
        "root_receives_bytes": sent.root_receives_bytes if sent else None,
        "waits": sent.waits if sent else None,
        "watts": [*(way.watts or ())],
        "flags": [*way.flags],
    }


def text(found: Plan) -> str:
    """Return a plan for people."""
    lines = [f"{found.model} on {boards.named(found.nodes)}, a context of {found.ctx} tokens"]
    for way in found.ways:
        lines += ["", *_lines(way, found)]
    lines += ["", *(f"{one}." for one in found.sentences)]
    if source := boards.watts_source(found.nodes):
        lines.append(f"Watts are of the boards alone: {source}.")
    lines += ["", "Not known:", *(f"  {one}" for one in found.not_known)] if found.not_known else []
    return "\n".join(lines)


def _lines(way: Way, found: Plan) -> Iterator[str]:
    speeds = f", {band(way.tokens_per_s)} tokens/s" if way.tokens_per_s else ""
    title = TITLES.get(way.name, way.name)
    yield f"{title}: {'cannot tell' if way.verdict == 'unknown' else way.verdict}{speeds}"
    if way.why:
        yield f"  {way.why.rstrip('.')}"
    if not way.fits:
        return
    for share in _alike(way.shares):
        yield f"  memory   {share}"
    yield f"  speed    {way.calibrated_on}"
    if way.traffic:
        yield f"  network  {_network(way)}"
    if way.watts:
        yield f"  watts    {band(way.watts)}"
    if way.flags:
        yield f"  flags    {' '.join(way.flags)}"


def _alike(shares: Sequence[Share]) -> Iterator[str]:
    """Yield each share once, with the boards that have it."""
    words: dict[str, list[str]] = {}
    for one in shares:
        some = "layer" if one.layers == 1 else "layers"
        kept = "" if one.layers is None else f"{one.layers} {some}, "
        said = f"{kept}{one.needed_mib} of {one.available_mib} MiB"
        role = "root " if one.root and len(shares) > 1 else ""
        words.setdefault(f"{role}|{said}", []).append(one.node)
    for key, names in words.items():
        role, _, said = key.partition("|")
        whole = dict.fromkeys(names)
        counted = (f"{n}*{names.count(n)}" if names.count(n) > 1 else n for n in whole)
        yield f"{role}{', '.join(counted)}: {said}"


def _network(way: Way) -> str:
    """Say what a token costs the network, and what it must give for the best speed."""
    sent = way.traffic
    assert sent is not None
    mb = band((_two(sent.sent_bytes / MB), _two(sent.most_bytes / MB)))
    whose = "each node sends" if way.name == "dllama" else "the client and its servers send"
    words = f"{whose} {mb} MB a token"
    if sent.root_receives_bytes:
        words += f", {_two(sent.root_receives_bytes / MB):g} MB more come into the root"
    words += f", and {sent.waits:g} waits one after another"
    if way.tokens_per_s:
        most = sum(sent.wire_bytes[1:]) * way.tokens_per_s[1] * MBIT
        words += f"; {_two(most):g} Mbit/s at the best speed"
    return words


def _two(value: float) -> float:
    return float(f"{value:.2g}")


def points_dict(held: Sequence[Held], left_out: Sequence[Held]) -> dict[str, Any]:
    """Return the points as JSON has them, and those that a fit to the others predicts."""
    return {
        "kind": "bramble cluster points",
        "version": VERSION,
        "needed_share": NEEDED_SHARE,
        "contained": sum(one.contained for one in held),
        "points": [{**vars(one.point), **_band(one)} for one in held],
        "left_out": [
            {"model": one.point.model, "nodes": one.point.nodes, "ms": one.point.ms, **_band(one)}
            for one in left_out
        ],
    }


def _band(held: Held) -> dict[str, Any]:
    return {
        "low_ms": round(held.band.low, 1),
        "middle_ms": round(held.band.middle, 1),
        "high_ms": round(held.band.high, 1),
        "error": round(held.error, 3),
        "contained": held.contained,
    }


def points_text(held: Sequence[Held], left_out: Sequence[Held]) -> str:
    """Return the points as a table, and how many of them predictions contain."""
    head = ("engine", "version", "board", "n", "model", "ms", "predicted", "error", "source")
    rows = [head, *map(_row, held)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    notes = [f"  {_name(one)}: {one.point.note}" for one in held if one.point.note]
    return "\n".join([*lines, "", *_totals(held, left_out), "", "Notes", *dict.fromkeys(notes)])


def _name(held: Held) -> str:
    point = held.point
    return f"{point.model} on {point.nodes}, {point.version or point.engine}"


def _row(held: Held) -> tuple[str, ...]:
    point, mark = held.point, "" if held.contained else " MISSED"
    span = f"{held.band.low:.0f} to {held.band.high:.0f}{mark}"
    return (
        point.engine,
        point.version or "-",
        point.board,
        str(point.nodes),
        point.model,
        f"{point.ms:.1f}",
        span,
        f"{held.error:+.1%}",
        point.source,
    )


def _totals(held: Sequence[Held], left_out: Sequence[Held]) -> Iterator[str]:
    """Yield how many points are contained: of all, of each engine, and of what was not fitted to."""
    yield f"All: {_share(held)}; {NEEDED_SHARE:.0%} are held by a test"
    for engine in dict.fromkeys(one.point.engine for one in held):
        yield f"{engine}: {_share([one for one in held if one.point.engine == engine])}"
    blind = [one for one in held if not one.point.fitted]
    yield f"Points that no constant was fitted to: {_share(blind)}"
    yield f"Each point of 0.1.0 by a fit to the other ones: {_share(left_out)}"


def _share(held: Sequence[Held]) -> str:
    """Say how many are contained, the mean error, and how wide intervals are."""
    inside = sum(one.contained for one in held)
    mean = sum(abs(one.error) for one in held) / len(held)
    widths = sorted(one.band.high / one.band.low for one in held)
    return (
        f"{inside} of {len(held)} within ({inside / len(held):.0%}), mean error {mean:.1%}, "
        f"intervals {widths[0]:.1f} to {widths[-1]:.1f} x wide"
    )
