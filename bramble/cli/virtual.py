"""`bramble virtual`: virtual Pis on this machine."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from bramble.cli.terminal import width
from bramble.layout import table
from bramble.virtual import (
    VirtualNode,
    VirtualPiError,
    boards,
    faults,
    lifecycle,
    releases,
    source,
    ssh_argv,
)
from bramble.virtual.model import SSH_PORT, Kind


@contextmanager
def _errors_reported() -> Iterator[None]:
    """Report errors as one sentence, with exit code 1."""
    try:
        yield
    except VirtualPiError as error:
        raise click.ClickException(str(error)) from error


def _fault_help() -> str:
    names = sorted({fault for board in boards.BOARDS for fault in faults.names(board)})
    return f"A fault that it has: {', '.join(names)}."


@click.group()
def virtual() -> None:
    """Start and stop virtual Pis: containers or machines that look like fresh Pis (root, Linux)."""


@virtual.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--count", type=click.IntRange(1), help="How many: vpi-1 to vpi-N.  [default: 1]")
@click.option("--machine", is_flag=True, help="Emulated arm64 machines with a kernel: vpm-1 ...")
@click.option(
    "--board",
    type=click.Choice(list(boards.BOARDS)),
    default="pi5",
    show_default=True,
    help="The board that they imitate.",
)
@click.option(
    "--release",
    type=click.Choice(releases.RELEASES),
    help=f"The Debian release of new ones.  [default: {releases.DEFAULT}; of a clone its source's]",
)
@click.option("--fault", metavar="FAULT", help=_fault_help())
@click.option("--clone", "clone_of", metavar="NAME", help="Start as copies of this node's files.")
@click.option("--no-ccache", is_flag=True, help="Do not share this machine's compiler cache.")
def up(
    names: tuple[str, ...],
    count: int | None,
    machine: bool,
    board: str,
    release: str | None,
    fault: str | None,
    clone_of: str | None,
    no_ccache: bool,
) -> None:
    """Start virtual Pis that are not running, and wait until each answers on SSH.

    \b
    bramble virtual up
    bramble virtual up vpi-2 --release trixie
    """
    if names and count:
        raise click.UsageError("give names or --count, not both")
    with _errors_reported():
        kind: Kind = "machine" if machine else "container"
        lifecycle.check_kind(names, kind)
        lifecycle.require(kind)
        if not machine:  # nothing is compiled on a machine
            source.fetch(lambda line: click.echo(line, err=True))
        found = lifecycle.up(
            names or count or 1,
            board=board,
            fault=fault,
            clone_of=clone_of,
            ccache=not no_ccache,
            on_progress=lambda line: click.echo(line, err=True),
            kind=kind,
            release=release,
        )
    _print_table(found)


@virtual.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_nodes(as_json: bool) -> None:
    """List the virtual Pis of this machine.

    \b
    bramble virtual list
    """
    with _errors_reported():
        found = lifecycle.nodes()
    if as_json:
        click.echo(json.dumps([asdict(node) for node in found], indent=2))
    elif found:
        _print_table(found)
    else:
        click.echo("There are no virtual Pis; 'bramble virtual up' starts one.")


def _print_table(found: list[VirtualNode]) -> None:
    rows = [
        ("NAME", "KIND", "ADDRESS", "BOARD", "RELEASE", "FAULT", "STATE", "PID", "UPTIME"),
        *map(_row, found),
    ]
    for line in table(rows, width()):
        click.echo(line)


def _row(node: VirtualNode) -> tuple[str, ...]:
    uptime = "-" if node.uptime is None else f"{node.uptime:.0f} s"
    return (
        node.name,
        node.kind,
        node.address if node.port == SSH_PORT else f"{node.address}:{node.port}",
        node.board,
        node.release,
        node.fault or "-",
        node.state,
        str(node.pid or "-"),
        uptime,
    )


@virtual.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", metavar="[-- CMD...]", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, command: tuple[str, ...]) -> None:
    """Log in to a virtual Pi, or run a command there.

    \b
    bramble virtual ssh vpi-1
    bramble virtual ssh vpi-1 -- sudo systemctl stop llama-server
    """
    with _errors_reported():
        node = lifecycle.running(name)
    argv = ssh_argv(node, *command)
    os.execvp(argv[0], argv)


@virtual.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Stop all of them.")
def down(names: tuple[str, ...], everything: bool) -> None:
    """Stop virtual Pis and remove their files.

    \b
    bramble virtual down vpi-1
    bramble virtual down --all
    """
    if bool(names) == everything:
        raise click.UsageError("name the virtual Pis to stop, or give --all")
    with _errors_reported():
        ended = lifecycle.down(None if everything else names)
    click.echo(f"stopped: {', '.join(ended)}" if ended else "There was nothing to stop.")
