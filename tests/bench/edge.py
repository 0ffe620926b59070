"""What the way in costs: the same requests through `local`, `lan`, `tls` and the unit of an article.

    python tests/bench/edge.py [--rounds 9] [--requests 4] [--minutes 10] [--json FILE]

Starts a fresh virtual Pi with a model of random weights and asks it in turn by each way, from its own
network; has clients leave in the middle of a long prompt; and then has 64 clients ask by `lan` and by
`tls` for as many minutes, from this computer. It exits with 1 where something could not be measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ways
from clones import BenchError, say
from exposed import NAME, Exposed, end_beside, fresh, inside, keep_lan, start_beside

from tests.nodes import crowd
from tests.nodes.streams import Way

MOST_SSH_S = 2.0
# Fewer than clients: each key may have eight requests at once.
KEYS = 6
LEAVERS = 3


def loaded(name: str, several: Sequence[Way], minutes: float) -> crowd.Borne:
    """Have the crowd ask by one way of the node, each client with one of the keys."""
    say(f"{name}: {crowd.CLIENTS} clients for {minutes:g} minutes")
    body = {**ways.QUESTION, "max_tokens": ways.TOKENS}
    return crowd.press(several, body, minutes * 60, lambda: crowd.look(NAME))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures, in the order in which the node is exposed."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as place:
        folder = Path(place)
        with fresh(folder) as fleet:
            fleet.wants("lan")
            keys = [fleet.key("create", f"client-{number}") for number in range(KEYS)]
            fleet.must("up", NAME)
            found: dict[str, Any] = {"load": {}}
            _load(found, fleet, "lan", keys, arguments.minutes)
            keep_lan()
            fleet.must("tls", "issue", NAME)
            fleet.wants("tls")
            fleet.must("up", NAME)
            start_beside()
            several = [*fleet.ways(keys[0]).values()]
            turns = (arguments.rounds, arguments.requests)
            found["rounds"] = inside(lambda: ways.rounds_of(several, *turns))
            found["left"] = inside(lambda: ways.left_by(several, LEAVERS))
            end_beside()
            _load(found, fleet, "tls", keys, arguments.minutes)
            return found


def _load(
    found: dict[str, Any], fleet: Exposed, name: str, keys: Sequence[str], minutes: float
) -> None:
    if minutes:
        found["load"][name] = loaded(name, [fleet.ways(key)[name] for key in keys], minutes)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns to the right, but for the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def speeds(found: Sequence[Mapping[str, ways.Turn]]) -> str:
    """The table of first tokens and requests, and what the way in costs, beside what it may."""
    rows = [("", "new connection", "more", "kept connection", "more", "requests/s", "fewer")]
    verdicts = []
    for name in found[0]:
        several = [one[name] for one in found]
        one, more = ways.cost(name, found), name != "local"
        rows.append(
            (
                name,
                f"{statistics.median(each.new_ms for each in several):.1f} ms",
                f"{one.new_ms:+.1f} ms" if more else "",
                f"{statistics.median(each.kept_ms for each in several):.1f} ms",
                f"{one.kept_ms:+.1f} ms" if more else "",
                f"{statistics.median(each.per_s for each in several):.3f}",
                f"{one.share:.1%}" if more else "",
            )
        )
        if name in ("lan", "tls"):
            verdicts.append(
                f"{name}: {max(one.new_ms, one.kept_ms):.1f} of {ways.MOST_MS:g} ms, "
                f"{one.share:.1%} of {ways.MOST_SHARE:.0%}: {'within' if one.is_within else 'BEYOND'}"
            )
    return "\n".join([table(rows), "", *verdicts])


def leavers(found: Mapping[str, Mapping[str, float]]) -> str:
    """The table of clients that left."""
    rows = [("", "whole prompt", "the next client waits")]
    rows += [(name, f"{one['whole']:.2f} s", f"{one['next']:.2f} s") for name, one in found.items()]
    return table(rows)


def loads(found: Mapping[str, crowd.Borne]) -> str:
    """What each crowd got and how the node bore it."""
    lines = []
    for name, borne in found.items():
        outcomes = ", ".join(f"{what}: {count}" for what, count in sorted(borne.outcomes.items()))
        ssh_s = max(look.banner_s + look.login_s for look in borne.looks)
        memory = "; ".join(
            f"{program} at most {borne.most_mib(program):.0f} MiB ({borne.grown_mib(program):+.0f})"
            for program in crowd.PROGRAMS
        )
        lines += [
            f"{name}: {outcomes}",
            f"  {memory}; {'no restart' if borne.is_undisturbed else 'RESTARTED'}",
            f"  ssh to the end of a command {ssh_s:.2f} of {MOST_SSH_S:g} s at most, "
            f"sshd's greeting {max(look.banner_s for look in borne.looks):.3f} s, "
            f"{len(borne.looks)} logins: {'within' if ssh_s <= MOST_SSH_S else 'BEYOND'}",
        ]
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> None:
    """Measure, print, and write the JSON file that was asked for."""
    load_before = os.getloadavg()[0]
    found = measured(arguments)
    print(
        f"{arguments.rounds} rounds of {arguments.requests + 1} requests, {ways.TOKENS} tokens each; "
        f"{os.cpu_count()} processors; load before {load_before:.1f}\n"
    )
    print(f"{speeds(found['rounds'])}\n\na client leaves at {ways.STAYS:.0%} of a long prompt:\n")
    print(leavers(found["left"]))
    if found["load"]:
        print(f"\n{crowd.CLIENTS} clients, {KEYS} keys, {arguments.minutes:g} minutes:\n")
        print(loads(found["load"]))
    if arguments.json:
        document = {
            "rounds": [
                {name: asdict(one) for name, one in each.items()} for each in found["rounds"]
            ],
            "left": found["left"],
            "load": {name: asdict(borne) for name, borne in found["load"].items()},
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds; default: 9")
    parser.add_argument("--requests", type=int, default=4, help="of each turn; default: 4")
    parser.add_argument("--minutes", type=float, default=10, help="of load, each; default: 10")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    try:
        main(parser.parse_args())
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        sys.exit(str(error))
