"""Why a node is slow, from what it showed while it computed; what it did not report stays unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from bramble.bench.result import BenchRun, Result

SLOW_CLOCK = 0.9
"""A clock below this share of the processor's highest counts as low."""

OTHERS_CORES = 0.25
"""How many cores other programs may use during a run, or while memory is measured."""

SWAP_MIB = 16
"""How much may be swapped out, or in during a run, without a meaning: pages of the start-up."""

READ_AGAIN = 1.5
"""A run reads the weights from the disk at most once; beyond this many times, memory is short."""

State = Literal["found", "maybe", "no", "unknown"]


@dataclass(frozen=True)
class Cause:
    """One reason for a low figure: whether the node shows it, what it shows, and what to do.

    `maybe` slows a node down only where nothing else does; it is not mentioned with a good figure.
    """

    name: str
    state: State
    got: str
    remedy: str = ""


def causes(result: Result, file_bytes: int | None = None) -> tuple[Cause, ...]:
    """Return every known reason with its state, the most likely first."""
    rules: tuple[Callable[[Result], Cause], ...] = (
        _throttled,
        lambda found: _short_memory(found, file_bytes),
        _others,
        _threads,
        _desktop,
        _build,
        _clock,
    )
    return tuple(rule(result) for rule in rules)


def explained(found: tuple[Cause, ...]) -> tuple[str, ...]:
    """Return the reasons for a low figure as sentences; where there are none, one that says so."""
    reasons = tuple(f"{c.got}. {c.remedy}" for c in found if c.state in ("found", "maybe"))
    return reasons or (_nothing(found),)


def _nothing(found: tuple[Cause, ...]) -> str:
    unknown = ", ".join(cause.name for cause in found if cause.state == "unknown")
    looked = ", ".join(cause.name for cause in found if cause.state == "no")
    reported = f" The node does not report: {unknown}." if unknown else ""
    return (
        f"Nothing that it shows explains it (looked at: {looked}).{reported} Try another model, another "
        "supply and another cooler in turn, and compare with a board of its kind."
    )


def _throttled(result: Result) -> Cause:
    """Find whether the firmware held the clock back while a run computed."""
    name, held = "throttled", [run for run in result.good if run.held_back]
    if held:
        words = ", ".join(dict.fromkeys(word for run in held for word in run.held_back))
        hot = _hottest(held)
        got = f"{words} in {len(held)} of {len(result.good)} runs{hot}"
        remedy = (
            "Use the official supply and a short cable."
            if "undervoltage" in words
            else "Cool it: a heat sink and a fan."
        )
        return Cause(name, "found", got, f"{remedy} See docs/roles/power.md.")
    since = result.seen.held_back_since_boot
    if since is None:
        return Cause(name, "unknown", "neither vcgencmd nor sysfs reports it")
    if since:
        return Cause(name, "no", f"not in these runs; since boot: {', '.join(since)}")
    return Cause(name, "no", f"never since boot{_hottest(result.good)}")


def _hottest(runs: list[BenchRun] | tuple[BenchRun, ...]) -> str:
    reported = [run.hottest_c for run in runs if run.hottest_c is not None]
    return f", {max(reported):.0f} °C at most" if reported else ""


def _short_memory(result: Result, file_bytes: int | None) -> Cause:
    """Find a server in swap, pages that came from swap, or weights that were read again."""
    name, seen = "swapping", list(_memory(result, file_bytes))
    remedy = (
        "Take a smaller model or quant, or a shorter serving.ctx_tokens (`bramble fit MODEL --host "
        f"{result.host}`), or end what else runs there."
    )
    if seen:
        return Cause(name, "found", "; ".join(seen), remedy)
    if result.seen.server_swap_mib is None and not result.values("swapped_mib"):
        return Cause(name, "unknown", "neither the server's process nor the kernel reports it")
    return Cause(name, "no", "nothing in swap, and weights are read from the disk once")


def _memory(result: Result, file_bytes: int | None) -> Iterator[str]:
    server, swapped = result.seen.server_swap_mib, result.median("swapped_mib")
    read = result.median("read_mib")
    if server is not None and server > SWAP_MIB:
        yield f"{server:.0f} MiB of llama-server lie in swap"
    if swapped is not None and swapped > SWAP_MIB:
        yield f"{swapped:.0f} MiB came from swap in a run"
    if read is not None and file_bytes and read > READ_AGAIN * file_bytes / 2**20:
        times = read * 2**20 / file_bytes
        yield f"the weights came from the disk {times:.1f} times in a run"


def _others(result: Result) -> Cause:
    """Find other programs that computed during the runs, the server among them."""
    name, cores = "other programs", result.median("others_cores")
    if cores is None:
        return Cause(name, "unknown", "/proc/stat does not show it")
    busiest: dict[str, float] = {}
    for run in result.good:
        for program, share in run.busiest.items():
            busiest[program] = max(share, busiest.get(program, 0.0))
    if cores <= OTHERS_CORES:
        return Cause(name, "no", f"{cores:.1f} cores")
    order = sorted(busiest, key=lambda program: -busiest[program])[:3]
    words = ", ".join(f"{program} {busiest[program]:.1f}" for program in order)
    got = f"other programs took {cores:.1f} of {result.board.cores} cores"
    if result.seen.container:
        got += " (of the computer that this container is on)"
    remedy = (
        "The server was answering: bench when nobody asks it."
        if busiest.get("llama-server", 0) > OTHERS_CORES
        else "End them, or move them elsewhere."
    )
    return Cause(name, "found", f"{got}{f': {words}' if words else ''}", remedy)


def _threads(result: Result) -> Cause:
    """Compare the server's number of threads with the number of cores."""
    name, cores = "threads", result.board.cores
    got = f"{result.threads} thread{'s' * (result.threads != 1)} on {cores} cores"
    if result.threads > cores:
        remedy = f"Threads that wait for a core spin: set serving.threads to {cores} or less."
        return Cause(name, "found", got, remedy)
    if result.threads < cores:
        return Cause(name, "maybe", got, f"Try serving.threads: {cores}.")
    return Cause(name, "no", got)


def _desktop(result: Result) -> Cause:
    """Find a desktop, which takes memory, bandwidth and cores."""
    running = result.seen.desktop
    if running is None:
        return Cause("desktop", "unknown", "systemd does not report it")
    if not running:
        return Cause("desktop", "no", "none")
    remedy = "`sudo systemctl set-default multi-user.target` and reboot, or flash the Lite image."
    return Cause("desktop", "found", "a desktop runs (display-manager.service)", remedy)


def _build(result: Result) -> Cause:
    """Find a release for another processor, or without instructions that this one has."""
    name, release = "build", result.release
    remedy = "`bramble engine list` and `bramble verify` show releases; `bramble up` corrects it."
    if release.soc and release.processor and release.soc != release.processor:
        got = f"release {release.release} is for {release.soc}, and this is {release.processor}"
        return Cause(name, "found", got, remedy)
    if release.lacks:
        words = ", ".join(release.lacks)
        got = f"release {release.release} is built without {words}, which this processor has"
        return Cause(name, "found", got, remedy)
    if release.lacks is None:
        return Cause(
            name, "unknown", f"release {release.release} did not say what it is built with"
        )
    return Cause(name, "no", f"release {release.release} uses what this processor has")


def _clock(result: Result) -> Cause:
    """Find a clock that is low though the firmware does not hold it back: a governor or a setting."""
    name, mhz, most = "clock", result.median("mhz"), result.seen.max_mhz
    if mhz is None or not most:
        return Cause(name, "unknown", "the kernel does not report the clock")
    got = f"{mhz:.0f} of {most:.0f} MHz with the governor {result.seen.governor or '(unknown)'}"
    if mhz >= SLOW_CLOCK * most or any(run.held_back for run in result.good):
        return Cause(name, "no", got)
    return Cause(name, "found", got, "Set power.governor, or remove arm_freq from config.txt.")
