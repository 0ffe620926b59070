"""cloud-init, which runs at each boot: what it makes of the name that a node was given here.

With `manage_etc_hosts` it rewrites /etc/hosts at every boot, for the name that its metadata has, so
that another one does not resolve any more: a drop-in of ours says no to that, which only user-data
overrides. The name itself it leaves, once somebody else has set it.
What it does once for an instance (users, keys, sshd, time zone) it does again where its instance-id is
another one, as on a card that was copied.
"""

from __future__ import annotations

import re

from bramble import strict_json
from bramble.plan import FactsNeeded, File
from bramble.render import render
from bramble.snapshot import FileState, Output, Snapshot, Unknown
from bramble.steps import Step, remove_files, write_files

# Its second stage: until 24.2, and since.
UNITS = ("cloud-init.service", "cloud-init-network.service")
OFF = "/etc/cloud/cloud-init.disabled"
OVERRIDE = "/etc/cloud/cloud.cfg.d/99-bramble.cfg"
INSTANCE = "/run/cloud-init/instance-data.json"
# Of several the last counts: the system's own files, then what user-data came to.
SETTINGS = (
    "sh -c 'grep -Ehs ^manage_etc_hosts: /etc/cloud/cloud.cfg /etc/cloud/cloud.cfg.d/*.cfg "
    "/var/lib/cloud/instance/cloud-config.txt'"
)
STATUS = "cloud-init status"
DEADLINE_S = 600
GIVE_BACK = "Let cloud-init have the name"
FACTS_NEEDED = FactsNeeded(
    files=(OFF, INSTANCE, OVERRIDE), units=UNITS, commands=(SETTINGS, STATUS)
)


def runs(snapshot: Snapshot) -> bool | Unknown:
    """Tell whether cloud-init runs at boot."""
    off = snapshot.file(OFF)
    if isinstance(off, Unknown):
        return off
    enabled = False
    for name in UNITS:
        unit = snapshot.unit(name)
        if isinstance(unit, Unknown):
            return unit
        enabled |= unit.load == "loaded" and unit.enabled == "enabled"
    return enabled and off is None


def wait(snapshot: Snapshot) -> Step:
    """Wait for it, where it is at work: it may be writing what is looked at here."""
    name, said = "Wait for cloud-init", snapshot.command(STATUS)
    running = isinstance(said, Output) and re.search(r"(?m)^status:\s*running\s*$", said.output)
    if not running:
        return Step(name, None)
    query = {"deadline_s": DEADLINE_S}
    return Step(
        name, "it runs", "wait_cloud_init", query, timeout_s=DEADLINE_S + 120, look_again=True
    )


def keep_name(hostname: str | None, snapshot: Snapshot) -> tuple[Step, Step]:
    """Have it leave the names alone where it runs and the name is planned, and only there."""
    wanted = hostname is not None and runs(snapshot) is True
    text = render("base/cloud-init.cfg.j2")
    files = (File(path=OVERRIDE, text=text),) if wanted else ()
    return (
        write_files("Have cloud-init leave the name", files, snapshot),
        give_back(snapshot) if hostname is None else Step(GIVE_BACK, None),
    )


def give_back(snapshot: Snapshot) -> Step:
    """Remove the drop-in."""
    return remove_files(GIVE_BACK, (OVERRIDE,), snapshot)


def own_name(snapshot: Snapshot) -> str | Unknown | None:
    """Return the name that cloud-init writes into /etc/hosts at each boot; None where it writes none."""
    said, seen = snapshot.command(SETTINGS), snapshot.file(INSTANCE)
    if isinstance(said, Unknown):
        return said
    values = re.findall(r"^manage_etc_hosts:\s*[\"']?(\w+)", said.output if said else "", re.M)
    if not values or values[-1].lower() in ("false", "no", "off", "0"):
        return None
    if not isinstance(seen, FileState):
        return seen or Unknown(f"cloud-init writes /etc/hosts, and there is no {INSTANCE}")
    try:
        return str(strict_json.loads(seen.text or "")["v1"]["local_hostname"])
    except (ValueError, LookupError, TypeError) as error:
        return Unknown(f"{INSTANCE} does not tell cloud-init's name for this node: {error!r}")
