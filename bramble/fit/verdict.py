"""Whether a model fits: what llama-server takes for it, compared with what a node has for it.

Where only an upper bound is known, and the node has less than that but as much as the weights, the
answer is unknown.

Only memory counts. zram and swap are left out: each token needs the weights again. Mapped weights are
never swapped but read from the disk each time; copied ones hardly compress (docs/roles/memory.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bramble.board import Board
from bramble.fit.memory import (
    CELLS,
    NARROWEST_HEAD,
    Request,
    checkpoint_bytes,
    compute_bytes,
    drafting,
    kv_bytes,
    output_bytes,
)
from bramble.models.geometry import Geometry

SYSTEM_MIB = 256
"""The reserve for the kernel, the services of Raspberry Pi OS Lite, an SSH session and a deploy."""

SERVER_MIB = 96
"""The reserve for llama-server itself: its program, the vocabulary, requests and answers."""

ROUTER_MIB = 32
"""The reserve for a llama-server without a model, which passes requests on to those that have one."""

KERNEL_PERCENT = 2
"""The reserve for what the kernel keeps free and what grows with the memory."""

TIGHT_PERCENT = 5
"""A model that leaves less of the node's memory than this fits tightly."""

DEFAULT_CTX = 2048

NO_CAPACITY = (
    "Zram and swap are no room for it: each token needs the weights again, mapped ones never go there "
    "and are read from the disk each time, and copied ones hardly compress"
)


@dataclass(frozen=True)
class Room:
    """A node, as far as a model's fit depends on it.

    `repacks` says whether its processor has the dot product for which weights are copied into another
    order, and is true where that is unknown. `others_mib` is for other programs, such as an agent.
    """

    memory_mib: int
    cores: int | None = None
    repacks: bool = True
    others_mib: int = 0

    @property
    def reserve_mib(self) -> int:
        """The memory that is not for the model."""
        kernel_mib = self.memory_mib * KERNEL_PERCENT // 100
        return SYSTEM_MIB + SERVER_MIB + kernel_mib + self.others_mib

    @property
    def available_mib(self) -> int:
        """The memory that is left for the model."""
        return max(self.memory_mib - self.reserve_mib, 0)


def room_for(room: Room, at_once: int) -> Room:
    """Return the room of a node for several models at once, each with a llama-server of its own."""
    return replace(room, others_mib=room.others_mib + ROUTER_MIB + (at_once - 1) * SERVER_MIB)


def room_of(board: Board, others_mib: int = 0) -> Room:
    """Return the room of a node that was looked at."""
    return Room(board.memory_mib, board.cores, board.repacks, others_mib)


# MemTotal. That of pi4-4g is recorded; the others are estimates of the same kind: the nominal size
# less what the firmware and the kernel's page tables take. A node's own figure is the better one.
BOARDS: Mapping[str, Room] = {
    "pi4-1g": Room(906, cores=4, repacks=False),
    "pi4-2g": Room(1840, cores=4, repacks=False),
    "pi4-4g": Room(3791, cores=4, repacks=False),
    "pi4-8g": Room(7800, cores=4, repacks=False),
    "pi5-2g": Room(1990, cores=4),
    "pi5-4g": Room(4040, cores=4),
    "pi5-8g": Room(8063, cores=4),
    "pi5-16g": Room(16200, cores=4),
}


Verdict = Literal["yes", "tight", "no", "unknown"]


@dataclass(frozen=True)
class Fit:
    """The answer. Every part is rounded up to whole MiB; `total_mib` is the sum of the first four.

    With a `doubt` they are upper bounds. `beyond` is about a context longer than the model can use.
    """

    verdict: Verdict
    sentence: str
    weights_mib: int
    kv_mib: int
    compute_mib: int
    cache_mib: int
    reserve_mib: int
    total_mib: int
    available_mib: int
    max_ctx: int
    flags: tuple[str, ...]
    doubt: str = ""
    beyond: str = ""


def request_for(model: Geometry, ctx: int | None) -> Request:
    """Return how the model is served: with this context, or with bramble's default."""
    return Request(ctx=ctx or min(DEFAULT_CTX, model.ctx_train))


def fit(model: Geometry, room: Room, request: Request) -> Fit:
    """Decide whether the model fits this node, served like this."""
    taken = parts(model, request)
    total, most_ctx = sum(taken), max_ctx(model, room, request)
    verdict = verdict_of((model,), room, request, total)
    weights, kv, compute, cache = taken
    return Fit(
        verdict=verdict,
        sentence=_sentence(model, room, request, verdict, total, most_ctx),
        weights_mib=weights,
        kv_mib=kv,
        compute_mib=compute,
        cache_mib=cache,
        reserve_mib=room.reserve_mib,
        total_mib=total,
        available_mib=room.available_mib,
        max_ctx=most_ctx,
        flags=() if verdict == "no" else _flags(room, request, cache),
        doubt=doubt_of(model, request),
        beyond=beyond(model.ctx_train, request),
    )


def beyond(ctx_train: int, request: Request) -> str:
    """Return what to say of a context that the model was not trained for; empty where it was.

    llama-server takes its memory, warns and caps it (`n_ctx_slot` of tools/server/server-context.cpp).
    """
    each = request.ctx // request.slots
    if each <= ctx_train:
        return ""
    asked = f"a context of {request.ctx} tokens"
    if request.slots > 1:
        asked += f", {each} for each of {request.slots} slots"
    return (
        f"{asked}: the model was trained for {ctx_train}, so llama-server takes the memory for all of "
        f"it and uses no more than {ctx_train} in a conversation; {ctx_train * request.slots} is the "
        "most that is of use"
    )


def max_ctx(model: Geometry, room: Room, request: Request) -> int:
    """Return the largest context that fits, at most the one the model was trained for; 0 for none."""

    def fits(ctx: int) -> bool:
        return sum(parts(model, replace(request, ctx=ctx))) <= room.available_mib

    return largest(model.ctx_train, fits)


def largest(ctx_train: int, fits: Callable[[int], bool]) -> int:
    """Return the largest context that fits, at most this one; 0 for none."""
    if fits(ctx_train):
        return ctx_train
    # llama.cpp rounds up to CELLS, so only multiples of it are tried: `low` fits, `high` does not.
    low, high = 0, -(-ctx_train // CELLS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * CELLS) else (low, middle)
    return low * CELLS


def parts(model: Geometry, request: Request) -> tuple[int, int, int, int]:
    """Return weights, keys and values, buffers, and copies for later turns, in MiB.

    Those of a model that guesses and of a projector are among them.
    """
    several = [_parts(model, request)]
    if request.draft:
        several.append(_parts(request.draft, drafting(request)))
    if request.projector:
        image_bytes = request.projector.image_bytes(request.image_tokens)
        several.append((request.projector.file_bytes, 0, image_bytes, 0))
    weights, kv, buffers, copies = (sum(map(mib, sizes)) for sizes in zip(*several, strict=True))
    return weights, kv, buffers, request.cache_ram_mib + copies


def _parts(model: Geometry, request: Request) -> tuple[int, int, int, int]:
    """Return what one model takes, in bytes, without the memory for conversations that left."""
    return (
        model.weights.file_bytes,
        kv_bytes(model, request),
        compute_bytes(model, request) + output_bytes(model, request),
        checkpoint_bytes(model, request),
    )


def _loaded(model: Geometry, request: Request) -> tuple[Geometry, ...]:
    """Return the models in memory: the one that answers, and one that guesses for it."""
    return (model, request.draft) if request.draft else (model,)


def doubt_of(model: Geometry, request: Request) -> str:
    """Return why the figures are upper bounds; empty where they are what is taken."""
    doubts = [one.doubt for one in _loaded(model, request) if one.doubt]
    if request.projector:
        most_mib = mib(request.projector.image_bytes(request.image_tokens))
        doubts.append(f"computing an image is counted as {most_mib} MiB, the most that it may take")
    if doubts or request.flash:
        return "; ".join(doubts)
    return (
        "without flash attention what it takes depends on the number of heads, which is not kept: "
        f"heads are counted as {NARROWEST_HEAD} wide, the narrowest of published models"
    )


def verdict_of(models: Sequence[Geometry], room: Room, request: Request, total: int) -> Verdict:
    """Return whether models that take so much in all fit into a room at the same time."""
    if total > room.available_mib:
        sure = sum(surely_mib(model, request) for model in models) > room.available_mib
        return "no" if sure else "unknown"
    # The kernel may drop the file's copy of a tied embedding, but only under memory pressure. Locked
    # weights are not copied (--no-repack).
    loaded = [one for model in models for one in _loaded(model, request)]
    copies = sum(mib(one.weights.twice_bytes) for one in loaded)
    spare = room.available_mib - total - (copies if room.repacks and not request.locked else 0)
    roomy = spare * 100 >= room.memory_mib * TIGHT_PERCENT
    return "yes" if roomy and _compared(loaded, request) else "tight"


def _compared(loaded: Iterable[Geometry], request: Request) -> bool:
    """Return whether tests compare all of it with what llama.cpp takes."""
    projector = request.projector
    return all(one.compared for one in loaded) and (projector is None or projector.compared)


def surely_mib(model: Geometry, request: Request) -> int:
    """Return what a model takes at least: all of it where nothing is in doubt, else its weights."""
    if not doubt_of(model, request):
        return sum(parts(model, request))
    sure = [one.weights.file_bytes - one.weights.lazy_bytes for one in _loaded(model, request)]
    return sum(map(mib, [*sure, *([request.projector.file_bytes] if request.projector else [])]))


WORDS: Mapping[Verdict, str] = {
    "yes": "Yes",
    "tight": "Tight",
    "no": "No",
    "unknown": "Cannot tell",
}


def _sentence(
    model: Geometry, room: Room, request: Request, verdict: Verdict, total: int, largest: int
) -> str:
    doubt = doubt_of(model, request)
    most = "at most " if doubt else ""
    beside = " with the one that guesses for it" if request.draft else ""
    beside += " with its projector" if request.projector else ""
    takes = (
        f"{WORDS[verdict]}: with a context of {request.ctx} tokens the model takes{beside} "
        f"{most}{total} MiB, and the node has {room.available_mib} MiB for it"
    )
    words = [f"{takes}{_contexts(verdict, largest)}{_uncompared(model, request)}"]
    if doubt:
        words.append(f"{doubt[0].upper()}{doubt[1:]}")
    if reported := beyond(model.ctx_train, request):
        words.append(f"{reported[0].upper()}{reported[1:]}")
    if verdict == "no":
        words.append(NO_CAPACITY)
    return "".join(f"{sentence}. " for sentence in words).rstrip()


def _contexts(verdict: Verdict, largest: int) -> str:
    """Say how much context fits, or would."""
    if verdict in ("yes", "tight"):
        return f"; up to {largest} tokens fit"
    if verdict == "unknown":
        return f"; {largest} tokens fit for certain" if largest else "; no context fits for certain"
    if largest:
        return f"; {largest} tokens would fit"
    return "; no context fits, so take a smaller model or quantization, or a larger board"


def _uncompared(model: Geometry, request: Request) -> str:
    if _compared(_loaded(model, request), request):
        return ""
    return " (its architecture is not among those whose figures were compared with llama.cpp's)"


def _flags(room: Room, request: Request, cache_mib: int) -> tuple[str, ...]:
    """Return llama-server's flags for what was counted, each followed by its value."""
    flags = {
        "-c": request.ctx,
        "-np": request.slots,
        "-ub": request.ubatch,
        **({"-t": room.cores} if room.cores else {}),
        "--cache-ram": request.cache_ram_mib,
        **({"--ctx-checkpoints": request.checkpoints} if cache_mib else {}),
        "-ctk": request.type_k,
        "-ctv": request.type_v,
        **({} if request.flash else {"-fa": "off"}),
        "--load-mode": "mmap+mlock" if request.locked else "mmap",
    }
    return tuple(str(word) for pair in flags.items() for word in pair)


def mib(size: int) -> int:
    return -(-size >> 20)
