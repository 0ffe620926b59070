"""The kinds of what is on a node that no role plans but that bears on it."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.audit.hands import (
    held_packages,
    owned_by_others,
    root_users,
    strange_keys,
    writable,
)
from bramble.audit.network import listeners
from bramble.audit.seen import Find
from bramble.audit.units import drop_ins, failed_units, lines
from bramble.checks import Severity


@dataclass(frozen=True)
class Kind:
    """A kind of stranger: its name, what is wanted in its place, and how it is found.

    One of severity "warn" does not make a host differ.
    """

    name: str
    want: str
    about: str
    find: Find
    severity: Severity = "stop"


KINDS = (
    Kind(
        "drop-in",
        "no drop-in that is not planned",
        "a drop-in of a unit of ours that is not planned",
        drop_ins("drop-in", ours=True),
    ),
    Kind(
        "other-drop-in",
        "no drop-in of a unit that bramble looks at",
        "one of another unit that bramble looks at, such as ssh.service",
        drop_ins("other-drop-in", ours=False),
        "warn",
    ),
    Kind(
        "listener",
        "nothing else listens on the network",
        "a TCP port that others may reach and that no role plans, sshd's apart",
        listeners,
    ),
    Kind(
        "swap-owner",
        "ours alone makes swap",
        "what else makes zram or swap, now or at the next boot",
        lambda _seen: (),
    ),
    Kind(
        "held-package",
        "none of our packages is held",
        "a package of ours that is held",
        held_packages,
    ),
    Kind(
        "failed-unit",
        "none of our units failed",
        "a unit that bramble looks at, and that failed",
        failed_units("failed-unit", ours=True),
    ),
    Kind(
        "other-failed-unit",
        "no unit failed",
        "any other unit that failed",
        failed_units("other-failed-unit", ours=False),
        "warn",
    ),
    Kind(
        "cron",
        "no line of cron touches what is ours",
        "a line of cron, or of a script that it runs, that names a path or a unit of ours",
        lines("cron"),
    ),
    Kind(
        "timer",
        "no timer touches what is ours",
        "a timer whose command names a path or a unit of ours",
        lines("timer"),
    ),
    Kind("root-user", "root alone has the number 0", "another user with the number 0", root_users),
    Kind(
        "login-key",
        "the keys of the inventory alone",
        "a key of the account that bramble logs in to which base.authorized_keys does not name",
        strange_keys("login-key", of_login=True),
        "warn",
    ),
    Kind(
        "other-account-key",
        "no key opens another account",
        "any key of another account, root's too",
        strange_keys("other-account-key", of_login=False),
    ),
    Kind(
        "writable",
        "root alone may write what is ours",
        "a file or folder of ours, or that bramble looks at, which its group or everybody may write",
        writable,
    ),
    Kind(
        "owned-by-other",
        "our folders are root's",
        "a folder of ours that is another's",
        owned_by_others,
    ),
)
"""Every kind; the owners of swap are told by the role memory."""
