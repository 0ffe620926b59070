"""Where a rollback goes: the release that ran on a node before the current one."""

from __future__ import annotations

from bramble.llama.lock import ReleasePin
from bramble.llama.releases import linked, manifest_path, note
from bramble.plan import Inputs
from bramble.prepared import Prepared
from bramble.roles.engine.settings import Settings
from bramble.roles.engine.whole import HOME
from bramble.snapshot import Snapshot


def back(settings: Settings, inputs: Inputs, snapshot: Snapshot) -> Prepared | str:
    """Pin the host to the node's predecessor, or say why there is nothing to go back to."""
    release = linked(snapshot, HOME.previous)
    if not release:
        return "no release ran here before the current one, so there is nothing to go back to"
    reported = note(snapshot, manifest_path(HOME.release(release)))
    if "build_info" not in reported:
        return (
            f"release {release}, which ran here before, is not there any more; nothing was changed. "
            "`bramble upgrade --to COMMIT` installs an older commit"
        )
    pin = ReleasePin(release=release, build_info=str(reported["build_info"]))
    return inputs.prepared.with_pin(inputs.host, pin)
