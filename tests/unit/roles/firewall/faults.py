"""What spoils what firewall proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from bramble.snapshot import Output
from bramble.system.parse import Socket
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import WHY, plain, with_command, with_file, with_unit_named
from tests.unit.roles.firewall.good import LIST, LISTED, NONE, TABLE, TRIAL, UNIT
from tests.unit.spoiled import GOOD, NO_FILES, Cases, Exceptions, Node, edited

RULES = "/etc/bramble/firewall.nft"
OFF = node_plan(firewall={"mode": "off"})
FENCE = node_plan(firewall={"mode": "fence"})

FAULTS: Cases = {
    "table_is_in_force": {
        "gone": with_command(GOOD, LIST, NONE),
        "a rule more": with_command(GOOD, LIST, Output(0, f"{TABLE}x")),
        "never confirmed": with_file(GOOD, LISTED, None),
        "not at boot": with_unit_named(GOOD, UNIT, enabled="disabled"),
        "ended": with_unit_named(GOOD, UNIT, active="inactive"),
        "on trial": with_file(GOOD, TRIAL, plain("table inet bramble\n")),
        "there, where none is planned": Node(GOOD, plan=OFF),
    },
    "files_are_as_written": {
        "SSH for nobody": edited(RULES, "dport { 22 }", "dport { 2222 }"),
        "removed": with_file(GOOD, RULES, None),
        "for all to write": with_file(GOOD, RULES, plain(GOOD.file(RULES).text, 0o666)),
    },
    "ssh_is_let_in": {
        "another port": replace(GOOD, sockets=(*GOOD.sockets, Socket("::", 2222, (35,)))),
    },
}

BLIND: Cases = {
    "table_is_in_force": {
        "no answer": with_command(GOOD, LIST, WHY),
        "another error": with_command(GOOD, LIST, Output(1, WHY.why)),
        "no units": replace(GOOD, units=WHY),
        "no files": NO_FILES,
    },
    "files_are_as_written": {"no files": NO_FILES},
    "ssh_is_let_in": {
        "no sockets": replace(GOOD, sockets=WHY),
        "no programs": replace(GOOD, programs=WHY),
    },
}

SKIPPED: Exceptions = {
    "files_are_as_written": ((Node(good_look(OFF), plan=OFF), "no table of bramble's"),),
    "ssh_is_let_in": ((Node(good_look(FENCE), plan=FENCE), "drops nothing but"),),
}
