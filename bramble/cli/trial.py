"""`bramble try`: the whole main job on a virtual Pi, from nothing to an answer."""

from __future__ import annotations

from pathlib import Path

import click

from bramble.cli import ask, driver, fleet

HOST = "vpi-1"
QUESTION = "What is 2+2?"


@click.command("try")
@click.pass_context
def trial(context: click.Context) -> None:
    """Boot a virtual Pi, provision it with the real deploy, ask its model a question.

    The first time compiles llama.cpp, which takes about ten minutes on two cores; what was
    compiled is kept, so the next time takes one or two.
    """
    import os

    from bramble.cli.virtual import virtual

    # The example inventory is the one that names the virtual Pis.
    os.environ["BRAMBLE_INVENTORY"] = str(driver.ROOT / "inventory")
    context.invoke(virtual.commands["up"], names=(HOST,))
    click.echo(f"Provisioning {HOST} with deploys/node.py.", err=True)
    try:
        context.invoke(fleet.up, hosts=(HOST,))
    except click.exceptions.Exit as ended:
        if ended.exit_code:
            raise
    click.echo(f"\n{QUESTION}")
    context.invoke(ask.ask, question=QUESTION, host=HOST)
    folder = driver.ROOT / "inventory"
    first = "" if Path("inventory").absolute() == folder else f"export BRAMBLE_INVENTORY={folder}; "
    click.echo(
        f"\nThe node goes on: {first}bramble ask --host {HOST} '...', bramble verify, "
        f"bramble virtual ssh {HOST}; bramble virtual down {HOST} ends it.",
        err=True,
    )
