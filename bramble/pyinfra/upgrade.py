"""What upgrade and rollbacks have besides a deploy: another try, the predecessor, and its pin."""

from __future__ import annotations

from typing import Any

from pyinfra.api import Host
from pyinfra.context import host

from bramble import registry
from bramble.inventory import folder
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Held, Lock, Pin
from bramble.llama.releases import note
from bramble.pyinfra.run import Node, bring
from bramble.pyinfra.session import Work, in_words, on_host, this_run
from bramble.settings import Section
from bramble.snapshot import Snapshot


@in_words
def try_again(node: Node) -> None:
    """With `--data again=yes`: forget that this host rejected the release or the model of its plan."""
    if host.data.get("again"):
        bring(node, "engine", "again")
        bring(node, "serving", "again")


def predecessor(settings: dict[str, Section], snapshot: Snapshot) -> dict[str, Section] | str:
    """The host's settings with its engine pinned to the release that ran there before."""
    if "engine" not in settings:
        return "this host does not get the role engine, so there is nothing to go back to"
    engine: Any = next(role for role in registry.roles() if role.name == "engine")
    found: Section | str = engine.plan.back(settings["engine"], snapshot)
    return found if isinstance(found, str) else settings | {"engine": found}


def model_before(settings: dict[str, Section], snapshot: Snapshot) -> dict[str, Section] | str:
    """The host's settings with the model that passed the gate there before the one that is good now."""
    if "serving" not in settings:
        return "this host does not get the role serving, so there is nothing to go back to"
    roles: dict[str, Any] = {role.name: role.plan for role in registry.roles()}
    good = note(snapshot, roles["engine"].GOOD)
    found: Section | str = roles["model"].back(settings["model"], good, snapshot)
    return found if isinstance(found, str) else settings | {"model": found}


@in_words
def pin(node: Node) -> None:
    """Have every later deploy leave the host at the release of this plan."""
    if node.plan is not None:
        given = node.plan.roles["engine"].provides
        pinned = Pin(release=given["engine.release"], build_info=given["engine.build_info"])
        keep(name="Pin the release", pinned=pinned)


@in_words
def hold(node: Node) -> None:
    """Have every later deploy leave the host at the model of this plan."""
    if node.plan is not None:
        given = node.plan.roles["model"].provides
        held = Held(
            name=given["model.name"],
            sha256=given["model.sha256"],
            instead_of=given["model.of_inventory"],
        )
        keep(name="Stay at the model", pinned=held)


@on_host
def keep(pinned: Pin | Held) -> str | Work:
    """Write to engine.lock what this host stays at, unless it is there."""
    lock = engine_lock.read(folder())
    if _with(lock, host.name, pinned) == lock:
        return "engine.lock has it"
    return lambda host: _keep(host, pinned)


def _keep(host: Host, pinned: Pin | Held) -> bool:
    """Add it to the lock as it is now."""
    engine_lock.write(folder(), _with(engine_lock.read(folder()), host.name, pinned))
    this_run().report.write(
        "step",
        host=host.name,
        step="Pin the release" if isinstance(pinned, Pin) else "Stay at the model",
        why=f"engine.lock: {pinned.release}" if isinstance(pinned, Pin) else pinned.name,
        state="done",
        problem=None,
    )
    return True


def _with(lock: Lock, name: str, pinned: Pin | Held) -> Lock:
    """The lock by which this host stays at a release or a model; the inventory's own needs no line."""
    if isinstance(pinned, Pin):
        return lock.with_pin(name, pinned)
    return lock.with_model(name, None if pinned.sha256 == pinned.instead_of else pinned)
