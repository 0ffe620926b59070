"""The `bramble` command."""

import os
from importlib import import_module

import click

import bramble
from bramble import sudo_password

_COMMANDS = {
    "ask": "ask:ask",
    "bench": "bench:bench",
    "checks": "fleet:checks",
    "completion": "completion:completion",
    "config": "inventory:config",
    "connect": "connect:connect",
    "docs": "pages:docs",
    "doctor": "doctor:doctor",
    "engine": "engine:engine",
    "fit": "fit:fit",
    "flash-config": "flash:flash_config",
    "init": "inventory:init",
    "key": "key:key",
    "logs": "logs:logs",
    "model": "model:model",
    "monitoring": "monitoring:monitoring",
    "plan": "fleet:plan",
    "revert": "fleet:revert",
    "role": "role:role",
    "rollback": "upgrade:rollback",
    "schema": "inventory:schema",
    "tls": "tls:tls",
    "trust": "trust:trust",
    "try": "trial:trial",
    "up": "fleet:up",
    "upgrade": "upgrade:upgrade",
    "verify": "fleet:verify",
    "virtual": "virtual:virtual",
}
"""Where each command is: its module here, and its name there."""


class _Lazy(click.Group):
    """A group that imports a command when it is named: together they take a quarter of a second."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found: click.Command = getattr(import_module(f"bramble.cli.{module}"), name)
        return found


# Their names are what a name that is close to one is suggested from.
_NAMES = dict.fromkeys(_COMMANDS, click.Command(None))


@click.group(cls=_Lazy, commands=_NAMES, context_settings={"help_option_names": ["-h", "--help"]})
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
