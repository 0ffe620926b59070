"""Replace names, addresses, numbers and secrets in texts by placeholders that stay the same throughout.

First all texts are learned from, then each is replaced: what one text gives away as a name (a home's
folder, a serial number) is replaced in all of them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import partial

from bramble.documents.problems import holds_secret

SECRET_LINE = "(a line that may hold a secret)"
ORDINARY = frozenset(
    ("root", "pi", "llama", "localhost", "bramble", "bramble-build", "bramble-edge", "raspberrypi")
)
"""Names that tell nothing of anybody."""

_EMBEDDED = 6
"""From how many characters on a name is replaced inside of words too."""

_HOMES = re.compile(r"(?:/home|/Users)/([^/\s:;,'\"()]+)")
_SERIAL = re.compile(r"(?i)\bserial(?:[ _-]?number)?\s*[:=]\s*\"?([0-9A-Za-z]+)")
_SSID = re.compile(r"(?im)\b(e?ssid)(\"?\s*[:=]\s*).+$")
_GIVEN = re.compile(
    r"(?im)\b([\w-]*(?:psk|passw\w*|passphrase|secret|credential|token|api[_-]?key|private))"
    r"(\"?\s*[:=]\s*).+$"
)
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
)
_HEX = "[0-9A-Fa-f]"
_PATTERNS = (
    ("mail", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("key", re.compile(r"\bAAAA[0-9A-Za-z+/]{16,}={0,2}")),
    ("key", re.compile(r"\b(?:SHA256:[0-9A-Za-z+/]{20,}|MD5(?::[0-9a-f]{2}){16})")),
    ("mac", re.compile(rf"(?<![\w:-]){_HEX}{{2}}(?:[:-]{_HEX}{{2}}){{5}}(?![\w:-])")),
    (
        "mac",
        re.compile(
            rf"(?i)(?<!\w)(?:28cdc1|2ccf67|88a29e|b827eb|d83add|dca632|e45f01){_HEX}{{6}}(?!\w)"
        ),
    ),
    ("id", re.compile(rf"(?<!\w){_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?!\w)")),
    ("id", re.compile(rf"(?<!\w){_HEX}{{8}}-\d\d(?!\w)")),
    ("id", re.compile(rf"(?<!\w){_HEX}{{4}}-{_HEX}{{4}}(?!\w)")),
    ("id", re.compile(rf"(?<!\w){_HEX}{{32}}(?!\w)")),
    ("serial", re.compile(rf"(?<!\w){_HEX}{{16}}(?!\w)")),
)
_FOUR = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_SIX = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{0,4}|\d+(?:\.\d+){3})(?![\w:])"
)
_NOBODYS = frozenset(("127.0.0.1", "0.0.0.0", "::", "::1", "255.255.255.255"))


class Placeholders:
    """What was learned of names, and the placeholder of each."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def assign(self, value: str, placeholder: str) -> None:
        """Replace a name by this placeholder, wherever it stands."""
        found = value.strip().lower()
        if found and found not in ORDINARY and found not in _NOBODYS:
            self._known.setdefault(found, placeholder)

    def know(self, kind: str, values: Iterable[str]) -> None:
        """Replace each of these by a placeholder of their kind."""
        for value in values:
            if value.strip() and value.strip() not in _NOBODYS:
                self._next(kind, value)

    def learn(self, text: str) -> None:
        """Know the accounts of homes and the serial numbers that a text names."""
        self.know("user", _HOMES.findall(text))
        for found in _SERIAL.findall(text):
            if len(found) >= _EMBEDDED:
                # Older programs write the last eight digits.
                self.know("serial", (found, *((found[-8:],) if len(found) == 16 else ())))

    def replaced(self, text: str) -> str:
        """Return a text without any of it."""
        text = _PRIVATE.sub(SECRET_LINE, text)
        text = _GIVEN.sub(r"\1\2(secret)", _SSID.sub(r"\1\2(ssid)", text))
        # Split as a file is: other ends of lines would hide what stands after them.
        text = "\n".join(SECRET_LINE if holds_secret(line) else line for line in text.split("\n"))
        if self._known:
            # At once, so that no placeholder is taken for a name.
            text = self._names().sub(self._of_name, text)
        for kind, pattern in _PATTERNS:
            text = pattern.sub(partial(self._of_kind, kind), text)
        return _SIX.sub(self._address, _FOUR.sub(self._address, text))

    def survivors(self, text: str) -> list[str]:
        """Return the names that are in a text all the same, placeholders apart."""
        if not self._known:
            return []
        made = "|".join(sorted({*map(re.escape, self._known.values())}, key=len, reverse=True))
        rest = re.sub(rf"(?<![0-9A-Za-z])(?:{made})(?![0-9A-Za-z])", "\n", text)
        return sorted({found[0] for found in self._names().finditer(rest)})

    def _names(self) -> re.Pattern[str]:
        several = sorted(self._known, key=len, reverse=True)
        return re.compile("|".join(map(_named, several)), re.IGNORECASE)

    def _of_name(self, found: re.Match[str]) -> str:
        return self._known.get(found[0].lower(), "(name)")

    def _of_kind(self, kind: str, found: re.Match[str]) -> str:
        return self._next(kind, found[0])

    def _next(self, kind: str, value: str) -> str:
        """Return the placeholder of a value, which stays the same."""
        key = value.strip().lower()
        if key not in self._known and key not in ORDINARY:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._known[key] = f"{kind}-{self._counts[kind]}"
        return self._known.get(key, value)

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]
        return found[0] if str(address) in _NOBODYS else self._next("address", found[0])


def _named(value: str) -> str:
    """Match a name as a word; a long one inside of words too."""
    written = re.escape(value)
    if len(value) >= _EMBEDDED:
        return written
    return rf"(?<![0-9A-Za-z]){written}(?![0-9A-Za-z])"
