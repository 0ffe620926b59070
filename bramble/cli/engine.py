"""`bramble engine`: releases of llama.cpp that this computer builds and stores for nodes."""

from __future__ import annotations

import itertools
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from bramble import computer
from bramble.cli.inventory import tell_pins
from bramble.cli.options import AS_JSON
from bramble.cli.race import race
from bramble.cli.selection import hosts as its_hosts
from bramble.sanitize import sanitize
from bramble.system.debian import BOOKWORM, RELEASES

if TYPE_CHECKING:
    from bramble.inventory.selection import Chosen
    from bramble.llama.store import StoredRelease
    from bramble.outputs import Buildable


@contextmanager
def _errors_reported() -> Iterator[None]:
    """Report errors as one sentence, with exit code 1."""
    from bramble.llama.builder import BuilderError
    from bramble.llama.store import StoreError

    try:
        yield
    except (BuilderError, StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error


@click.group()
def engine() -> None:
    """Build llama.cpp once on this computer for many nodes, and store the releases."""


@engine.command()
@its_hosts()
@click.option(
    "--soc", help="Processor to build for: cortex-a72, cortex-a76, arm64-generic, x86-64."
)
@click.option(
    "--codename",
    type=click.Choice(tuple(RELEASES)),
    default=BOOKWORM.codename,
    show_default=True,
    help="Release of Debian that the nodes have.",
)
@AS_JSON
def build(hosts: Chosen, soc: str | None, codename: str, as_json: bool) -> None:
    """Build what HOSTs (all by default) would install on a processor, unless the store has it.

    The default processors are cortex-a72 and cortex-a76. An Arm host's releases can be built here if its
    engine.recipe is cross; x86-64 means this computer's own instructions.

    \b
    bramble engine build
    bramble engine build pi4 --soc cortex-a72 --codename trixie
    """
    from bramble.cli.inventory import refuse
    from bramble.llama import builder, store

    with _errors_reported():
        made: list[StoredRelease] = []
        refused = []
        for plan, architecture in _wanted(hosts.names, [soc] if soc else _known(), [codename]):
            if plan.refusal:
                refused.append(f"{plan.soc}: {plan.refusal}")
                continue
            found = store.find(plan.release)
            if found is None:
                query = plan.build()
                click.echo(
                    f"building {query['manifest']['release']} for {query['manifest']['soc']}",
                    err=True,
                )
                sources = {upload.remote: upload.local for upload in plan.uploads}
                found = builder.build(
                    query, architecture, sources, lambda line: click.echo(line, err=True)
                )
            made.append(found)
    if refused and not made:
        refuse(refused[0])
    for problem in refused:
        click.echo(f"not built for {problem}", err=True)
    _print(made, as_json)


@engine.command("list")
@AS_JSON
def list_releases(as_json: bool) -> None:
    """List the releases in the store, with the origin of each.

    \b
    bramble engine list
    """
    from bramble.llama import store
    from bramble.outputs import EngineOutputs

    with _errors_reported():
        found = store.entries()
    tell_pins(EngineOutputs, as_json)
    _print(found, as_json)


@engine.command()
@click.argument("releases", nargs=-1, metavar="[RELEASE]...")
@AS_JSON
def prune(releases: tuple[str, ...], as_json: bool) -> None:
    """Remove RELEASEs from the store; by default those that no host of the inventory would install.

    \b
    bramble engine prune
    bramble engine prune 0123456789ab
    """
    from bramble.llama import lock as engine_lock
    from bramble.llama import store
    from bramble.project import folder

    with _errors_reported():
        known = {entry.release for entry in store.entries()}
        if releases:
            gone = set(releases)
        else:
            keys = [
                *_known(),
                "arm64-generic",
                *(["x86-64"] if computer.is_linux() and platform.machine() == "x86_64" else []),
            ]
            wanted = [
                _like(plan.build()["manifest"])
                for plan, _ in _wanted((), keys, tuple(RELEASES), also_native=True)
            ]
            gone = {e.release for e in store.entries() if _like(e.manifest) not in wanted}
            gone -= {pin.release for pin in engine_lock.read(folder()).hosts.values()}
        for name in sorted(gone - known):
            raise click.ClickException(f"the store has no release {name}")
        for name in sorted(gone):
            store.remove(name)
    if as_json:
        click.echo(json.dumps({"removed": sorted(gone)}, indent=2))
    else:
        click.echo(
            f"removed: {', '.join(sorted(gone))}" if gone else "There was nothing to remove."
        )


def _like(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a release is made of, whatever the processor of the node that built it."""
    from bramble.llama.processor import X86_OPTIONS

    names, said = set(X86_OPTIONS), _part(manifest, "options")
    options = {key: value for key, value in said.items() if key not in names}
    same = {name: manifest.get(name) for name in ("source", "codename")}
    return {**same, "options": options}


def _known() -> list[str]:
    """Return the Arm cores that are known by name."""
    from bramble.llama.processor import ARMS

    return list(ARMS)


def _wanted(
    hosts: Sequence[str],
    keys: Sequence[str],
    codenames: Sequence[str],
    *,
    also_native: bool = False,
) -> Iterator[tuple[Buildable, str]]:
    """Yield each release that these hosts would install on these systems, if it can be built here.

    `also_native` includes those that nodes build for themselves and others like them.
    """
    from bramble.cli.inventory import loaded_inventory, refuse, tell_folder
    from bramble.llama.builder import board_for
    from bramble.llama.processor import ARMS
    from bramble.outputs import EngineOutputs
    from bramble.plan import Inputs
    from bramble.registry import giving

    engine = giving(EngineOutputs)
    inventory = loaded_inventory()
    tell_folder()
    chosen = [inventory.hosts[name] for name in hosts or inventory.hosts]
    with_engine: list[tuple[Any, Inputs]] = [
        # A pin names an older release, without what is needed to build it.
        (
            host.settings[engine.name],
            Inputs(host.name, prepared=host.prepared.with_pin(host.name, None)),
        )
        for host in chosen
        if engine.name in host.settings
    ]
    seen = set()
    for key, codename in itertools.product(keys, codenames):
        part = ARMS[key].part if key in ARMS else None
        if part is None and key not in ("arm64-generic", "x86-64"):
            refuse(f"no processor '{key}'; known: {', '.join([*ARMS, 'arm64-generic', 'x86-64'])}")
        board = board_for(key, part, os.cpu_count() or 1, computer.memory_mib(), codename)
        for settings, inputs in with_engine:
            native = board.architecture == "arm64" and settings.recipe != "cross"
            if native and not also_native:
                continue
            plan: Buildable = engine.plan(settings, board, inputs)
            if plan.release not in seen:
                seen.add(plan.release)
                yield plan, board.architecture
    if hosts and not seen:
        refuse("engine.recipe is native there, so nodes compile for themselves; set it to cross")


def _print(found: Sequence[StoredRelease], as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "release": entry.release,
                "path": str(entry.path),
                "sha256": entry.sha256,
                "size": entry.size,
                "manifest": dict(entry.manifest),
            }
            for entry in found
        ]
        click.echo(json.dumps({"releases": rows}, indent=2))
        return
    for entry in found:
        click.echo(sanitize(_described(entry), "\n"))
    if not found:
        click.echo("The store is empty; `bramble engine build` fills it.")


def _described(entry: StoredRelease) -> str:
    """Return a release with its origin; what its builder, perhaps a node, did not say is a "?"."""
    said = {
        name: str(entry.manifest.get(name, "?"))
        for name in ("soc", "codename", "variant", "build_info", "compiler", "builder")
    }
    compiled = _part(entry.manifest, "compiled_in")
    return (
        f"{entry.release}  {said['soc']}  {said['codename']}  {said['variant']}  "
        f"{said['build_info']}  {entry.size / 2**20:.1f} MiB  {entry.manifest['built_at']}\n"
        f"    {compiled.get('cpu_flags', '?')} with {', '.join(_words(compiled.get('parts')))}\n"
        f"    {_shown(compiled)}\n"
        f"    {said['compiler']}, on {said['builder']}; archive {entry.sha256}"
    )


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a manifest; empty where its builder wrote another thing there."""
    part = manifest.get(name)
    return part if isinstance(part, dict) else {}


def _words(said: Any) -> list[str]:
    """Return a list's values, or a mapping's names, as text."""
    return [str(one) for one in said] if isinstance(said, list | dict) else []


def _shown(compiled_in: Mapping[str, Any]) -> str:
    """Format what the built program reported of itself, in one line."""
    info = _words(compiled_in.get("system_info"))
    kernels = compiled_in.get("kleidiai_kernels")
    reported = (
        f"system_info: {' '.join(info)}" if info else "system_info: not run where it was built"
    )
    return reported + (f"; {kernels} kernels of KleidiAI" if kernels else "")


engine.add_command(race)
