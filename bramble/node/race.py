"""Run llama-bench of several releases on one model in alternating order, and write down the figures.

The order turns around in each round (A B, B A, ...), so that a node that grows warmer or busier does
not favour the same release each time. The model is the node's own, the server goes on serving. While
a run computes, the board's own word on its clock is read: a run that was held back says nothing of a
release, so it ends the race.
"""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

RUN_TIMEOUT_S = 1800
WATCH_EVERY_S = 2
# A board that starts a run this hot would be held back in it; it gets some time to cool before.
COOL_C, COOL_S = 65, 300
RESERVE_BYTES = 256 * 1024**2
THROTTLED = "/sys/devices/platform/soc*/soc*firmware/get_throttled"
ZONE = "/sys/class/thermal/thermal_zone0/temp"
NOW = {0: "undervoltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}


class RaceError(Exception):
    """A race that decides nothing; its text says what to do."""


def say(text):
    """A line for people; "::" is what the follower passes on."""
    print(f":: {text}", flush=True)


def read(path):
    """A small file's text, None where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def vcgencmd(word, pattern):
    """What a Raspberry Pi's own tool says, None where there is no such tool or it does not know."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    done = subprocess.run([program, word], capture_output=True, text=True, timeout=30)
    found = re.search(pattern, done.stdout)
    return found[1] if found else None


def temperature():
    """The processor's temperature in degrees Celsius, None where nothing tells it."""
    said = vcgencmd("measure_temp", r"temp=(-?[\d.]+)")
    if said is not None:
        return float(said)
    zone = read(ZONE)
    return int(zone) / 1000 if zone else None


def held_back():
    """What holds the clock back right now, in words; nothing where nothing tells."""
    said = vcgencmd("get_throttled", r"throttled=0x([0-9a-fA-F]+)")
    for path in [] if said else glob.glob(THROTTLED):
        said = read(path)
    bits = int(said, 16) if said else 0
    return [word for bit, word in NOW.items() if bits >> bit & 1]


def cool():
    """Wait until the board is cool enough for a run, for a while at most."""
    end = time.monotonic() + COOL_S
    warm = temperature()
    if warm is not None and warm > COOL_C:
        say(f"{warm:.0f} °C: waiting for {COOL_C} °C")
    while warm is not None and warm > COOL_C and time.monotonic() < end:
        time.sleep(WATCH_EVERY_S)
        warm = temperature()


def check(query):
    """Refuse to begin without the model, the releases, or the memory for a second copy of weights."""
    if not os.path.exists(query["model"]):
        raise RaceError(f"the model {query['model']} is not there; run `bramble up` first")
    for entry in query["candidates"]:
        if not os.path.exists(os.path.join(entry["folder"], "bin", "llama-bench")):
            raise RaceError(f"{entry['folder']} has no llama-bench")
    found = re.search(r"^MemAvailable:\s+(\d+) kB", read("/proc/meminfo") or "", re.MULTILINE)
    needed = os.path.getsize(query["model"]) + RESERVE_BYTES
    if found and int(found[1]) * 1024 < needed:
        raise RaceError(
            f"{int(found[1]) >> 10} MiB of memory are free and a run beside the server may take "
            f"{needed >> 20}; stop the server for the race (`sudo systemctl stop llama-server`), and "
            "run `bramble up` after it"
        )


def command(query, folder):
    """llama-bench with the server's own threads and batch: one prompt, one answer."""
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
    """One run: its figures, with the highest temperature seen; a RaceError when it was held back."""
    cool()
    with subprocess.Popen(
        command(query, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    ) as process:
        try:
            out, err, hottest = watched(process)
        finally:
            process.kill()
    return figures(process.returncode, out, err) | {"hottest_c": hottest}


def watched(process):
    """What a run printed and the highest temperature meanwhile; it ends when it is held back."""
    hottest, deadline = temperature(), time.monotonic() + RUN_TIMEOUT_S
    while True:
        try:
            out, err = process.communicate(timeout=WATCH_EVERY_S)
        except subprocess.TimeoutExpired:
            out = err = None
        warm, reasons = temperature(), held_back()
        hottest = max((seen for seen in (hottest, warm) if seen is not None), default=None)
        if reasons:
            raise RaceError(
                f"the board was held back ({', '.join(reasons)}) at {shown(hottest)}: better cooling "
                "or a better supply first, then race again"
            )
        if out is not None:
            return out, err, hottest
        if time.monotonic() > deadline:
            raise RaceError(f"llama-bench did not end within {RUN_TIMEOUT_S} s")


def shown(temperature_c):
    """A temperature for people."""
    return "an unknown temperature" if temperature_c is None else f"{temperature_c:.0f} °C"


def figures(code, out, err):
    """Tokens per second of prompt and answer, or the problem of a release that does not compute."""
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
    """Every run in order; a release that does not compute is left out from then on."""
    check(query)
    runs, left = [], list(query["candidates"])
    for number in range(1, query["rounds"] + 1):
        for entry in left if number % 2 else left[::-1]:
            made = bench(query, entry["folder"])
            runs.append({"variant": entry["variant"], "round": number, **made})
            said = made.get("problem") or (
                f"prompt {made['prompt_tps']:.1f}, answer {made['answer_tps']:.1f} tokens/s"
            )
            hot = "" if made["hottest_c"] is None else f", {shown(made['hottest_c'])}"
            say(f"round {number} of {query['rounds']}: {entry['variant']}: {said}{hot}")
        failed = {entry["variant"] for entry in runs if "problem" in entry}
        left = [entry for entry in left if entry["variant"] not in failed]
    return runs


def write(path, text):
    """Write a small file so that it is there whole or not at all."""
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)


def main(query):
    """Race, and leave the figures at `result`; what an earlier race left goes first."""
    if os.path.exists(query["result"]):
        os.unlink(query["result"])
    try:
        runs = run(query)
    except (RaceError, OSError, subprocess.SubprocessError) as error:
        print(f"nothing is decided: {error}", file=sys.stderr)
        return 1
    write(query["result"], json.dumps({"race": query["race"], "runs": runs}, indent=2) + "\n")
    return 0
