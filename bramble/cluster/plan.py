"""A whole plan: every way that boards can serve a model, and the sentences that decide about buying."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bramble.cluster import boards, memory, network, speed, ways
from bramble.cluster.boards import Node
from bramble.cluster.network import GIGABIT_MB_S
from bramble.cluster.speed import GB, SWITCHED_NODES, Link
from bramble.cluster.ways import Planned, Way
from bramble.fit.memory import Request, kv_bytes
from bramble.fit.verdict import BOARDS

Speeds = tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """The ways, the first board being the root, what they come to, and what is not known."""

    model: str
    arch: str
    ctx: int
    nodes: tuple[Node, ...]
    ways: tuple[Way, ...]
    sentences: tuple[str, ...]
    not_known: tuple[str, ...]
    notes: tuple[str, ...]


def plan(model: Planned, nodes: Sequence[Node], request: Request, link: Link) -> Plan:
    """Plan a model on boards, the largest of which becomes the root."""
    ordered = boards.rooted(nodes)
    found = ways.every(model, ordered, request, link)
    return Plan(
        model=model.name,
        arch=model.geometry.arch,
        ctx=request.ctx,
        nodes=ordered,
        ways=found,
        sentences=tuple(_sentences(model, ordered, found, request, link)),
        not_known=tuple(_not_known(ordered, found, link)),
        notes=model.notes,
    )


def best(found: Sequence[Way]) -> Way | None:
    """Return the cluster's way that gives most at least; None where none fits, or no speed is known.

    Tensors over RPC are experimental, and never chosen.
    """
    sure = ("rpc layers", "dllama")
    known = [one for one in found if one.name in sure and one.fits and one.tokens_per_s]
    return max(known, key=lambda one: one.tokens_per_s or (0, 0), default=None)


def _sentences(
    model: Planned,
    nodes: Sequence[Node],
    found: Sequence[Way],
    request: Request,
    link: Link,
) -> Iterator[str]:
    alone, chosen = found[0], best(found)
    if not any(one.fits for one in found):
        yield f"None of these ways holds {model.name}: take larger boards, or a smaller model"
    if chosen is not None and chosen.tokens_per_s:
        cluster = f"{chosen.name} on {len(nodes)} boards gives {band(chosen.tokens_per_s)}"
        yield f"{cluster} tokens/s, the most of what fits"
        if alone.tokens_per_s:
            yield _beside(f"one {alone.shares[0].node} alone", alone.tokens_per_s, chosen)
        if chosen.name == "rpc layers":
            yield "Layers over RPC work one after the other: more boards add memory, and no speed"
    elif alone.fits and len(found) > 1:
        yield f"One {alone.shares[0].node} holds it alone, and no cluster is known to be faster"
    if bought := _bought(model, request, found):
        name, theirs = bought
        if chosen is not None:
            yield _beside(f"one {name}", theirs, chosen)
        else:
            yield f"One {name} holds it alone, and gives {band(theirs)} tokens/s"
    yield from _more_nodes(model, nodes, found, request, link)
    yield from _poor_network(model, nodes, found, request, link)
    if any(one.tokens_per_s for one in found):
        yield _full_context(model, request)


def _full_context(model: Planned, request: Request) -> str:
    """Say what the intervals leave out: published runs have short contexts."""
    gb = float(f"{kv_bytes(model.geometry, replace(request, slots=1)) / GB:.2g}")
    return (
        f"All speeds are with a context that is nearly empty: a full one reads {gb:g} GB more for each "
        "token, and twice that with dllama"
    )


def _beside(name: str, theirs: Speeds, chosen: Way) -> str:
    """Compare one board with the cluster: only intervals that do not meet decide."""
    ours = chosen.tokens_per_s or (0, 0)
    words = f"{name[0].upper()}{name[1:]}"
    figures = f"{band(theirs)} tokens/s against {band(ours)}"
    if theirs[0] >= ours[1]:
        return f"{words} is faster: {figures}"
    if chosen.name == "rpc layers" and theirs[1] >= ours[1]:
        return f"{words} is as fast, and wants no network: {figures}"
    if theirs[1] <= ours[0]:
        return (
            f"{words} is slower: {figures}, so {chosen.name} is "
            f"{times((ours[0] / theirs[1], ours[1] / theirs[0]))} as fast"
        )
    return f"{words} may be as fast: {figures}; which is faster is not known"


def _bought(model: Planned, request: Request, found: Sequence[Way]) -> tuple[str, Speeds] | None:
    """Return the smallest Pi 5 that holds the model alone, where none of the boards is one that does."""
    own = found[0]
    for name, room in BOARDS.items():
        if name.startswith("pi5") and not (own.fits and own.shares[0].node.startswith("pi5")):
            way = ways.one_node(model, [boards.node(name, name, room)], request)
            if way.fits and way.tokens_per_s:
                size = name.partition("-")[2].removesuffix("g")
                return f"Pi 5 with {size} GB", way.tokens_per_s
    return None


def _poor_network(
    model: Planned,
    nodes: Sequence[Node],
    found: Sequence[Way],
    request: Request,
    link: Link,
) -> Iterator[str]:
    """Say what the network must give, by what is left at a tenth of a gigabit."""
    given = next((one for one in found if one.name == "dllama"), None)
    if given is None or not given.tokens_per_s or link.mb_s is not None:
        return
    poor = ways.dllama(model, nodes, request.ctx, replace(link, mb_s=GIGABIT_MB_S / 10))
    if poor.tokens_per_s:
        yield (
            f"The network must give a gigabit by cable between all boards: at 100 Mbit/s dllama gives "
            f"{band(poor.tokens_per_s)} tokens/s"
        )


def _more_nodes(
    model: Planned,
    nodes: Sequence[Node],
    found: Sequence[Way],
    request: Request,
    link: Link,
) -> Iterator[str]:
    """Compare more than four nodes with the most up to four, by the switch between them."""
    split = next((one for one in found if one.name == "dllama"), None)
    shape, count = model.shape, len(nodes)
    if shape is None or split is None or not split.fits or count <= SWITCHED_NODES:
        return
    few = max(n for n in memory.allowed(shape) if n <= SWITCHED_NODES)
    if few == 1:
        return
    if not ways.dllama(model, nodes[:few], request.ctx, link).fits:
        return
    less, more = ((n, network.mesh(shape, n)) for n in (few, count))
    family = boards.slowest(nodes)
    scaled = speed.scaling(shape, family, less, more, link)
    carried = speed.must_carry_mb_s(shape, family, less, more)
    if scaled is None or carried is None:
        return
    yield (
        f"{count} nodes: {times(scaled)} of {few}, depending on the switch. They are faster while each "
        f"node gets more than {carried:.1f} MB/s through it; version 0.1.0 got 14 to 16 with 8 on a "
        "cheap one"
    )


def _not_known(nodes: Sequence[Node], found: Sequence[Way], link: Link) -> Iterator[str]:
    """Yield what the plan cannot say."""
    for way in found:
        if way.fits and way.tokens_per_s is None:
            yield f"the speed of {way.name}: {way.calibrated_on}"
        if way.verdict == "unknown":
            yield f"whether {way.name} fits: {way.why}"
    if len(nodes) < ways.TWO:
        return
    if any(one.name == "rpc tensor" and one.fits for one in found):
        yield "the speed of rpc tensor on Pis, and its answers over long contexts: nobody published it"
    if link.mb_s is None:
        yield "what your switch carries: --link-mbit takes what you measured between two boards"
    if link.delay_ms is None:
        yield f"the delay of one way: {network.DELAY_MS} ms is assumed; --delay-ms takes yours"
    yield "the watts of a switch, and how long prompts take"


def band(speeds: Speeds) -> str:
    """Format an interval."""
    low, high = speeds
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def times(ratios: Speeds) -> str:
    """Format how many times as much something is, with one decimal: no more is known."""
    low, high = (f"{one:.1f}" if one < 10 else f"{one:.0f}" for one in ratios)
    return f"{low} x" if low == high else f"{low} to {high} x"
