"""`bramble engine race`: run variants of llama.cpp in turn on a node, and lock the fastest."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, COOL, HOST

if TYPE_CHECKING:
    from bramble.bench.race import Verdict


@click.command("race")
@HOST
@click.option(
    "--variants", metavar="A,B", help="Variants to race; default: those that may be faster there."
)
@click.option(
    "--rounds",
    type=click.IntRange(3, 99),
    default=5,
    show_default=True,
    help="Runs of each variant.",
)
@COOL
@ASK_SUDO_PASSWORD
@AS_JSON
def race(host: str, variants: str | None, rounds: int, cool: int | None, as_json: bool) -> None:
    """Run variants of llama.cpp in turn on HOST, with its own model, and lock the fastest.

    Each is built or fetched as by a deploy, beside the current release, which keeps serving. A variant
    wins if its slowest turn (128 tokens of prompt, 32 of answer) is faster than plain's fastest; else
    plain does. The winner is written to engine.lock for every host with this processor and
    engine.variant auto; the next `bramble up` installs it there.

    \b
    bramble engine race pi5-a
    bramble engine race pi5-a --variants plain,openblas --rounds 9
    """
    from bramble.bench.race import decide, entries

    options = ["-y", "--data", f"rounds={rounds}"]
    if cool is not None:
        options += ["--data", f"cool={cool}"]
    if variants is not None:
        options += ["--data", f"variants={','.join(_known(variants))}"]
    show = driver.be_quiet if as_json else driver.show_line
    outcome = driver.run("race", [host], *options, show=show)
    raced = outcome.of("race")
    if outcome.code or not raced:
        raise click.ClickException(
            f"{outcome.failed.get(host, 'the race did not end')} (the whole log: {outcome.log})"
        )
    verdict = decide(entries(raced[0]["runs"]))
    if verdict is None:
        raise click.ClickException(
            "plain does not compute there, so there is nothing to compare with: "
            + "; ".join(run["problem"] for run in raced[0]["runs"] if "problem" in run)
        )
    _lock(raced[0], verdict)
    _tell(raced[0], verdict, as_json)


def _known(variants: str) -> list[str]:
    """Return the named variants, or end the command with the known ones."""
    from bramble.cli.inventory import refuse
    from bramble.documents.problems import unknown
    from bramble.llama.recipe import VARIANTS

    names = [name for name in variants.split(",") if name]
    for name in names:
        if name not in VARIANTS:
            refuse(f"no variant '{name}'; {unknown(name, VARIANTS)}")
    if set(names) <= {"plain"}:
        refuse("name a variant besides plain")
    return names


def _lock(raced: dict[str, Any], verdict: Verdict) -> None:
    """Write the winner for the node's processor."""
    from bramble.bench.race import ANSWER_TOKENS, PROMPT_TOKENS
    from bramble.llama import lock as engine_lock
    from bramble.project import folder

    lock = engine_lock.read(folder())
    winner = next(entry for entry in verdict.entries if entry.variant == verdict.winner)
    won = engine_lock.Variant(
        variant=verdict.winner,
        host=raced["host"],
        model=raced["model"],
        tokens_per_second=round((PROMPT_TOKENS + ANSWER_TOKENS) / winner.median("turn_s"), 2),
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    engine_lock.write(folder(), replace(lock, variants={**lock.variants, raced["soc"]: won}))


def _tell(raced: dict[str, Any], verdict: Verdict, as_json: bool) -> None:
    from bramble.bench.race import table
    from bramble.cli.inventory import loaded_inventory
    from bramble.documents.problems import shown
    from bramble.llama import lock as engine_lock
    from bramble.outputs import EngineOutputs
    from bramble.project import folder
    from bramble.registry import giving

    file = folder() / engine_lock.FILE
    if as_json:
        rows = [
            {
                "variant": entry.variant,
                "release": raced["releases"][entry.variant],
                "problem": entry.problem,
                "runs": [
                    {name: getattr(run, name) for name in ("prompt_tps", "answer_tps", "turn_s")}
                    for run in entry.runs
                ],
            }
            for entry in verdict.entries
        ]
        reported = {key: raced[key] for key in ("host", "soc", "model")}
        reported |= {"winner": verdict.winner, "why": verdict.why, "gain": verdict.gain}
        click.echo(json.dumps({**reported, "variants": rows, "lock": str(file)}, indent=2))
        return
    click.echo(f"{raced['model']} on {raced['host']} ({raced['soc']}); median (smallest-largest)")
    click.echo(table(verdict.entries))
    click.echo(f"{verdict.winner} wins: {verdict.why}")
    click.echo(f"wrote {shown(file)}: the next `bramble up` uses it where engine.variant is auto")
    engine: Any = loaded_inventory().hosts[raced["host"]].settings[giving(EngineOutputs).name]
    if engine.variant != "auto":
        click.echo(f"{raced['host']} has engine.variant {engine.variant}, so it keeps that")
