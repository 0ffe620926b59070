"""`bramble fit`: whether a model fits a board, from the first bytes of its file or address."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bramble.cli.inventory import refuse
from bramble.fit.verdict import BOARDS

if TYPE_CHECKING:
    from bramble.fit.verdict import Fit


@click.command("fit")
@click.argument("model")
@click.option("--board", type=click.Choice([*BOARDS]), help="The board, by its memory.")
@click.option(
    "--memory-mib",
    type=click.IntRange(256, 1 << 20),
    metavar="N",
    help="Instead of a board: MemTotal of /proc/meminfo on the node, in MiB.",
)
@click.option(
    "--ctx",
    type=click.IntRange(128, 1 << 20),
    metavar="N",
    help="Context in tokens; else 2048, or less where the model was trained for less.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/reference/json.md).")
def fit(
    model: str, board: str | None, memory_mib: int | None, ctx: int | None, as_json: bool
) -> None:
    """Tell whether MODEL fits a board, before it is fetched.

    MODEL is a GGUF file or its http(s) address, of which at most the first 16 MiB are read.
    The answer is yes, tight or no, with what llama-server takes, the largest context that fits,
    and the flags that were counted with. zram and swap are not counted.

    Exit code 0 for yes and tight, 1 for no, 2 for wrong usage or a model that cannot be read.

    \b
    bramble fit model.gguf --board pi4-4g
    bramble fit https://example.org/model.gguf --board pi5-8g --ctx 8192
    """
    from bramble.fit import source, verdict
    from bramble.fit.geometry import geometry
    from bramble.gguf import GgufError

    if (board is None) == (memory_mib is None):
        refuse(f"Give --board ({', '.join(BOARDS)}) or --memory-mib, one of them.")
    room = BOARDS[board] if board else verdict.Room(memory_mib or 0)
    try:
        found = geometry(source.header(model))
    except (GgufError, source.SourceError) as error:
        refuse(_printable(str(error)))
    answer = verdict.fit(found, room, verdict.request_for(found, ctx))
    click.echo(json.dumps(asdict(answer), indent=2) if as_json else _text(answer))
    raise click.exceptions.Exit(1 if answer.verdict == "no" else 0)


def _text(answer: Fit) -> str:
    rows = {
        "weights": answer.weights_mib,
        "keys and values": answer.kv_mib,
        "compute buffer": answer.compute_mib,
        "copies for later turns": answer.cache_mib,
        "in all": answer.total_mib,
        "available": answer.available_mib,
        "reserved for the rest": answer.reserve_mib,
    }
    lines = [answer.sentence, *(f"  {name:22} {mib:7} MiB" for name, mib in rows.items())]
    return "\n".join([*lines, *([f"  {' '.join(answer.flags)}"] if answer.flags else [])])


def _printable(text: str) -> str:
    """A message in which names of a stranger's header cannot move the terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in text[:1000])
