"""What spoils what storage proves of logs, what hides it from a look, and where no check applies."""

from dataclasses import replace

from bramble.roles.storage import journal, log2ram
from bramble.snapshot import Output, Snapshot
from bramble.system.parse import Mount
from tests.unit.good_node import PI5, node_plan
from tests.unit.looks import WHY, with_command, without
from tests.unit.roles.storage.logs import (
    CONFIG,
    IN_MEMORY,
    MEMORY,
    POLICY,
    SAID,
    URL,
    USAGE,
    remounted,
)
from tests.unit.spoiled import GOOD, NO_FILES, Cases, Exceptions, Node

AUTO = node_plan(storage={"log2ram": "auto"})
OFF = node_plan(storage={"log2ram": "off"})
TRIXIE = node_plan(replace(PI5, codename="trixie"))


def said(line: str, text: str, code: int = 0) -> Snapshot:
    """A good look but for what one command said."""
    return with_command(GOOD, line, Output(code, text))


def policy(old: str, new: str) -> Snapshot:
    """A good look but for apt's view of the sources."""
    return said(log2ram.POLICY, POLICY.replace(old, new))


NO_COMMANDS = replace(GOOD, commands=WHY)
NO_MOUNTS = replace(GOOD, mounts=WHY)
SMALL = replace(MEMORY, options=("rw", "size=40960k"))

FAULTS: Cases = {
    "journal_is_where_planned": {
        "on the card": without(GOOD, IN_MEMORY),
        "on the card from the next boot on": said(journal.CONFIG, f"{CONFIG}Storage=persistent\n"),
        "nothing configured": said(journal.CONFIG, "[Journal]\n#Storage=volatile\n"),
    },
    "journal_keeps_to_its_cap": {
        "too large": said(USAGE, "Archived and active journals take up 1.2G in the file system.\n"),
        "another cap in force": said(journal.SAID, SAID.replace("67108864", "506474496")),
        "another cap from the next boot on": said(journal.CONFIG, f"{CONFIG}RuntimeMaxUse=1G\n"),
        "no cap": said(journal.CONFIG, "[Journal]\nStorage=volatile\n"),
    },
    "logs_are_in_memory": {
        "on the card": remounted(GOOD),
        "another size": remounted(GOOD, SMALL),
        "something else on top": remounted(
            GOOD, MEMORY, Mount("/var/log", "ext4", "/dev/sda1", ())
        ),
        "a file system in memory that is not log2ram's": remounted(
            GOOD, replace(MEMORY, source="tmpfs")
        ),
    },
    "logs_have_room": {
        "nearly full": replace(GOOD, free_bytes={**GOOD.free_bytes, "/var/log": 25 << 20}),
        "full": replace(GOOD, free_bytes={**GOOD.free_bytes, "/var/log": 0}),
    },
    "logs_take_no_zram": {
        "zram0": remounted(GOOD, Mount("/var/log", "ext4", "/dev/zram0", ("rw",))),
    },
    "repository_gives_log2ram_only": {
        "no pin": policy("  -1 http://packages", " 500 http://packages"),
        "a weak pin": policy("  -1 http://packages", " 100 http://packages"),
        "no repository": policy(URL, "http://example.org/debian"),
        "log2ram is shut out too": policy("     log2ram -> 1.7.2 with priority 500\n", ""),
    },
}

BLIND: Cases = {
    "journal_is_where_planned": {
        "no files": NO_FILES,
        "no commands": NO_COMMANDS,
        "no configuration": with_command(GOOD, journal.CONFIG, WHY),
        "a systemd-analyze that failed": said(journal.CONFIG, WHY.why, code=1),
    },
    "journal_keeps_to_its_cap": {
        "no commands": NO_COMMANDS,
        "no configuration": with_command(GOOD, journal.CONFIG, WHY),
        "no word of journald's": with_command(GOOD, journal.SAID, WHY),
        "no usage": with_command(GOOD, USAGE, WHY),
        "a journalctl that failed": said(USAGE, WHY.why, code=1),
    },
    "logs_are_in_memory": {"no mounts": NO_MOUNTS},
    "logs_have_room": {
        "no mounts": NO_MOUNTS,
        "no free space": replace(GOOD, free_bytes=WHY),
    },
    "logs_take_no_zram": {"no mounts": NO_MOUNTS},
    "repository_gives_log2ram_only": {
        "no commands": NO_COMMANDS,
        "no policy": with_command(GOOD, log2ram.POLICY, WHY),
        "an apt-cache that failed": said(log2ram.POLICY, WHY.why, code=100),
    },
}

NOTHING = "no log would wear the card: the journal is volatile, there is no rsyslog"
WITHOUT = (
    (Node(GOOD, plan=AUTO), NOTHING),
    (Node(GOOD, plan=OFF), "storage.log2ram is off"),
)
SKIPPED: Exceptions = {
    "logs_are_in_memory": WITHOUT,
    "logs_have_room": (*WITHOUT, (remounted(GOOD), "not in log2ram's memory")),
    "logs_take_no_zram": WITHOUT,
    "repository_gives_log2ram_only": (*WITHOUT, (Node(GOOD, plan=TRIXIE), "Debian's own log2ram")),
}
