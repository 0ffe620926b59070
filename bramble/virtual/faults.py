"""The faults that a virtual Pi can be given: what its tools report, and how it was set up."""

from bramble.virtual import doubles
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.layers import Upper

SUDO_PASSWORD = "sudo-password"
"""sudo asks for a password, as on images since 2026-04-13."""

PASSWORD = "raspberry"
"""The password of user pi where sudo asks for one."""

# `openssl passwd -6 -salt virtualpi raspberry`: a node's /etc/shadow takes the hash alone.
_HASH = (
    "$6$virtualpi$1pqItYZgF1QmL2JWx50uFh.d9aQCU.g3H1so56OaVtoav1qnGOlACX2jfFmlg6Xq"
    "Ju4tWDTsIMgoZhInMp7RL0"
)
_SHADOW_GROUP = 42
"""Debian's number, the same on every system."""


def names(board: str) -> list[str]:
    """Return the faults that a board can have."""
    return sorted([*doubles.recorded_faults(board), SUDO_PASSWORD])


def check(board: str, fault: str) -> None:
    """Raise VirtualPiError for a fault that the board cannot have."""
    if fault not in names(board):
        known = ", ".join(names(board))
        raise VirtualPiError(f"fault {fault!r} is not known of a {board}: allowed are {known}")


def install(upper: Upper, board: str, fault: str | None) -> None:
    """Install the doubles of a Pi's tools, and the fault."""
    doubles.install(upper, board, fault)
    if fault == SUDO_PASSWORD:
        upper.remove("etc/sudoers.d/010_pi-nopasswd")
        shadow = with_password(upper.read("etc/shadow").decode())
        upper.write("etc/shadow", shadow.encode(), mode=0o640, group=_SHADOW_GROUP)


def with_password(shadow: str) -> str:
    """Return the text of /etc/shadow with the password of user pi in it."""
    rows = [line.split(":") for line in shadow.splitlines()]
    return "".join(
        ":".join([row[0], _HASH if row[0] == "pi" else row[1], *row[2:]]) + "\n" for row in rows
    )
