"""What upgrade and rollbacks have besides a deploy: another try, the predecessor, and its pin."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra.api import Host
from pyinfra.context import host

from bramble import registry
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Held, Lock, ReleasePin
from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
from bramble.plan import Inputs, Outputs
from bramble.prepared import Prepared
from bramble.project import folder
from bramble.pyinfra.run import PlannedNode, execute
from bramble.pyinfra.session import Work, in_words, on_host, this_run
from bramble.settings import Section
from bramble.snapshot import Snapshot


@in_words
def try_again(node: PlannedNode) -> None:
    """Forget that this host rejected the planned release or model, with `--data again=yes`."""
    if host.data.get("again"):
        for role in registry.roles():
            if role.again:
                execute(node, role.name, "again")


def predecessor(
    settings: Mapping[str, Section], inputs: Inputs, snapshot: Snapshot
) -> Prepared | str:
    """Pin the host to the release that ran there before."""
    return _back(EngineOutputs, EngineOutputs, settings, inputs, snapshot)


def model_before(
    settings: Mapping[str, Section], inputs: Inputs, snapshot: Snapshot
) -> Prepared | str:
    """Pin the host to the model that passed the gate there before the one that is good now."""
    return _back(ModelOutputs, ServingOutputs, settings, inputs, snapshot)


def _back(
    kind: type[Outputs],
    proved_by: type[Outputs],
    settings: Mapping[str, Section],
    inputs: Inputs,
    snapshot: Snapshot,
) -> Prepared | str:
    """Roll back the role that gives this kind, where the host has the role that proves it."""
    role, proves = registry.giving(kind), registry.giving(proved_by).name
    if proves not in settings or role.back is None:
        return f"this host does not get the role {proves}, so there is nothing to go back to"
    return role.back(settings[role.name], inputs, snapshot)


@in_words
def pin(node: PlannedNode) -> None:
    """Pin the host to the release of this plan."""
    if node.plan is not None:
        engine = node.plan.outputs.need(EngineOutputs)
        pinned = ReleasePin(release=engine.release, build_info=engine.build_info)
        keep(name="Pin the release", pinned=pinned)


@in_words
def hold(node: PlannedNode) -> None:
    """Pin the host to the model of this plan."""
    if node.plan is not None:
        model = node.plan.outputs.need(ModelOutputs)
        held = Held(name=model.name, sha256=model.sha256, instead_of=model.of_inventory)
        keep(name="Stay at the model", pinned=held)


@on_host
def keep(pinned: ReleasePin | Held) -> str | Work:
    """Write this host's pin to engine.lock, unless it is there."""
    lock = engine_lock.read(folder())
    if _with(lock, host.name, pinned) == lock:
        return "engine.lock has it"
    return lambda host: _keep(host, pinned)


def _keep(host: Host, pinned: ReleasePin | Held) -> bool:
    """Add it to the lock as it is now."""
    engine_lock.write(folder(), _with(engine_lock.read(folder()), host.name, pinned))
    release, model = (
        (pinned.release, None) if isinstance(pinned, ReleasePin) else (None, pinned.name)
    )
    this_run().report.write("held", host=host.name, release=release, model=model)
    this_run().report.write(
        "step",
        host=host.name,
        step="Pin the release" if isinstance(pinned, ReleasePin) else "Stay at the model",
        why=f"engine.lock: {pinned.release}" if isinstance(pinned, ReleasePin) else pinned.name,
        state="done",
        problem=None,
    )
    return True


def _with(lock: Lock, name: str, pinned: ReleasePin | Held) -> Lock:
    """Return the lock with this pin; a host at the inventory's own model needs none."""
    if isinstance(pinned, ReleasePin):
        return lock.with_pin(name, pinned)
    return lock.with_model(name, None if pinned.sha256 == pinned.instead_of else pinned)
