"""`bramble monitoring`: what a Prometheus server and a Grafana need of the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bramble.cli.selection import hosts as its_hosts

if TYPE_CHECKING:
    from bramble.inventory.selection import Chosen


@click.group()
def monitoring() -> None:
    """Make what a Prometheus server and a Grafana need of the fleet."""


@monitoring.command()
@its_hosts()
@click.option("--targets", "alone", is_flag=True, help="A file for file_sd_configs, without a job.")
def scrape(hosts: Chosen, alone: bool) -> None:
    """Print where Prometheus finds the figures of hosts, for its prometheus.yml.

    \b
    bramble monitoring scrape >prometheus.yml
    bramble monitoring scrape --targets >targets/bramble.yml
    """
    from bramble.cli.inventory import loaded_inventory
    from bramble.monitoring.scrape import config, targets, targets_file

    inventory = loaded_inventory()
    chosen = [inventory.hosts[name] for name in hosts.names or inventory.hosts]
    found, others = targets(chosen)
    for why in others:
        click.echo(why, err=True)
    if not found:
        raise click.exceptions.Exit(1)
    click.echo(targets_file(found) if alone else config(found), nl=False)


@monitoring.command()
def rules() -> None:
    """Print the alert rules, for rule_files of prometheus.yml.

    \b
    bramble monitoring rules >bramble-rules.yml
    """
    import bramble.monitoring

    folder = Path(bramble.monitoring.__file__).parent
    click.echo((folder / "rules.yml").read_text(encoding="utf-8"), nl=False)


@monitoring.command()
def dashboard() -> None:
    """Print the dashboard, for Grafana to import.

    \b
    bramble monitoring dashboard >bramble.json
    """
    from bramble.monitoring.dashboard import text

    click.echo(text(), nl=False)
