"""`bramble model`: the models that an inventory names, their pins, and the files on nodes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import completing, hub, model_files, pull
from bramble.cli.inventory import existing_folder, refuse, tell_folder, tell_pins
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, HOST, QUIET
from bramble.cli.selection import hosts as its_hosts
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.inventory.selection import Chosen
    from bramble.models.catalogue import Place
    from bramble.models.lock import Locked
    from bramble.models.locking import Outcome


@click.group("model")
def model() -> None:
    """List, lock, fetch, verify and remove models."""


def _files() -> tuple[Path, dict[str, Place], dict[str, Locked]]:
    """Return the inventory's folder, catalogue and lock, or end the command with every problem."""
    from bramble.documents.problems import InventoryError
    from bramble.models import catalogue, lock
    from bramble.project import folder

    place = folder()
    try:
        found = catalogue.places(catalogue.load(place)), lock.load(place)
    except InventoryError as error:
        refuse(str(error))
    tell_folder()
    return place, *found


@model.command("list")
@click.argument("host", required=False, metavar="[HOST]", shell_complete=completing.hosts)
@ASK_SUDO_PASSWORD
@AS_JSON
def list_models(host: str | None, as_json: bool) -> None:
    """List the models of models.yml and their locks, or the files on HOST.

    \b
    bramble model list
    bramble model list pi5-a
    """
    from bramble.outputs import ModelOutputs

    if host is not None:
        model_files.show((host,), as_json, verify=False)
    _, known, locked = _files()
    rows = [_row(name, known.get(name), locked.get(name)) for name in sorted({*known, *locked})]
    tell_pins(ModelOutputs, as_json)
    if as_json:
        click.echo(json.dumps({"models": rows}, indent=2))
        return
    width = max(len(row["use"]) for row in rows) if rows else 0
    for row in rows:
        state = "not locked"
        if row["sha256"]:
            gb = row["size_bytes"] / 1e9
            state = f"{gb:.2f} GB, sha256 {row['sha256'][:12]}, commit {row['revision'][:12]}"
        if not row["in_catalogue"]:
            state += " (not in models.yml)"
        click.echo(f"{row['use']:{width}}  {row['repo']}  {state}")


@model.command("verify")
@its_hosts(required=True)
@ASK_SUDO_PASSWORD
@AS_JSON
def verify(hosts: Chosen, as_json: bool) -> None:
    """Read every model of HOSTs back from the disk, and compare it with its sha256.

    This runs at the node's lowest priority, and takes as long as the disk needs. A damaged file is not
    trusted again: the next `bramble up` fetches the planned one again and restarts the service. Exit
    code 0 when all are intact, else 1.

    \b
    bramble model verify pi5-a
    bramble model verify --group pi4
    """
    model_files.show(hosts.names, as_json, verify=True)


def _row(name: str, place: Place | None, locked: Locked | None) -> dict[str, Any]:
    found = locked or place
    assert found is not None
    return {
        "use": name,
        "repo": found.repo,
        "file": found.file,
        "in_catalogue": place is not None,
        "revision": locked.revision if locked else None,
        "size_bytes": locked.size_bytes if locked else None,
        "sha256": locked.sha256 if locked else None,
    }


@model.command("lock")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--update", is_flag=True, help="Accept files that changed upstream.")
@hub.asks
@AS_JSON
def lock(
    names: tuple[str, ...],
    update: bool,
    endpoint: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Pin NAMEs (MODEL or MODEL:QUANT of models.yml) in models.lock.

    This asks the hub for each file's commit, size and sha256, and reads its header, so that deploys
    know whether it fits before they fetch it. The default NAMEs are those of the inventory's `model.use`
    and `model.also`, and of the lock. Locked entries stay as they are; a file that changed upstream is
    reported, and accepted with --update only.

    Exit code 0 when all is locked as it is upstream, 1 when something differs or failed.

    \b
    bramble model lock qwen2.5-1.5b-instruct:q4_k_m
    bramble model lock --update qwen2.5-1.5b-instruct:q4_k_m
    """
    from bramble.models import lock as lockfile
    from bramble.models.hub import ENDPOINT, Hub, HubError, HubUnreachable
    from bramble.models.locking import settle
    from bramble.models.measure import measured

    existing_folder()
    place, known, locked = _files()
    try:
        asked = Hub(endpoint or ENDPOINT, hub.token_of(token_file))
    except HubError as error:
        refuse(str(error))
    outcomes = []
    for name in _chosen(names, place, known, locked):
        try:
            outcome = settle(name, known.get(name), locked.get(name), asked, update=update)
        except HubUnreachable as error:
            raise click.ClickException(sanitize(f"{error}; {lockfile.FILE} is as it was")) from None
        if outcome.entry and outcome.state != "failed":
            entry, problem = measured(outcome.entry, asked)
            says = f"{outcome.says}; {problem}" if problem else outcome.says
            outcome = replace(outcome, entry=entry, says=says)
        outcomes.append(outcome)
        if not as_json:
            click.echo(sanitize(f"{outcome.name}: {outcome.state}: {outcome.says}"))
    locked |= {outcome.name: outcome.entry for outcome in outcomes if outcome.entry}
    changed = lockfile.write(place, locked) if locked else False
    _tell(outcomes, place / lockfile.FILE, changed, as_json)
    bad = any(outcome.state in ("differs", "failed") for outcome in outcomes)
    raise click.exceptions.Exit(1 if bad else 0)


def _chosen(
    names: tuple[str, ...], place: Path, known: dict[str, Place], locked: dict[str, Locked]
) -> tuple[str, ...]:
    """Return the command's names: the given ones, or all that are used or locked."""
    from bramble.documents.problems import InventoryError
    from bramble.inventory.files import read_files
    from bramble.models.locking import chosen

    try:
        if names:
            return chosen(names, known)
        # Not of valid settings alone: a model that is not locked yet is no valid one.
        files = read_files(place)
        several = [one for one in files.set_for("model", "also") if isinstance(one, list)]
        said = [*files.set_for("model", "use"), *(use for one in several for use in one)]
        used = [use for use in said if isinstance(use, str)]
        return tuple(dict.fromkeys([*chosen(used, known), *sorted(locked)]))
    except InventoryError as error:
        refuse(str(error))
    except LookupError as error:
        refuse(str(error.args[0]))


@model.command("prune")
@its_hosts(required=True)
@QUIET
@ASK_SUDO_PASSWORD
@AS_JSON
def prune(hosts: Chosen, as_json: bool) -> None:
    """Remove from HOSTs the models that nothing needs.

    The planned model stays, one that a process runs, the one that passed the gate last, and its
    predecessor for a rollback. What `bramble up` did not fetch is left alone.

    \b
    bramble model prune pi4-a pi5
    """
    from bramble.cli import driver, fleet

    outcome = driver.run("prune", hosts.names, "-y", show=driver.progress(as_json))
    fleet.print_outcome(outcome, as_json, "pruned", "nothing to remove", "bramble model prune")


@model.command("rollback")
@HOST
@ASK_SUDO_PASSWORD
@AS_JSON
def rollback(host: str, as_json: bool) -> None:
    """Roll HOST back to the model that served there before, and pin it there.

    That model passes the same gate. Deploys leave the host at it until the inventory names another model
    than now. A second rollback reverses the first.

    \b
    bramble model rollback pi5-a
    """
    from bramble.cli.rollback import model_rollback

    model_rollback(host, as_json)


def _tell(outcomes: list[Outcome], file: Path, changed: bool, as_json: bool) -> None:
    from bramble.documents.problems import shown

    if as_json:
        rows = [{"use": o.name, "state": o.state, "says": o.says} for o in outcomes]
        click.echo(json.dumps({"lock": str(file), "changed": changed, "models": rows}, indent=2))
    elif not outcomes:
        click.echo(
            "nothing to lock: no host sets model.use or model.also; `bramble model list` has the names"
        )
    else:
        click.echo(f"{'wrote' if changed else 'nothing to change in'} {shown(file)}")


model.add_command(pull.pull)
