"""The system user that compilers and untried programs run as on a node, and how it comes to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.llama.recipe import BUILD_USER
from bramble.plan import File
from bramble.render import render
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step, write_files

SYSUSERS_FILE = "/etc/sysusers.d/bramble-build.conf"


def files() -> tuple[File, ...]:
    """Return the file that declares the user."""
    text = render("engine/sysusers.conf.j2", user=BUILD_USER)
    return (File(path=SYSUSERS_FILE, text=text),)


def steps(snapshot: Snapshot) -> tuple[Step, Step]:
    """Declare the user, and have it, so that nobody can log in as it."""
    written = write_files("Declare the user that builds", files(), snapshot)
    return written, _have_user(snapshot)


def _have_user(snapshot: Snapshot) -> Step:
    name = "Have the user that builds"
    user = None if isinstance(snapshot.users, Unknown) else snapshot.users.get(BUILD_USER)
    if user and not may_log_in(user):
        return Step(name, None)
    if user:
        argv = ["usermod", "--lock", "--shell", "/usr/sbin/nologin", BUILD_USER]
        why = f"{BUILD_USER} has {user['shell']}, or a password"
    else:
        argv = ["systemd-sysusers", SYSUSERS_FILE]
        why = f"there is no user {BUILD_USER}"
    return Step(name, why, "command", {"argv": argv})


def may_log_in(user: Mapping[str, Any]) -> bool:
    """Return whether a user has a shell or a password, as far as the node tells."""
    return bool(user["password"]) or not user["shell"].endswith("nologin")
