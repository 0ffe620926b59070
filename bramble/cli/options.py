"""Options that several commands have."""

from __future__ import annotations

import math
import sys

import click

from bramble import sudo_password
from bramble.cli import completing

_ASK = "bramble.ask_sudo_password"
_QUIET = "bramble.quiet"

HOST = click.argument("host", shell_complete=completing.hosts)
HOSTS = click.argument("hosts", nargs=-1, metavar="[HOST]...", shell_complete=completing.hosts)
AS_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (docs/reference/json.md)."
)


def _keep_quiet(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.meta[_QUIET] = value


QUIET = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_keep_quiet,
    help="Print no progress and no host that is well; only what is not, and the total.",
)


def is_quiet() -> bool:
    """Tell whether the command that runs is to say little."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


COOL = click.option(
    "--cool",
    type=click.IntRange(0, 3600),
    metavar="SECONDS",
    help="How long a board may cool before each run; default: five minutes.",
)


def _wanted(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Remember that sudo's password is to be asked for; refuse it where nobody can be asked."""
    if value and not sys.stdin.isatty():
        raise click.UsageError(
            f"{sudo_password.OPTION} needs a terminal to ask on; without one, give the password by "
            f"{sudo_password.COMMAND} or {sudo_password.VARIABLE}"
        )
    context.meta[_ASK] = value


ASK_SUDO_PASSWORD = click.option(
    sudo_password.OPTION,
    is_flag=True,
    expose_value=False,
    callback=_wanted,
    help="Ask for sudo's password on the nodes.",
)


def ask_sudo_password() -> None:
    """Ask on the terminal, once for all runs of a command, where that is wanted."""
    context = click.get_current_context(silent=True)
    if context is None or not context.meta.pop(_ASK, False):
        return
    password = click.prompt("Password of sudo on the nodes", hide_input=True, err=True)
    try:
        sudo_password.keep(password, sudo_password.OPTION)
    except sudo_password.PasswordError as error:
        raise click.UsageError(str(error)) from error


def number(
    _context: click.Context, _parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuse NaN, which passes every range check."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no number")
    return value
