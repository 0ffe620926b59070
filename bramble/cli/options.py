"""Options that several commands have."""

from __future__ import annotations

import click

HOSTS = click.argument("hosts", nargs=-1, metavar="[HOST]...")
AS_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (docs/reference/json.md)."
)
COOL = click.option(
    "--cool",
    type=click.IntRange(0, 3600),
    metavar="SECONDS",
    help="How long a board may cool before each run; default: five minutes.",
)
