"""`bramble rollback` and `bramble model rollback`: a host back to what ran there before."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, HOST
from bramble.cli.upgrade import became


@click.command("rollback")
@HOST
@ASK_SUDO_PASSWORD
@AS_JSON
def rollback(host: str, as_json: bool) -> None:
    """Roll HOST back to the release that ran there before, and pin it there.

    That release passes the same gate. Deploys leave a pinned host at its release until
    `bramble upgrade` removes the pin. A second rollback reverses the first.

    \b
    bramble rollback pi5-a
    """
    outcome = driver.run("rollback", [host], "-y", show=driver.progress(as_json))
    row = became(host, outcome)
    _tell_rollback(outcome, row, row["release"], as_json)


def model_rollback(host: str, as_json: bool) -> NoReturn:
    """Roll a host back to the model that served there before, and end the command."""
    outcome = driver.run("model_rollback", [host], "-y", show=driver.progress(as_json))
    row = became(host, outcome)
    held = [entry["model"] for entry in outcome.of("held") if entry["host"] == host]
    row["model"] = held[0] if held and not row["why"] else ""
    del row["release"]
    _tell_rollback(outcome, row, row["model"], as_json)


def _tell_rollback(
    outcome: driver.Outcome, row: dict[str, Any], to: str, as_json: bool
) -> NoReturn:
    """Print what a host went back to, and end the command."""
    row["state"] = {"upgraded": "rolled back"}.get(row["state"], row["state"])
    if as_json:
        click.echo(json.dumps(row, indent=2))
    else:
        click.echo(f"{row['host']}: {row['state']}: {row['why'] or to}")
    if outcome.code:
        click.echo(f"The whole log: {outcome.log}", err=True)
    raise click.exceptions.Exit(1 if outcome.failed or outcome.code else 0)
