"""What upgrade and rollback have besides a deploy: another try, the predecessor, and its pin."""

from __future__ import annotations

from typing import Any

from pyinfra.api import FunctionCommand, Host, State, operation
from pyinfra.context import host

from bramble import catalogue, engine_lock
from bramble.engine_lock import Pin
from bramble.inventory import folder
from bramble.ops.run import Commands, Node, bring, this_run
from bramble.settings import Section
from bramble.snapshot import Snapshot


def try_again(node: Node) -> None:
    """With `--data again=yes`: forget that this host rejected the release or the model of its plan."""
    if host.data.get("again"):
        bring(node, "engine", "again")
        bring(node, "serving", "again")


def predecessor(settings: dict[str, Section], snapshot: Snapshot) -> dict[str, Section] | str:
    """The host's settings with its engine pinned to the release that ran there before."""
    if "engine" not in settings:
        return "this host does not get the role engine, so there is nothing to go back to"
    engine: Any = next(role for role in catalogue.roles() if role.name == "engine")
    found: Section | str = engine.plan.back(settings["engine"], snapshot)
    return found if isinstance(found, str) else settings | {"engine": found}


def pin(node: Node) -> None:
    """Have every later deploy leave the host at the release of this plan."""
    if node.plan is not None:
        given = node.plan.roles["engine"].provides
        pinned = Pin(release=given["engine.release"], build_info=given["engine.build_info"])
        keep(name="Pin the release", pinned=pinned)


@operation()
def keep(pinned: Pin) -> Commands:
    """Write a pin to engine.lock, unless it is there."""
    if engine_lock.read(folder()).hosts.get(host.name) == pinned:
        host.noop("engine.lock has it")
        return
    yield FunctionCommand(_keep, (pinned,), {})


def _keep(state: State, host: Host, pinned: Pin) -> None:
    """Add the pin to the lock as it is now."""
    lock = engine_lock.read(folder())
    engine_lock.write(folder(), lock.with_pin(host.name, pinned))
    this_run().report.write(
        "step",
        host=host.name,
        step="Pin the release",
        why=f"engine.lock: {pinned.release}",
        state="done",
        problem=None,
    )
