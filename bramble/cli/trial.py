"""`bramble try`: a whole deploy on a virtual Pi, from nothing to an answer."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bramble import project
from bramble.cli import ask, fleet, inventory

HOST = "vpi-1"
QUESTION = "What is 2+2?"
PLACE = "bramble-try"


@click.command("try")
@click.pass_context
def trial(context: click.Context) -> None:
    """Boot a virtual Pi, provision it with the real deploy, ask its model a question.

    It uses the inventory of this folder where that names vpi-1, else a new project in ./bramble-try.
    The first run compiles llama.cpp, which takes about ten minutes on two cores; the next one takes
    one or two, as the compiler's results are cached.

    \b
    bramble try
    """
    from bramble.cli.virtual import virtual

    go = "" if _is_named() else _use_own()
    context.invoke(virtual.commands["up"], names=(HOST,))
    click.echo(f"Provisioning {HOST} with deploys/node.py.", err=True)
    try:
        context.invoke(fleet.up, hosts=(HOST,), yes=True)
    except click.exceptions.Exit as ended:
        if ended.exit_code:
            raise
    click.echo(f"\n{QUESTION}")
    context.invoke(ask.ask, question=QUESTION, host=HOST)
    click.echo(
        f"\nThe node keeps running: {go}bramble ask --host {HOST} '...', bramble verify, "
        f"bramble virtual ssh {HOST}; bramble virtual down {HOST} removes it.",
        err=True,
    )


def _is_named() -> bool:
    """Return whether the inventory here has the virtual Pi."""
    return (
        project.folder() / project.FLEET
    ).is_file() and HOST in inventory.loaded_inventory().hosts


def _use_own() -> str:
    """Use a project of virtual Pis, creating it where it is missing; return the command to enter it."""
    place = Path(PLACE).absolute()
    if not (place / project.INVENTORY / project.FLEET).is_file():
        from bramble import starter
        from bramble.registry import sections

        inventory.write_files(place, starter.project() | starter.example(sections(), {}))
        click.echo(f"Made the project {place}.", err=True)
    os.environ[project.VARIABLE] = str(place / project.INVENTORY)
    return f"cd {place}; "
