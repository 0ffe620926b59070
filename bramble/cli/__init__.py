"""The `bramble` command."""

import click

import bramble


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bramble.__version__, prog_name="bramble")
def main() -> None:
    """Provision Raspberry Pis as llama.cpp inference nodes, and keep them that way."""


def _add_commands() -> None:
    from bramble.cli import (
        ask,
        bench,
        engine,
        fit,
        fleet,
        inventory,
        model,
        pull,
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
    )
    model.model.add_command(pull.pull)
    for command in (*own, *inventory.commands, *fleet.commands, *upgrade.commands):
        main.add_command(command)


_add_commands()
