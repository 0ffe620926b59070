"""The live view as lines of pieces, and what a key does to it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bramble.sanitize import sanitize
from bramble.status import gateway
from bramble.status.drift import Drift
from bramble.status.result import HostStatus
from bramble.status.rows import COLUMNS, Cell, Tone, ago, cells

DROPPED = ("BUILD", "UP", "DRIFT", "MEMORY", "SLOTS", "HELD BACK", "MODEL", "TEMP", "TOK/S")
"""The columns that go where the terminal is too narrow for all, the first one first."""

WIDEST = {"MODEL": 30, "HELD BACK": 24, "STATE": 20, "DRIFT": 24, "HOST": 32}
NARROWEST_MODEL = 14
GAP = "  "
KEYS = "↑↓ select   v checks   l logs   a ask   / filter   q quit"
DETAILS = 3
ACTIONS = {"v": "checks", "enter": "checks", "l": "logs", "a": "ask", "q": "quit"}
_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10}


@dataclass(frozen=True)
class Piece:
    """A part of a line, and how it is to look."""

    text: str
    tone: Tone = ""
    strong: bool = False
    chosen: bool = False


Line = tuple[Piece, ...]


@dataclass(frozen=True)
class Screen:
    """What the person has chosen: a host, and a part of names; `typing` while the part is typed."""

    host: str = ""
    part: str = ""
    typing: bool = False

    def shown(self, hosts: Sequence[HostStatus]) -> list[HostStatus]:
        """Return the hosts whose names have the part in them."""
        return [one for one in hosts if self.part in one.host]

    def at(self, hosts: Sequence[HostStatus]) -> int:
        """Return which of the shown hosts is chosen; the first where the chosen one is not shown."""
        names = [one.host for one in self.shown(hosts)]
        return names.index(self.host) if self.host in names else 0

    def chosen(self, hosts: Sequence[HostStatus]) -> HostStatus | None:
        """Return the chosen host; None where none is shown."""
        shown = self.shown(hosts)
        return shown[self.at(hosts)] if shown else None

    def pressed(self, key: str, hosts: Sequence[HostStatus]) -> tuple[Screen, str]:
        """Return the screen after a key, and what is to be done: a word of ACTIONS, or nothing."""
        if self.typing:
            return self._typed(key), ""
        if key == "/":
            return replace(self, typing=True, part=""), ""
        if key == "escape":
            return replace(self, part=""), ""
        if key in _MOVES or key in ("home", "end"):
            return self._moved(key, hosts), ""
        return self, ACTIONS.get(key, "")

    def _typed(self, key: str) -> Screen:
        if key in ("enter", "escape"):
            return replace(self, typing=False, part=self.part if key == "enter" else "")
        if key == "backspace":
            return replace(self, part=self.part[:-1])
        return replace(self, part=self.part + key) if len(key) == 1 else self

    def _moved(self, key: str, hosts: Sequence[HostStatus]) -> Screen:
        shown = self.shown(hosts)
        if not shown:
            return self
        ends = {"home": 0, "end": len(shown) - 1}
        place = ends[key] if key in ends else self.at(hosts) + _MOVES[key]
        return replace(self, host=shown[min(max(place, 0), len(shown) - 1)].host)


def lines(
    screen: Screen,
    hosts: Sequence[HostStatus],
    width: int,
    height: int,
    now: datetime | None = None,
) -> list[Line]:
    """Return the view: a headline, the hosts with the chosen one among them, its details, the keys."""
    moment = now or datetime.now(UTC)
    shown, at = screen.shown(hosts), screen.at(hosts)
    room = max(height - DETAILS - 4, 1)
    first = min(max(at - room // 2, 0), max(len(shown) - room, 0))
    rows = [cells(one, moment) for one in shown]
    widths = _widths(rows, width)
    page = enumerate(rows[first : first + room], first)
    return [
        _headline(hosts, moment, width),
        tuple(Piece(_cut(name, n) + GAP, "dim") for name, n in widths.items()),
        *(_row(row, widths, chosen=number == at) for number, row in page),
        (),
        *_details(screen.chosen(hosts), width),
        (Piece(_cut(f"/{screen.part}_" if screen.typing else _footer(screen), width), "dim"),),
    ]


def _headline(hosts: Sequence[HostStatus], now: datetime, width: int) -> Line:
    bad = [one.host for one in hosts if not one.is_well]
    count = f"{len(hosts)} hosts" if len(hosts) != 1 else "1 host"
    said = f"{count}, {len(hosts) - len(bad)} well" + (f"; not: {', '.join(bad)}" if bad else "")
    clock = now.astimezone().strftime("%H:%M:%S")
    room = max(width - len(clock) - len(GAP), 0)
    return (Piece(_cut(sanitize(said), room), strong=True), Piece(GAP + clock, "dim"))


def _footer(screen: Screen) -> str:
    return f"names with '{screen.part}' (Esc: all)   {KEYS}" if screen.part else KEYS


def _row(row: dict[str, Cell], widths: dict[str, int], *, chosen: bool) -> Line:
    return tuple(
        Piece(
            _cut(_clean(row[name]), n) + GAP, row[name].tone, strong=name == "HOST", chosen=chosen
        )
        for name, n in widths.items()
    )


def _widths(rows: Sequence[dict[str, Cell]], width: int) -> dict[str, int]:
    """Return the columns that fit, with their widths; the model's name gives way first."""
    found = {
        name: min(
            max(len(name), *(len(_clean(row[name])) for row in rows), 0), WIDEST.get(name, 40)
        )
        for name in COLUMNS
    }
    for name in ("", *DROPPED):
        found.pop(name, None)
        over = sum(found.values()) + len(GAP) * len(found) - width
        if over > 0 and "MODEL" in found:
            narrow = max(found["MODEL"] - over, min(found["MODEL"], NARROWEST_MODEL))
            over -= found["MODEL"] - narrow
            if over <= 0:
                found["MODEL"] = narrow
        if over <= 0:
            break
    return found


def _details(one: HostStatus | None, width: int) -> list[Line]:
    """Return what the row of the chosen host has no room for."""
    if one is None:
        texts = ["no such host"]
    else:
        models = ", ".join(f"{model.name} {model.state}" for model in one.models)
        led = ", ".join(gateway.short(one.gateway or ()))
        since_boot = ", ".join(one.throttled_since_boot or ())
        texts = [
            f"{one.host}: {one.why or one.state}",
            "; ".join(filter(None, (models, one.build, _restarts(one), led))),
            "; ".join(
                filter(
                    None, (drift_sentence(one.drift), since_boot and f"since boot: {since_boot}")
                )
            ),
        ]
    padded = [*texts, *[""] * (DETAILS - len(texts))]
    return [(Piece(_cut(sanitize(text), width)),) for text in padded]


def _restarts(one: HostStatus) -> str:
    return f"{one.restarts} restarts of the service" if one.restarts else ""


def drift_sentence(drift: Drift, now: datetime | None = None) -> str:
    """Say what is known of a host's drift, and by whom."""
    moment = now or datetime.now(UTC)
    words = {"none": "as planned", "differs": f"differs: {drift.what}", "unknown": "not known"}
    if drift.at is None:
        return "nobody looked at its drift: `bramble audit`"
    who = "the node's own look at its files" if drift.by == "node" else "bramble audit"
    said = f"{words[drift.found]} ({who}, {ago((moment - drift.at).total_seconds())} ago)"
    return f"{said}; changed by a run since" if drift.is_outdated else said


def _clean(cell: Cell) -> str:
    return sanitize(cell.text)


def _cut(text: str, width: int) -> str:
    """Return the text in exactly this width."""
    return text.ljust(width) if len(text) <= width else text[: max(width - 1, 0)] + "…"
