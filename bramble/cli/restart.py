"""`bramble restart`: llama-server anew, and its known answer after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bramble.cli import driver, rollout, summary
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, QUIET
from bramble.cli.selection import hosts as its_hosts

if TYPE_CHECKING:
    from bramble.inventory.selection import Chosen


@click.command("restart")
@its_hosts(required=True)
@rollout.CANARY
@rollout.SERIAL
@rollout.MAX_FAIL
@QUIET
@ASK_SUDO_PASSWORD
@AS_JSON
def restart(
    hosts: Chosen, canary: str | None, serial: int | None, max_fail: int, as_json: bool
) -> None:
    """Restart llama-server on HOSTs, and see it healthy and answering as the inventory expects.

    It restarts what runs there, planned or not, and then checks the role serving; files, release and
    model stay as they are. Requests under way are cut off.

    \b
    bramble restart pi5-a
    bramble restart pi4 --serial 1       one after the other, until one is not well
    """
    several = rollout.chosen(_serving(hosts), canary, serial)

    def run(names: Sequence[str]) -> driver.Outcome:
        return driver.run("restart", names, "-y", show=driver.progress(as_json))

    rows, outcomes = summary.in_turn(
        several, run, max_fail=max_fail, first_alone=canary is not None
    )
    words = {"changed": "restarted; {checks}", "unchanged": "not restarted; {checks}"}
    summary.end(rows, outcomes, words, again="bramble restart", as_json=as_json)


def _serving(hosts: Chosen) -> list[str]:
    """Return those of the hosts that serve, or end the command where one that is named does not."""
    from bramble.cli.inventory import loaded_inventory, refuse
    from bramble.outputs import ServingOutputs
    from bramble.registry import giving

    fleet, role = loaded_inventory().hosts, giving(ServingOutputs).name
    names = [name for name in hosts.names if role in fleet[name].settings]
    lacking = [name for name in hosts.named if name not in names]
    if lacking or not names:
        who = ", ".join(lacking) or "the hosts"
        refuse(f"{who}: without the role {role} there is nothing to restart")
    return names
