"""`bramble bench`: how fast nodes are, what bounds them, and why they are slower than that."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, COOL
from bramble.cli.selection import hosts as its_hosts

if TYPE_CHECKING:
    from bramble.bench.verdict import Judged
    from bramble.inventory.selection import Chosen


@dataclass(frozen=True)
class _Row:
    """A host's result with its conclusions, or why there is none."""

    host: str
    file: str | None
    why: str
    judged: Judged | None

    @property
    def ok(self) -> bool:
        return not self.why and self.judged is not None and self.judged.ok


@click.command("bench")
@its_hosts(required=True)
@click.option(
    "--rounds",
    type=click.IntRange(1, 20),
    default=5,
    show_default=True,
    help="Runs of llama-bench on each host.",
)
@COOL
@click.option(
    "--kept", is_flag=True, help="Judge the last stored result, without connecting to the host."
)
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the chart; default: beside the run's report.",
)
@ASK_SUDO_PASSWORD
@AS_JSON
def bench(
    hosts: Chosen,
    rounds: int,
    cool: int | None,
    kept: bool,
    chart: Path | None,
    as_json: bool,
) -> None:
    """Measure HOSTs as they serve: memory, prompt and answer, while watching heat, clock and throttling.

    Each runs llama-bench of its current release with its own model and the server's threads; the
    server keeps running. The result is stored in the inventory (bench/HOST/) and compared with the
    last one, with what the host's own memory allows, and with published articles. A figure above the
    bound is called impossible; one far below what is usual is explained by what the host showed.

    Exit code 0 for possible figures, 1 for one that is impossible or far below, or a host without any.

    \b
    bramble bench pi4-a pi5-a
    bramble bench pi4-a --rounds 9 --chart pi4-a.html
    bramble bench pi4-a --kept --json
    """
    from bramble.cli.inventory import refuse

    try:
        _check(hosts.names, chart)
        if kept:
            _tell(hosts.names)
            rows = [_kept(host) for host in hosts.names]
        else:
            outcome = _run(hosts.names, rounds, cool, as_json)
            rows = [_measured(host, outcome) for host in hosts.names]
            chart = chart or outcome.report.with_suffix(".html")
            if outcome.code:
                click.echo(f"The whole log: {outcome.log}", err=True)
        drawn = _draw(chart, [row.host for row in rows if row.judged])
    except ValueError as error:
        refuse(str(error))
    if as_json:
        reported = {
            "hosts": [_as_dict(row) for row in rows],
            "chart": str(drawn) if drawn else None,
        }
        click.echo(json.dumps(reported, indent=2))
    else:
        click.echo("\n".join(line for row in rows for line in _lines(row)))
        if drawn:
            click.echo(f"chart: {_shown(str(drawn))}")
    raise click.exceptions.Exit(0 if all(row.ok for row in rows) else 1)


def _check(hosts: Sequence[str], chart: Path | None) -> None:
    """Raise ValueError for what would keep the figures from being shown, before they are measured."""
    if chart is not None and not os.access(chart.absolute().parent, os.W_OK):
        raise ValueError(f"{chart} cannot be written: {chart.absolute().parent} is no such folder")
    for host in hosts:
        _history(host, 0)


def _tell(hosts: Sequence[str]) -> None:
    """Print which inventory is used."""
    from bramble.cli.inventory import loaded_inventory
    from bramble.inventory.headline import headline

    click.echo(headline(loaded_inventory(), hosts), err=True)


def _run(hosts: Sequence[str], rounds: int, cool: int | None, as_json: bool) -> driver.Outcome:
    show = driver.be_quiet if as_json else driver.show_line
    try:
        options = ["-y", "--data", f"rounds={rounds}"]
        if cool is not None:
            options += ["--data", f"cool={cool}"]
        return driver.run("bench", hosts, *options, show=show)
    except KeyboardInterrupt:
        click.echo(
            "Stopped. What the hosts have begun continues there; the same command follows it.",
            err=True,
        )
        raise click.exceptions.Exit(1) from None


def _measured(host: str, outcome: driver.Outcome) -> _Row:
    """Return a host's new result, or why it has none."""
    why = outcome.failed.get(host, "")
    files = [entry["file"] for entry in outcome.of("bench") if entry["host"] == host]
    if not files:
        return _Row(host, None, why or outcome.cut_off or f"see {outcome.log}", None)
    return _Row(host, files[-1], why, _history(host, 1)[0])


def _kept(host: str) -> _Row:
    """Return a host's last stored result."""
    newest = next(iter(_history(host, 1)), None)
    why = "" if newest else f"no result is stored; run `bramble bench {host}`"
    return _Row(host, None, why, newest)


def _history(host: str, count: int | None = None) -> list[Judged]:
    """Return a host's results, the newest first, each judged beside the last one with figures."""
    from bramble.bench import result, verdict
    from bramble.project import folder

    found = list(result.kept(folder(), host))
    return [
        verdict.judged(one, next((other for other in found[number + 1 :] if other.good), None))
        for number, one in enumerate(found[:count])
    ]


def _draw(file: Path | None, hosts: Sequence[str]) -> Path | None:
    """Write the chart, where there is a file to write and something to show."""
    from bramble.bench.chart import page

    if file is None or not hosts:
        return None
    try:
        file.write_text(page([(host, _history(host)) for host in hosts]), "utf-8")
    except OSError as error:
        raise ValueError(f"{file} cannot be written: {error.strerror}") from None
    return file


def _lines(row: _Row) -> Iterator[str]:
    """Yield a host's result as text for people."""
    judged = row.judged
    if judged is None:
        yield f"{row.host}: {row.why}"
        return
    result = judged.result
    yield (
        f"{row.host} ({result.board.model}): {result.model.name}, release "
        f"{result.release.release}, {_threads(result.threads)}, {result.at}"
    )
    yield from (f"  {name:8} {text}" for name, text in _figures(judged))
    if row.why or result.problem:
        yield f"  problem: {row.why or result.problem}"
    yield from (f"  {text}" for text in _sentences(judged))
    if row.file:
        yield f"  kept: {_shown(row.file)}"


def _figures(judged: Judged) -> Iterator[tuple[str, str]]:
    """Yield the measured figures: medians with the smallest and the largest."""
    from bramble.bench.verdict import number

    result = judged.result
    for name, part in (("answer", "answer_tps"), ("prompt", "prompt_tps")):
        middle, span = result.median(part), result.span(part)
        if middle is None or span is None:
            continue
        more = judged.prefill if name == "prompt" else _of_bound(judged)
        text = f"{number(middle)} ({number(span[0])}-{number(span[1])}) tokens/s"
        yield name, f"{text}{f', {more}' if more else ''}"
    if result.bandwidth.gb_s:
        doubt = f", not counted: {judged.doubt}" if judged.doubt else ""
        threads = _threads(result.bandwidth.threads)
        yield "memory", f"{result.bandwidth.gb_s:.2f} GB/s with {threads}{doubt}"
    else:
        yield "memory", f"not measured: {judged.doubt}"
    hottest = [run.hottest_c for run in result.runs if run.hottest_c is not None]
    if hottest:
        yield "heat", f"{max(hottest):.0f} °C at most"
    if (mhz := result.median("mhz")) is not None:
        yield "clock", f"{mhz:.0f} MHz"


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"


def _of_bound(judged: Judged) -> str | None:
    """Say which part of memory's bandwidth generation used."""
    if judged.share is None or judged.speed is None or judged.speed.most is None:
        return None
    most = f"at most {judged.speed.most:g} with {judged.speed.bound_gb_s:g} GB/s"
    return f"{judged.share:.0%} of the bound ({most}; {judged.speed.bound_source})"


def _sentences(judged: Judged) -> Iterator[str]:
    """Yield the conclusions, and what explains a low figure."""
    from bramble.bench.verdict import UNKNOWN_MODEL, beside

    if judged.claim:
        yield judged.claim.sentence
    elif judged.result.good and judged.result.model.dimensions is None:
        yield f"{UNKNOWN_MODEL}."
    yield from (f"Because: {text}" for text in judged.because)
    for cause in judged.causes if not judged.because else ():
        if cause.state == "found":
            yield f"Found: {cause.got}. {cause.remedy}"
    yield judged.comparison.sentence
    yield from beside(judged)


def _shown(file: str) -> str:
    from bramble.documents.problems import shown

    return shown(Path(file))


def _as_dict(row: _Row) -> dict[str, Any]:
    """Return a host's result in the documented JSON form."""
    from bramble.bench.result import as_dict
    from bramble.bench.verdict import beside

    judged = row.judged
    reported: dict[str, Any] = {"host": row.host, "file": row.file, "why": row.why, "ok": row.ok}
    parts = (
        "result",
        "answer",
        "prompt",
        "bound",
        "claim",
        "because",
        "causes",
        "comparison",
        "articles",
    )
    if judged is None:
        return reported | dict.fromkeys(parts)
    result, fast = judged.result, judged.speed
    bound = {
        "gb_s": judged.bandwidth.bound if judged.bandwidth else None,
        "source": judged.bandwidth.bound_source if judged.bandwidth else None,
        "doubt": judged.doubt,
        "tokens_per_s": fast.most if fast else None,
        "usual": fast.usual if fast else None,
        "share": judged.share,
    }
    return reported | {
        "result": as_dict(result),
        "answer": _spread(judged, "answer_tps"),
        "prompt": _spread(judged, "prompt_tps") | {"published": judged.prefill},
        "bound": bound,
        "claim": asdict(judged.claim) if judged.claim else None,
        "because": list(judged.because),
        "causes": [asdict(cause) for cause in judged.causes],
        "comparison": asdict(judged.comparison),
        "articles": list(beside(judged)),
    }


def _spread(judged: Judged, name: str) -> dict[str, Any]:
    low, high = judged.result.span(name) or (None, None)
    return {"median": judged.result.median(name), "low": low, "high": high}
