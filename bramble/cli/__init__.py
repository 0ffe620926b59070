"""The `bramble` command."""

import os
from importlib import import_module
from typing import Any

import click

import bramble
from bramble import sudo_password
from bramble.cli import detailed

_COMMANDS = {
    "ask": "ask:ask",
    "audit": "audit:audit",
    "bench": "bench:bench",
    "checks": "fleet:checks",
    "completion": "completion:completion",
    "cluster": "cluster:cluster",
    "config": "inventory:config",
    "connect": "connect:connect",
    "docs": "pages:docs",
    "doctor": "doctor:doctor",
    "engine": "engine:engine",
    "enroll": "enroll:enroll",
    "fit": "fit:fit",
    "flash-config": "flash:flash_config",
    "history": "history:history",
    "init": "init:init",
    "key": "key:key",
    "logs": "logs:logs",
    "man": "man:man",
    "model": "model:model",
    "monitoring": "monitoring:monitoring",
    "plan": "plans:plan",
    "replace": "replace:replace",
    "report": "share:report",
    "restart": "restart:restart",
    "revert": "fleet:revert",
    "role": "role:role",
    "rollback": "rollback:rollback",
    "run": "adhoc:run",
    "schema": "inventory:schema",
    "status": "status:status",
    "tls": "tls:tls",
    "trust": "trust:trust",
    "try": "trial:trial",
    "up": "fleet:up",
    "upgrade": "upgrade:upgrade",
    "usage": "usage:usage",
    "verify": "verify:verify",
    "virtual": "virtual:virtual",
}
"""Where each command is: its module here, and its name there."""


WORDS = "bramble.words"
"""Where a context keeps the command line."""


class _Lazy(click.Group):
    """A group that imports a command when it is named: together they take a quarter of a second."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = tuple(args)
        with detailed.told_apart(ctx.meta[WORDS]):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with detailed.told_apart(ctx.meta[WORDS]):
            return super().invoke(ctx)

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
