"""Who may log in: the keys of the account that we log in to, and sshd's options, both on trial."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bramble.difference import Difference
from bramble.remote.try_ssh import SCRIPT
from bramble.snapshot import FileState, Login, Snapshot, Unknown
from bramble.steps import Step
from bramble.system.process import Process

# sshd takes the first of several values, and reads its drop-ins in the order of their names.
DROP_IN = "/etc/ssh/sshd_config.d/00-bramble.conf"
EFFECTIVE = "sshd -T"
# What is given on sshd's command line beats all of its configuration, and `sshd -T` knows nothing of it.
DEFAULTS, SERVICE = "/etc/default/ssh", "ssh.service"
_GIVEN = re.compile(r"^[ \t]*(?:export[ \t]+)?SSHD_OPTS=(.*)$", re.M)
# Longer than a new connection may take: bramble/pyinfra/trial.py.
UNDO_AFTER_S = 120
TRIAL = SCRIPT
"""The file that is there while a change is on trial."""


def lines_of(text: str) -> list[str]:
    """Return the lines of an authorized_keys that are keys."""
    return [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


def body(line: str) -> str:
    """Return a key's base64 word, without its options, type and comment."""
    return next((word for word in line.split() if word.startswith("AAAA")), line.strip())


def missing(text: str, keys: Sequence[str]) -> list[str]:
    """Return the keys that are not in an authorized_keys."""
    there = {body(line) for line in lines_of(text)}
    return [key for key in keys if body(key) not in there]


def extra(text: str, keys: Sequence[str]) -> list[str]:
    """Return the lines of an authorized_keys with other keys than these."""
    wanted = {body(key) for key in keys}
    return [line for line in lines_of(text) if body(line) not in wanted]


def with_keys(text: str, keys: Sequence[str], *, exclusive: bool) -> str:
    """Append missing keys to an authorized_keys, and drop others if `exclusive`."""
    gone = set(extra(text, keys)) if exclusive else set()
    kept = [line for line in text.splitlines() if line not in gone]
    return "".join(f"{line}\n" for line in (*kept, *missing(text, keys)))


def problem_with_keys(login: Login, keys: Sequence[str], *, exclusive: bool) -> str | None:
    """Return how the account's keys differ from the plan; None when they do not."""
    seen = login.keys
    text = (seen.text or "") if seen else ""
    lacking, others = missing(text, keys), extra(text, keys) if exclusive else []
    if lacking:
        return f"{login.path}: {len(lacking)} of {len(keys)} keys are missing"
    if others:
        return f"{login.path}: {len(others)} other keys"
    if keys and seen and (seen.mode & 0o022 or seen.owner not in (login.user, "root")):
        return f"{login.path} is {seen.mode:04o} of {seen.owner}, which sshd does not trust"
    return None


def end_trial(snapshot: Snapshot) -> Step:
    """Take back what an earlier run left on trial: what it changed is there now and goes by itself."""
    name = "Take back an unconfirmed change of access"
    if not isinstance(snapshot.file(TRIAL), FileState):
        return Step(name, None)
    why = "a run that was cut off left it on trial"
    return Step(name, why, "try_ssh", {"take_back": True}, look_again=True)


def set_keys(keys: Sequence[str], *, exclusive: bool, snapshot: Snapshot) -> Step:
    """Add the keys to the account that we log in to, on trial."""
    name, login = "Set the user's keys", snapshot.login
    if not keys:
        return Step(name, None)
    if isinstance(login, Unknown):
        return blind(name, login)
    if login.keys and login.keys.text is None:
        return blind(name, Unknown(f"{login.path} is not a plain text file"))
    why = problem_with_keys(login, keys, exclusive=exclusive)
    if why is None:
        return Step(name, None)
    text = with_keys((login.keys.text or "") if login.keys else "", keys, exclusive=exclusive)
    return trial(name, why, login.path, login.keys, text, mode=0o600, owner=login.user)


def set_sshd(text: str | None, snapshot: Snapshot, *, keys_needed: bool) -> Step:
    """Write our drop-in of sshd, or remove it where there is nothing for it to say, on trial."""
    name, seen = "Set sshd's options", snapshot.file(DROP_IN)
    if isinstance(seen, Unknown):
        return Step(name, None) if text is None else blind(name, seen)
    if (seen is None and text is None) or (seen and text is not None and _stands(seen, text)):
        return Step(name, None)
    login = snapshot.login
    if isinstance(login, Unknown):
        return blind(name, login)
    keys = login.path if keys_needed else None
    return trial(name, DROP_IN, DROP_IN, seen, text, mode=0o644, owner="root", keys=keys)


def _stands(seen: FileState, text: str) -> bool:
    """Tell whether our drop-in has the planned text and belongs to root."""
    return (seen.text, seen.mode, seen.owner) == (text, 0o644, "root")


def trial(
    name: str,
    why: str,
    path: str,
    seen: FileState | None,
    text: str | None,
    *,
    mode: int,
    owner: str,
    keys: str | None = None,
    more: Mapping[str, Any] | None = None,
    confirm: Mapping[str, Any] | None = None,
) -> Step:
    """Return a step that writes a file, or removes it where `text` is None, on trial."""
    was_sha256 = seen.sha256 if seen else None
    file = {"path": path, "was_sha256": was_sha256, "text": text, "mode": mode, "owner": owner}
    before = (seen.text or "") if seen else None
    step = _step(name, why, [file], keys, (Difference(path, before, text),))
    return replace(step, query={**step.query, **(more or {})}, confirm=confirm or step.confirm)


def _step(
    name: str,
    why: str,
    files: Sequence[Mapping[str, Any]],
    keys: str | None,
    diffs: tuple[Difference, ...],
) -> Step:
    query = {"confirm": False, "files": files, "keys": keys, "undo_after_s": UNDO_AFTER_S}
    return Step(name, why, "try_ssh", query, diffs=diffs, confirm={"confirm": True})


def blind(name: str, found: Unknown, path: str = DROP_IN) -> Step:
    """Return a step for a file that could not be read: the program refuses it, as the text differs."""
    file = {
        "path": path,
        "was_sha256": hashlib.sha256(b"").hexdigest(),
        "text": None,
        "mode": 0o644,
        "owner": "root",
    }
    return _step(name, found.why, [file], None, ())


def command_line(snapshot: Snapshot) -> Mapping[str, str] | Unknown:
    """Return the options that sshd is started with, now or next, in lower case.

    Of several values the first counts, as in its configuration. "-f" names another configuration file.
    """
    process, seen = snapshot.process(SERVICE), snapshot.file(DEFAULTS)
    if isinstance(process, Unknown):
        return process
    if isinstance(seen, Unknown):
        return seen
    # sshd writes its title over its arguments: "sshd: /usr/sbin/sshd -D -o ... [listener] 0 of ...".
    running = " ".join(process.argv).split(" [", 1)[0] if isinstance(process, Process) else ""
    given = _GIVEN.findall((seen.text or "") if seen else "")
    try:
        # The value in quotes, if it has any, is then taken apart at blanks.
        later = " ".join(shlex.split(given[-1])) if given else ""
        words = [*shlex.split(running), *shlex.split(later)]
    except ValueError as error:
        return Unknown(f"{DEFAULTS} cannot be read: {error}")
    return _options(words)


def _options(words: Sequence[str]) -> dict[str, str]:
    """Return the values of -o, and of -f, in a command line."""
    found: dict[str, str] = {}
    for place, word in enumerate(words):
        if word[:2] not in ("-o", "-f"):
            continue
        value = word[2:] or " ".join(words[place + 1 : place + 2])
        name, _, rest = value.replace(" ", "=", 1).partition("=")
        if word.startswith("-f"):
            found.setdefault("-f", value)
        else:
            found.setdefault(name.lower(), rest.strip().lower())
    return found
