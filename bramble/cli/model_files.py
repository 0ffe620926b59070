"""The model files on hosts, printed for people or as JSON."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import click

from bramble.cli import driver
from bramble.sanitize import sanitize


def show(hosts: tuple[str, ...], as_json: bool, *, verify: bool) -> NoReturn:
    """Ask the hosts for their models, print them, and end the command."""
    show_line = driver.show_line if verify and not as_json else driver.be_quiet
    options = ("-y", "--data", "verify=yes") if verify else ("-y",)
    outcome = driver.run("models", hosts, *options, show=show_line)
    found = {entry["host"]: entry for entry in outcome.by_host("models")}
    failed = {
        name: outcome.failed.get(name) or outcome.cut_off or f"see {outcome.log}"
        for name in outcome.hosts
        if name not in found
    }
    rows = [
        {"host": name, "models": found[name]["models"], "free_bytes": found[name]["free_bytes"]}
        for name in found
    ]
    if as_json:
        click.echo(json.dumps({"hosts": rows, "failed": failed}, indent=2))
    for row in rows if not as_json else []:
        _print(row)
    for name, why in failed.items() if not as_json else []:
        click.echo(f"{name}: {why}", err=True)
    unwell = [m for row in rows for m in row["models"] if m["state"] and m["damaged"] is not False]
    bad = failed or outcome.code or unwell
    raise click.exceptions.Exit(1 if bad else 0)


def _print(row: dict[str, Any]) -> None:
    """Print one host's files, a line each, and what to do about a damaged one."""
    click.echo(f"{row['host']}: {row['free_bytes'] / 1e9:.2f} GB free")
    if not row["models"]:
        click.echo(f"  no models; `bramble up {row['host']}` fetches the planned one")
    for model in row["models"]:
        sha256 = f"sha256 {model['sha256'][:12]}, " if model["sha256"] else ""
        state = f"{model['state']}, " if model["state"] else ""
        size = model["size_bytes"] / 1e9
        path = sanitize(model["path"])
        click.echo(f"  {path}  {size:.2f} GB, {sha256}{state}{model['what']}")
        if model["damaged"]:
            click.echo(
                f"    to do: `bramble up {row['host']}` fetches the planned model again and restarts "
                f"the service; `bramble model prune {row['host']}` removes another one. Then check the "
                "disk."
            )
