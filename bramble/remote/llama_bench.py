"""Run llama-bench of one or several releases on the node's own model, and write down the figures.

The order is reversed in each round (A B, B A, ...), so that a node that grows warmer or busier does
not favour the same release each time. The server keeps running. During a run the node is watched:
temperature, clock, other programs, reads from the disk. A run in which the board was held back says
nothing of a release: in a race (`held_back` is "end") a run held back by heat is repeated, and a cause
that persists ends the race; a benchmark of the node records it instead.
"""

import glob
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

from bramble.remote import atomic, build_user, progress, vitals

RUN_TIMEOUT_S = 1800
WATCH_EVERY_S = 2
TRIES = 3
RESERVE_BYTES = 256 * 1024**2
CLOCK = "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq"
BUSY_CORES = 0.1


class BenchError(Exception):
    """Runs without a usable result; the text says what to do."""


class HeldBackError(BenchError):
    """A run that ended because the board was held back, with the reasons."""

    def __init__(self, reasons, hottest_c):
        hot = vitals.shown(hottest_c)
        mend = (
            "the supply did not hold its voltage: use the official one and a short cable"
            if vitals.UNDERVOLTAGE in reasons
            else "cool it better: a heat sink and a fan"
        )
        super().__init__(
            f"nothing is decided: the board was held back ({', '.join(reasons)}) at {hot}; {mend}, "
            "then race again"
        )
        self.reasons = reasons


def mhz():
    """Return the processor's clock now; None where the kernel does not report it."""
    reported = vitals.read(CLOCK)
    return int(reported) / 1000 if reported else None


def check(query):
    """Refuse to begin without the model, the releases, or memory for a second copy of the weights."""
    if not os.path.exists(query["model"]):
        raise BenchError(f"the model {query['model']} is not there; run `bramble up` first")
    for entry in query["candidates"]:
        if not os.path.exists(os.path.join(entry["folder"], "bin", "llama-bench")):
            raise BenchError(f"{entry['folder']} has no llama-bench")
    found = re.search(
        r"^MemAvailable:\s+(\d+) kB", vitals.read("/proc/meminfo") or "", re.MULTILINE
    )
    needed = os.path.getsize(query["model"]) + RESERVE_BYTES
    if found and int(found[1]) * 1024 < needed:
        raise BenchError(
            f"{int(found[1]) >> 10} MiB of memory are free and a run beside the server may take "
            f"{needed >> 20}; stop the server for that long (`sudo systemctl stop llama-server`), and "
            "run `bramble up` after it"
        )


def command(query, folder):
    """Return llama-bench's arguments, with the server's threads and batch: one prompt, one answer."""
    words = {
        "-m": query["model"],
        "-p": query["prompt_tokens"],
        "-n": query["answer_tokens"],
        "-t": query["threads"],
        "-ub": query["ubatch_tokens"],
        "-r": 1,
        "-o": "json",
    }
    argv = [os.path.join(folder, "bin", "llama-bench")]
    return argv + [str(word) for pair in words.items() for word in pair]


def bench(query, folder):
    """Run once; return the figures, and what was seen of the node meanwhile."""
    vitals.cool(progress.say, query["cool_s"], WATCH_EVERY_S)
    before, watch = spent(), vitals.Watch()
    with subprocess.Popen(
        command(query, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A candidate of a race is no release that anybody trusts yet.
        **build_user.options(query.get("user"), LC_ALL="C"),
    ) as process:
        try:
            out, err, seen = watched(process, watch, query["held_back"] == "end")
        finally:
            process.kill()
    return figures(process.returncode, out, err) | seen | beside(before, spent())


def watched(process, watch, ends):
    """Return a run's output and what was seen meanwhile; with `ends`, end it once it is held back."""
    seen = {"hottest_c": vitals.temperature(), "held_back": [], "mhz": None, "read_mib": None}
    clocks, deadline = [], time.monotonic() + RUN_TIMEOUT_S
    while True:
        reported = read_mib(process.pid)
        seen["read_mib"] = seen["read_mib"] if reported is None else reported
        try:
            out, err = process.communicate(timeout=WATCH_EVERY_S)
        except subprocess.TimeoutExpired:
            out = err = None
            clocks.append(mhz())
        reported = [one for one in (seen["hottest_c"], vitals.temperature()) if one is not None]
        seen["hottest_c"], seen["held_back"] = max(reported, default=None), watch.look()
        if seen["held_back"] and ends:
            raise HeldBackError(seen["held_back"], seen["hottest_c"])
        if out is not None:
            reported = [one for one in clocks if one is not None]
            seen["mhz"] = statistics.median(reported) if reported else None
            return out, err, seen
        if time.monotonic() > deadline:
            raise BenchError(f"llama-bench did not end within {RUN_TIMEOUT_S} s")


def undisturbed(query, entry):
    """Run once; where heat ended the run, repeat it after the board had time to cool, at most twice."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return bench(query, entry["folder"])
        except HeldBackError as error:
            if vitals.UNDERVOLTAGE in error.reasons or not left:
                raise
            progress.say(f"held back by heat ({', '.join(error.reasons)}): this run is made again")


def read_mib(pid):
    """Return how much a process had read from disks, also through mapped files; None: unknown."""
    found = re.search(r"^read_bytes: (\d+)$", vitals.read(f"/proc/{pid}/io") or "", re.MULTILINE)
    return int(found[1]) / 2**20 if found else None


def spent():
    """Return the processor seconds so far, of all, our runs and each process, and the MiB swapped in."""
    tick = os.sysconf("SC_CLK_TCK")
    fields = [int(word) for word in (vitals.read("/proc/stat") or "").split("\n")[0].split()[1:9]]
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        name, _, rest = (vitals.read(path) or "").partition("(")[2].rpartition(") ")
        if name and path != f"/proc/{os.getpid()}/stat":
            processes[path] = name, sum(map(int, rest.split()[11:13])) / tick
    pages = re.search(r"^pswpin (\d+)$", vitals.read("/proc/vmstat") or "", re.MULTILINE)
    return {
        "at": time.monotonic(),
        "all": (sum(fields) - fields[3] - fields[4]) / tick if fields else None,
        "own": own.ru_utime + own.ru_stime,
        "processes": processes,
        "swapped_mib": int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else None,
    }


def beside(before, after):
    """Return what else computed during a run, in cores on average, and what was swapped in."""
    span = after["at"] - before["at"]
    others = swapped = None
    if before["all"] is not None:
        others = max(0.0, (after["all"] - before["all"] - after["own"] + before["own"]) / span)
    busy: dict[str, float] = {}
    for path, (name, seconds) in after["processes"].items():
        cores = (seconds - before["processes"].get(path, (name, 0.0))[1]) / span
        if cores >= BUSY_CORES:
            busy[name] = busy.get(name, 0.0) + cores
    busiest = dict(sorted(busy.items(), key=lambda pair: -pair[1])[:3])
    if before["swapped_mib"] is not None:
        swapped = after["swapped_mib"] - before["swapped_mib"]
    return {"others_cores": others, "busiest": busiest, "swapped_mib": swapped}


def swap_mib(unit):
    """Return how much of a unit's main process is swapped out; None where it does not run."""
    done = subprocess.run(
        ["systemctl", "show", "-p", "MainPID", "--value", unit], capture_output=True, text=True
    )
    status = vitals.read(f"/proc/{done.stdout.strip() or 0}/status")
    found = re.search(r"^VmSwap:\s+(\d+) kB$", status or "", re.MULTILINE)
    return int(found[1]) / 1024 if found else None


def figures(code, out, err):
    """Return the tokens per second of prompt and answer, or the problem of a release that failed."""
    if code < 0:
        return {"problem": f"llama-bench ended with {signal.Signals(-code).name}"}
    if code:
        words = (err.strip().splitlines() or ["it said nothing"])[-1]
        return {"problem": f"llama-bench ended with exit code {code}: {words}"}
    try:
        prompt, answer = (float(entry["avg_ts"]) for entry in json.loads(out))
    except (ValueError, KeyError, TypeError):
        return {"problem": "llama-bench did not say how fast it was"}
    if min(prompt, answer) <= 0:
        return {"problem": "llama-bench computed nothing"}
    return {"prompt_tps": prompt, "answer_tps": answer}


def run(query):
    """Do every run in order; a release that fails is left out from then on."""
    check(query)
    runs, left = [], list(query["candidates"])
    for number in range(1, query["rounds"] + 1):
        for entry in left if number % 2 else left[::-1]:
            made = undisturbed(query, entry)
            runs.append({"variant": entry["variant"], "round": number, **made})
            keep(query, runs, whole=False)
            said = made.get("problem") or (
                f"prompt {made['prompt_tps']:.1f}, answer {made['answer_tps']:.1f} tokens/s"
            )
            hot = "" if made["hottest_c"] is None else f", {vitals.shown(made['hottest_c'])}"
            held = f", held back: {', '.join(made['held_back'])}" if made["held_back"] else ""
            progress.say(
                f"round {number} of {query['rounds']}: {entry['variant']}: {said}{hot}{held}"
            )
        failed = {entry["variant"] for entry in runs if "problem" in entry}
        left = [entry for entry in left if entry["variant"] not in failed]
    keep(query, runs, whole=True)


def keep(query, runs, whole):
    """Write all figures so far, so that an interruption loses none of them."""
    found = {
        "id": query["id"],
        "at": time.time(),
        "whole": whole,
        "server_swap_mib": swap_mib(query["unit"]),
        "runs": runs,
    }
    atomic.write(query["result"], json.dumps(found, indent=2) + "\n", 0o644)


def taken_up(query):
    """Return whether an earlier run of the same work left all of its figures, not fetched yet."""
    try:
        found = json.loads(vitals.read(query["result"]) or "null")
        return found["whole"] and found["id"] == query["id"]
    except (ValueError, TypeError, LookupError):
        return False


def main(query):
    """Run, and write the figures to `result`, after removing those of other work."""
    if query["take_up"] and taken_up(query):
        progress.say("an earlier run's figures, which were not fetched, are taken up")
        return 0
    if os.path.exists(query["result"]):
        os.unlink(query["result"])
    try:
        run(query)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
