"""The `bramble` command."""

import os

import click

import bramble
from bramble import sudo_password


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bramble.__version__, prog_name="bramble")
@click.pass_context
def main(context: click.Context) -> None:
    """Provision Raspberry Pis as llama.cpp inference nodes, and keep them that way."""
    # https://no-color.org: any value that is not empty.
    if os.environ.get("NO_COLOR"):
        context.color = False
    try:
        sudo_password.take()
        sudo_password.command()
    except sudo_password.PasswordError as error:
        raise click.UsageError(str(error)) from error


def _add_commands() -> None:
    from bramble.cli import (
        ask,
        bench,
        engine,
        fit,
        fleet,
        inventory,
        model,
        pages,
        pull,
        role,
        trial,
        trust,
        upgrade,
        virtual,
    )

    own = (
        trial.trial,
        virtual.virtual,
        ask.ask,
        trust.trust,
        engine.engine,
        model.model,
        fit.fit,
        bench.bench,
        role.role,
        pages.docs,
    )
    model.model.add_command(pull.pull)
    for command in (*own, *inventory.commands, *fleet.commands, *upgrade.commands):
        main.add_command(command)


_add_commands()
