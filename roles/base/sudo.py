"""Whether sudo asks the account that we log in to for a password: by a rule of ours, set on trial."""

from __future__ import annotations

import re

from bramble.render import render
from bramble.roles.base import access
from bramble.snapshot import FileState, Login, Snapshot, Unknown
from bramble.steps import Step

# sudo takes the last of several rules, and reads its drop-ins in the order of their names.
RULE = "/etc/sudoers.d/zz-bramble"
MODE = 0o440
STEP = "Set sudo's rule"
ROOT = "root"
# As the account itself, without PAM's session and without what sudo remembers of earlier passwords.
ASKS = (
    """sh -c 'test "$SUDO_UID" || exit 2; """
    """setpriv --reuid="$SUDO_UID" --regid="$SUDO_GID" --init-groups sudo -k -n true'"""
)


def rule(user: str) -> str:
    """Return the text of our drop-in for an account."""
    return render("base/sudoers.j2", user=re.sub(r"([^A-Za-z0-9_.-])", r"\\\1", user))


def set_rule(wanted: bool | None, snapshot: Snapshot) -> Step:
    """Write our rule, or remove it where it is not wanted; leave it as it is where nothing is said."""
    login, seen = snapshot.login, snapshot.file(RULE)
    if wanted is None or (isinstance(login, Login) and login.user == ROOT):
        return Step(STEP, None)
    for found in (login, seen):
        if isinstance(found, Unknown):
            return access.blind(STEP, found, RULE)
    assert isinstance(login, Login)
    assert not isinstance(seen, Unknown)
    return _set(login, seen) if wanted else remove_rule(snapshot)


def _set(login: Login, seen: FileState | None) -> Step:
    text = rule(login.user)
    if seen and (seen.text, seen.mode, seen.owner) == (text, MODE, ROOT):
        return Step(STEP, None)
    why = f"{RULE}: {login.user} is to do without a password"
    more = {"of": "sudo"}
    confirm = {"confirm": True, "without_password": True}
    return access.trial(
        STEP, why, RULE, seen, text, mode=MODE, owner=ROOT, more=more, confirm=confirm
    )


def remove_rule(snapshot: Snapshot) -> Step:
    """Remove our rule, last and on trial: who is then asked for a password must have it in this run."""
    seen = snapshot.file(RULE)
    if not isinstance(seen, FileState):
        return Step(STEP, None)
    why = f"{RULE}: sudo may ask for a password from here on"
    return access.trial(STEP, why, RULE, seen, None, mode=MODE, owner=ROOT, more={"of": "sudo"})


def asks(snapshot: Snapshot) -> bool | Unknown:
    """Tell whether sudo asks the account for a password."""
    said = snapshot.command(ASKS)
    if isinstance(said, Unknown):
        return said
    if said is None:
        return Unknown("there is no shell")
    # 2: bramble became root by another way than sudo; 127: setpriv cannot be run.
    if said.code not in (0, 1):
        return Unknown(said.output.strip() or "bramble does not become root by sudo")
    return said.code == 1
