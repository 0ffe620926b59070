"""Keys of clients, in `keys.lock`: names, dates and hashes. A key itself is shown once and kept nowhere.

A key has 256 random bits, so its sha256 tells nothing of it, and is all that a node needs to know.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from bramble.documents.document import Document
from bramble.documents.document import read as read_document
from bramble.documents.document import write as write_document
from bramble.documents.problems import InventoryError, Problem, found
from bramble.documents.validation import validate
from bramble.settings import Section, option

FILE = "keys.lock"
PREFIX = "brk_"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
NAMES = "1 to 40 lower-case letters, digits and '-', such as laptop"
LEAST, MOST = 32, 512
"""Characters of a key that somebody else made: fewer could be guessed."""

_HEAD = """\
# Written by `bramble key`: who may use the models of this fleet, by the sha256 of a random key. No key
# is in here. Keep it with the inventory; `bramble up` brings it to the nodes.
"""
_SHA256 = r"^[0-9a-f]{64}$"
_DATE = r"^\d{4}-\d\d-\d\d$"


class KeyRefused(Exception):
    """A key that cannot be used; the text says why, and not what it is."""


class Hash(Section):
    """What is kept of one key."""

    sha256: str = option(..., help="Its sha256.", pattern=_SHA256)
    created: str = option(..., help="The day when it was made.", pattern=_DATE)


class Client(Section):
    """A client's key, and the one before it, which is valid until it is revoked."""

    key: Hash = option(..., help="Its key.")
    before: Hash | None = option(None, help="The key that it replaces.")

    @property
    def valid(self) -> tuple[Hash, ...]:
        """Every key that opens, the newest first."""
        return (self.key,) if self.before is None else (self.key, self.before)


def generate() -> str:
    """Return a new key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def kept(key: str, day: datetime.date) -> Hash:
    """Return what is kept of a key; raise KeyRefused where it is none that can be trusted or sent."""
    if not LEAST <= len(key) <= MOST:
        raise KeyRefused(f"the key has {len(key)} characters, allowed: {LEAST} to {MOST}")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyRefused("the key has blanks, control characters or letters beyond ASCII")
    if len(set(key)) < LEAST // 3:
        raise KeyRefused("the key repeats too few different characters to be random")
    return Hash(sha256=hashlib.sha256(key.encode()).hexdigest(), created=day.isoformat())


def load(folder: Path) -> dict[str, Client]:
    """Return the clients by their names; raise InventoryError with every problem in the file."""
    file = folder / FILE
    if not file.is_file():
        return {}
    document = read_document(file)
    problems = list(document.problems)
    clients = {name: _client(document, name, said, problems) for name, said in _clients(document)}
    known = {name: client for name, client in clients.items() if client is not None}
    problems += _shared(document, known)
    if problems:
        raise InventoryError(problems)
    return known


def _clients(document: Document) -> list[tuple[str, object]]:
    return [(str(name), said) for name, said in document.values.items()]


def _client(document: Document, name: str, said: object, problems: list[Problem]) -> Client | None:
    """Return one client, typed; add what is wrong with it to the problems."""
    advice = f"; delete the lines of {name} and run `bramble key create {name}`"
    if not NAME.fullmatch(name):
        message = f"{found((), name)} as a client's name, allowed: {NAMES}"
        problems.append(document.problem((name,), message))
        return None
    typed, faults = validate(name, Client, said, host="", folder=document.file.parent)
    problems += [document.problem(fault.keys, fault.message + advice) for fault in faults]
    return typed if isinstance(typed, Client) else None


def _shared(document: Document, clients: Mapping[str, Client]) -> list[Problem]:
    """Find keys that two clients have: a node could not tell which of them asks."""
    owners: dict[str, str] = {}
    problems = []
    for name, client in clients.items():
        for one in client.valid:
            other = owners.setdefault(one.sha256, name)
            if other != name:
                message = f"{name} has the key of {other}; run `bramble key rotate {name}`"
                problems.append(document.problem((name,), message))
    return problems


def text(clients: Mapping[str, Client]) -> str:
    """Return the file's text: the same clients give the same text."""
    lines = [_HEAD]
    for name in sorted(clients):
        lines.append(f"{name}:\n")
        for which, one in (("key", clients[name].key), ("before", clients[name].before)):
            if one is not None:
                lines.append(f"  {which}:\n")
                lines += [f"    {k}: {json.dumps(v)}\n" for k, v in one.model_dump().items()]
    return "".join(lines)


def write(folder: Path, clients: Mapping[str, Client]) -> None:
    """Replace the file by one rename."""
    write_document(folder / FILE, text(clients))
