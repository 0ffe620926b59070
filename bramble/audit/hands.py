"""Strangers who may change things: users, keys, what others may write, and packages held back."""

from __future__ import annotations

from collections.abc import Iterable

from bramble.audit.facts import FOLDERS
from bramble.audit.seen import WAIVE, Find, Seen
from bramble.plan import Stranger
from bramble.remote.around import fingerprint_of
from bramble.remote.audit import NOT_FILES
from bramble.snapshot import FileState, Unknown


def held_packages(seen: Seen) -> Iterable[Stranger] | Unknown:
    """Find packages of ours that are held."""
    held = seen.around.held
    if isinstance(held, Unknown):
        return held
    ours = {name.partition(":")[0] for name in seen.plan.packages}
    return [
        Stranger(
            "held-package",
            name,
            f"{name} is held at its version",
            f"`sudo apt-mark unhold {name}`, {WAIVE}",
        )
        for name in held
        if name in ours
    ]


def root_users(seen: Seen) -> Iterable[Stranger] | Unknown:
    """Find other users with the number of root."""
    roots = seen.around.roots
    if isinstance(roots, Unknown):
        return roots
    remedy = f"See who made it; `sudo userdel --force` takes it away, {WAIVE}"
    return [
        Stranger("root-user", name, f"{name} has the number 0, as root has", remedy, "/etc/passwd")
        for name in roots
        if name != "root"
    ]


def strange_keys(kind: str, *, of_login: bool) -> Find:
    """Find keys that the inventory does not name, of the login or of all other accounts."""

    def find(seen: Seen) -> Iterable[Stranger] | Unknown:
        keys, login = seen.around.keys, seen.snapshot.login
        for part in (keys, login):
            if isinstance(part, Unknown):
                return part
        assert not isinstance(keys, Unknown)
        assert not isinstance(login, Unknown)
        named = [key for role in seen.plan.roles.values() for key in role.known_keys()]
        known: set[str | None] = {fingerprint_of(key) for key in named if of_login}
        return [
            _opened(kind, one.user, key, one.path)
            for one in keys
            for key in dict.fromkeys(one.fingerprints)
            if (one.user == login.user) == of_login and key not in known
        ]

    return find


def _opened(kind: str, user: str, key: str, path: str) -> Stranger:
    got = f"{user} is opened by a key that the inventory does not name: {key}"
    remedy = f"Name it in base.authorized_keys, take it out of {path}, {WAIVE}"
    return Stranger(kind, f"{user} {key}", got, remedy, path)


def writable(seen: Seen) -> Iterable[Stranger] | Unknown:
    """Find what others may write, of ours and of what is looked at."""
    loose = seen.around.loose
    if isinstance(loose, Unknown):
        return loose
    if not loose.whole:
        return Unknown(f"there is too much below {', '.join(FOLDERS)} to look at all of it")
    found = {
        entry.path: (entry.mode, entry.owner, entry.group)
        for entry in loose.entries
        if entry.mode & 0o022
    }
    looked_at = {} if isinstance(seen.snapshot.files, Unknown) else seen.snapshot.files
    found |= {
        path: (state.mode, state.owner, state.group)
        for path, state in sorted(looked_at.items())
        if isinstance(state, FileState) and _is_open(path, state)
    }
    more = [_more("writable", loose.more)] if loose.more else []
    return [*(_open(path, *state) for path, state in found.items()), *more]


def _is_open(path: str, state: FileState) -> bool:
    """Tell whether others may write a file or folder that roles look at, the kernel's apart."""
    is_plain = state.kind in ("file", "directory") and not path.startswith(NOT_FILES)
    return is_plain and bool(state.mode & 0o022)


def _open(path: str, mode: int, owner: str, group: str) -> Stranger:
    whom = "everybody" if mode & 0o002 else f"group {group}"
    got = f"{path} is {mode:04o} of {owner}:{group}: {whom} may write it"
    return Stranger("writable", path, got, f"`sudo chmod go-w {path}`", path)


def _more(kind: str, count: int) -> Stranger:
    return Stranger(kind, "more", f"{count} more that are not named here", "Mend these first.")


def owned_by_others(seen: Seen) -> Iterable[Stranger] | Unknown:
    """Find folders of ours that are not root's."""
    loose = seen.around.loose
    if isinstance(loose, Unknown):
        return loose
    return [
        Stranger(
            "owned-by-other",
            entry.path,
            f"{entry.path} is {entry.owner}'s, who may replace what is in it",
            f"`sudo chown root:root {entry.path}`",
            entry.path,
        )
        for entry in loose.entries
        if entry.kind == "directory" and entry.owner != "root"
    ]
