"""cloud-init, which runs at each boot: what it makes of the name that a node was given here.

With `manage_etc_hosts` it rewrites /etc/hosts at every boot, for the name that its metadata has, so
that another one does not resolve any more. The name itself it leaves, once somebody else has set it.
What it does once for an instance (users, keys, sshd, time zone) it does again where its instance-id is
another one, as on a card that was copied.
"""

from __future__ import annotations

import re

from bramble import strict_json
from bramble.plan import FactsNeeded
from bramble.snapshot import FileState, Snapshot, Unknown

UNIT = "cloud-init.service"
OFF = "/etc/cloud/cloud-init.disabled"
OVERRIDE = "/etc/cloud/cloud.cfg.d/99-hosts.cfg"
INSTANCE = "/run/cloud-init/instance-data.json"
# Of several the last counts: the system's own files, then what user-data came to.
SETTINGS = (
    "sh -c 'grep -Ehs ^manage_etc_hosts: /etc/cloud/cloud.cfg /etc/cloud/cloud.cfg.d/*.cfg "
    "/var/lib/cloud/instance/cloud-config.txt'"
)
FACTS_NEEDED = FactsNeeded(files=(OFF, INSTANCE), units=(UNIT,), commands=(SETTINGS,))


def runs(snapshot: Snapshot) -> bool | Unknown:
    """Tell whether cloud-init runs at boot."""
    unit, off = snapshot.unit(UNIT), snapshot.file(OFF)
    if isinstance(unit, Unknown):
        return unit
    if isinstance(off, Unknown):
        return off
    return unit.load == "loaded" and unit.enabled == "enabled" and off is None


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
