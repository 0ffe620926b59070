"""`bramble cluster`: what several boards with one model would give, and how well that is known."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from bramble.cli import completing
from bramble.cli.inventory import refuse, tell_folder
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, number
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.cluster.boards import Node
    from bramble.cluster.ways import Planned

_BITS = 8


@click.group("cluster")
def cluster() -> None:
    """Plan one model on several boards, before anybody buys a switch."""


@cluster.command("plan")
@click.argument("model", metavar="MODEL")
@click.option(
    "--boards",
    metavar="BOARD[*COUNT],...",
    help="The boards, such as pi5-8g,pi4-4g*3.",
)
@click.option(
    "--hosts",
    metavar="HOST,...",
    shell_complete=completing.hosts,
    help="Instead of boards: hosts of the inventory, inspected over SSH.",
)
@click.option(
    "--ctx",
    type=click.IntRange(128, 1 << 20),
    metavar="N",
    help="Context in tokens; default: 2048, or less where the model was trained for less.",
)
@click.option(
    "--link-mbit",
    type=click.FloatRange(1, 100_000),
    callback=number,
    metavar="MBIT_S",
    help="The data that you measured between two boards, as iperf3 says it; default: 936, a gigabit's.",
)
@click.option(
    "--delay-ms",
    type=click.FloatRange(0.001, 1000),
    callback=number,
    metavar="MS",
    help="The delay of one way between two boards, half of what ping says; default: 0.12.",
)
@click.option(
    "--measured",
    is_flag=True,
    help="With --hosts: the speed of each host's newest kept benchmark (`bramble bench`) in the place "
    "of published ones, for one node and RPC; nothing here measures distributed-llama.",
)
@ASK_SUDO_PASSWORD
@AS_JSON
def plan(
    model: str,
    boards: str | None,
    hosts: str | None,
    ctx: int | None,
    link_mbit: float | None,
    delay_ms: float | None,
    measured: bool,
    as_json: bool,
) -> None:
    """Calculate what MODEL takes and gives on several boards, in each way that there is.

    MODEL is a published one, such as llama-3.1-8b or qwen3-30b-a3b; a GGUF file, or its http(s) address;
    or MODEL:QUANT of models.yml or models.lock.

    The ways are one board alone, llama.cpp's RPC with layers split, the same with tensors split (for
    exactly two boards), and distributed-llama. Of each: whether it fits, tokens/s as an interval with
    what it was calibrated on, what a token sends and waits for, and watts. The board with most memory
    becomes the root. What is not known is said. Nothing is installed or changed.

    Exit code 0 where a way fits, 1 where none does, 2 for wrong usage or a model that cannot be read,
    3 for "cannot tell".

    \b
    bramble cluster plan llama-3.1-8b --boards 'pi4-8g*4'
    bramble cluster plan qwen3-30b-a3b --boards 'pi5-8g*4' --link-mbit 940
    bramble cluster plan model.gguf --hosts pi5-a,pi5-b --measured
    """
    from bramble.cluster import told
    from bramble.cluster.plan import plan as planned
    from bramble.cluster.speed import Link
    from bramble.fit.verdict import request_for

    if (boards is None) == (hosts is None):
        refuse("Give --boards, such as 'pi4-8g*4', or --hosts, such as pi5-a,pi5-b: one of them.")
    if measured and not hosts:
        refuse("--measured wants --hosts: boards that nobody has were never measured.")
    chosen = _model(model)
    nodes = _of_hosts(hosts, measured) if hosts else _of_boards(boards or "")
    for note in chosen.notes:
        click.echo(sanitize(note), err=True)
    link = Link(None if link_mbit is None else link_mbit / _BITS, delay_ms)
    found = planned(chosen, nodes, request_for(chosen.geometry, ctx), link)
    click.echo(json.dumps(told.as_dict(found), indent=2) if as_json else told.text(found))
    if any(way.fits for way in found.ways):
        return
    unknown = any(way.verdict == "unknown" for way in found.ways)
    raise click.exceptions.Exit(3 if unknown else 1)


@cluster.command("points")
@AS_JSON
def points(as_json: bool) -> None:
    """Hold predictions to every published point: print each error, and how many are contained.

    Versions of distributed-llama up to 0.11 are predicted with the traffic that they had.

    Exit code 1 where predictions contain less than 90 % of the points.

    \b
    bramble cluster points
    """
    from bramble.cluster import told
    from bramble.cluster.points import NEEDED_SHARE, held
    from bramble.cluster.refit import left_out

    found, others = held(), left_out()
    dump = json.dumps(told.points_dict(found, others), indent=2)
    click.echo(dump if as_json else told.points_text(found, others))
    contained = sum(one.contained for one in found)
    raise click.exceptions.Exit(0 if contained >= NEEDED_SHARE * len(found) else 1)


def _model(name: str) -> Planned:
    """Return the model, or end the command with why it cannot be read."""
    from bramble.cluster import named
    from bramble.cluster.shapes import PUBLISHED
    from bramble.documents.problems import InventoryError
    from bramble.fit.named import is_name
    from bramble.models import source
    from bramble.models.gguf import GgufError
    from bramble.models.hub import ENDPOINT, Hub, HubError
    from bramble.project import folder
    from bramble.sanitize import sentence

    if name.lower() not in PUBLISHED and is_name(name):
        tell_folder()
    try:
        hub = Hub(os.environ.get("HF_ENDPOINT") or ENDPOINT, os.environ.get("HF_TOKEN"))
        return named.planned(name, folder(), hub)
    except InventoryError as error:
        refuse(str(error))
    except (GgufError, source.SourceError, HubError) as error:
        refuse(sentence(str(error)))


def _of_boards(text: str) -> tuple[Node, ...]:
    from bramble.cluster import boards

    try:
        return boards.parsed(text)
    except boards.BoardsError as error:
        refuse(str(error))


def _of_hosts(text: str, measured: bool) -> tuple[Node, ...]:
    """Return hosts of the inventory as one look over SSH shows them, without changing them."""
    from bramble.cli import driver
    from bramble.cli.inventory import chosen_host, loaded_inventory
    from bramble.cluster import boards
    from bramble.fit.verdict import Room

    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names):
        refuse(f"--hosts {text}: a host is named twice; a board can be in a cluster once.")
    inventory = loaded_inventory()
    settings = {name: chosen_host(inventory, name).settings for name in names}
    outcome = driver.run("plan", names, "-y", show=driver.be_quiet)
    seen = {one["host"]: one["board"] for one in outcome.of("plan")}
    for name in names:
        if name not in seen:
            why = outcome.failed.get(name) or outcome.cut_off or f"see {outcome.log}"
            raise click.ClickException(f"{name} could not be looked at: {why}")
    found = []
    for name in names:
        board, others = seen[name], getattr(settings[name].get("serving"), "reserve_mib", 0)
        room = Room(board["memory_mib"], board["cores"], board["repacks"], others)
        node = boards.node(name, board["kind"], room)
        found.append(_measured(node, board["kind"]) if measured else node)
    return tuple(found)


def _measured(node: Node, kind: str) -> Node:
    """Return a host with what its newest benchmark read, or end the command where there is none."""
    from bramble.bench import result
    from bramble.cluster import benches
    from bramble.project import folder

    try:
        return benches.measured(node, kind, result.kept(folder(), node.name))
    except (ValueError, benches.NoBench) as error:
        refuse(str(error))
