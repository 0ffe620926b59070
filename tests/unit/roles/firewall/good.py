"""What a good node shows of firewall: the table that was confirmed, and the unit that loads it."""

from bramble.plan import NodePlan
from bramble.snapshot import Output, Snapshot, Unit
from bramble.system.parse import Socket
from bramble.system.process import Program
from tests.unit.looks import plain

UNIT = "bramble-firewall.service"
LIST = "nft -s list table inet bramble"
LISTED = "/etc/bramble/firewall.listed"
TRIAL = "/run/bramble/firewall/undo.nft"
FILES = ("/etc/bramble/firewall.nft", f"/etc/systemd/system/{UNIT}", LISTED, TRIAL)
TABLE = "table inet bramble {\n\tchain input {\n\t}\n}\n"
NONE = Output(1, "Error: No such file or directory\nlist table inet bramble\n")
SETTINGS = {"mode": "deny"}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    listens = {
        "programs": {"sshd": (Program(35, "/usr/sbin/sshd", "root", "/system.slice/ssh.service"),)},
        "sockets": (Socket("0.0.0.0", 22, (35,)),),
    }
    if not plan.roles["firewall"].there:
        gone = Unit("not-found", "inactive", "dead", "", False, 0, "success", None)
        nothing = dict.fromkeys(FILES)
        return Snapshot(units={UNIT: gone}, files=nothing, commands={LIST: NONE}, **listens)
    runs = Unit("loaded", "active", "exited", "enabled", False, 0, "success", None)
    return Snapshot(
        units={UNIT: runs},
        files={TRIAL: None, LISTED: plain(TABLE)},
        commands={LIST: Output(0, TABLE)},
        **listens,
    )
