"""Have llama-server run a release, and let the release stay only where it proves itself.

The gate: it becomes healthy, answers the question rightly, is not much slower than the last known good
one, and the board was not throttled meanwhile. A release that passes is the known good one
(`good.json`). One that fails goes: the release before is linked again, with its own unit, and takes
the same gate; `rejected/RELEASE.json` says why, and no deploy takes that release again by itself.

What the next boot would start is put right first and what is remembered is written last, so that a
power cut at any moment leaves a node that the next run knows how to go on with.
"""

import contextlib
import datetime
import glob
import http.client
import json
import os
import re
import statistics
import subprocess
import time
import urllib.error
import urllib.request

TELL_EVERY_S = 15
ASK_TIMEOUT_S = 300
ANSWER_TOKENS, SPEED_TOKENS, SPEED_ROUNDS = 64, 32, 3
# The bits of get_throttled (vcgencmd(1)): 0 to 3 tell of now, 16 to 19 of any time since the boot.
THROTTLED_FILE = "/sys/devices/platform/soc*/soc*firmware/get_throttled"
WORDS = ("undervoltage", "clock capped", "throttled", "soft temperature limit")


class GateError(Exception):
    """What a release did not pass, in words."""


def say(text):
    """A line for people; "::" is what the follower passes on."""
    print(f":: {text}", flush=True)


def systemctl(*words):
    """Run systemctl; a failure raises with its words."""
    subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True)


def complaint(error):
    """A command that failed with its first words; the rest is advice to look elsewhere."""
    words = error.stderr.strip().splitlines() or ["it said nothing"]
    return f"{' '.join(error.cmd)}: {words[0]}"


def forget_failures(unit):
    """Counted failures of another release must not stop a start; an unloaded unit has none."""
    subprocess.run(["systemctl", "reset-failed", unit], capture_output=True)


def opened(request, timeout_s):
    """Open a local URL without any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=timeout_s)


def healthy(url):
    """Whether the server's /health answers 200, and otherwise what it said."""
    try:
        with opened(f"{url}/health", 10) as answer:
            return answer.status == 200, f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return False, f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return False, str(getattr(error, "reason", error))


def gave_up(unit):
    """Whether systemd has stopped trying to start the unit."""
    text = subprocess.run(
        ["systemctl", "show", "-p", "ActiveState", "--value", unit], capture_output=True, text=True
    ).stdout.strip()
    return text == "failed"


def wait(unit, url, deadline_s):
    """Wait until the server is healthy."""
    started = told = time.monotonic()
    while True:
        well, said = healthy(url)
        spent = time.monotonic() - started
        if well:
            say(f"{unit} answers after {spent:.1f} s")
            return
        if gave_up(unit):
            raise GateError(f"{unit} failed to start")
        if spent > deadline_s:
            raise GateError(
                f"{unit} did not answer 200 at {url}/health within {deadline_s} s (last: {said})"
            )
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            say(f"waiting for {unit}: {said}, {spent:.0f} of {deadline_s} s")
        time.sleep(0.2)


def post(url, body):
    """The JSON that the server answers to JSON."""
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with opened(request, ASK_TIMEOUT_S) as answer:
        return json.load(answer)


def golden(url, question, expect):
    """The answer to the question, decoded greedily; what is not expected raises."""
    body = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
    }
    answer = post(f"{url}/v1/chat/completions", body)["choices"][0]["message"]["content"].strip()
    if not answer or (expect is not None and expect not in answer):
        wanted = f"an answer with {expect!r}" if expect else "an answer"
        raise GateError(f"it answered {answer!r} to {question!r}, wanted {wanted}")
    return answer


def speed(url, prompt):
    """Tokens a second: the median of a few completions of the same length."""
    body = {
        "prompt": prompt,
        "n_predict": SPEED_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    replies = [post(f"{url}/completion", body) for _ in range(SPEED_ROUNDS)]
    return statistics.median(float(reply["timings"]["predicted_per_second"]) for reply in replies)


def throttled():
    """The bits of get_throttled, 0 where nothing tells them (no Raspberry Pi)."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=30
        )
        found = re.search(r"throttled=0x([0-9a-fA-F]+)", done.stdout)
        if found:
            return int(found[1], 16)
    for path in glob.glob(THROTTLED_FILE):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            return int(file.read(), 16)
    return 0


def words(bits):
    """What bits of get_throttled stand for, each once."""
    return ", ".join(word for bit, word in enumerate(WORDS) if (bits | bits >> 16) >> bit & 1)


def prove(query, url, floor):
    """The answer and the speed of what serves at `url`; whatever it does not pass raises."""
    before = throttled()
    if query["restart"]:
        try:
            systemctl("restart", query["unit"])
        except subprocess.CalledProcessError as error:
            raise GateError(f"{query['unit']} failed to start: {complaint(error)}") from error
    wait(query["unit"], url, query["deadline_s"])
    try:
        answer = golden(url, query["question"], query["expect"])
        found = speed(url, query["question"])
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        raise GateError(f"its server gave no answer: {type(error).__name__}: {error}") from error
    new = throttled() & ~before
    if new:
        raise GateError(f"the board was throttled meanwhile: {words(new)}")
    if floor is not None and found < floor:
        raise GateError(
            f"it makes {found:.1f} tokens/s, and {floor:.1f} are the least "
            "(serving.gate.speed_share of the last known good)"
        )
    return {"answer": answer, "tokens_per_second": round(found, 3)}


def baseline(query, good):
    """The last known good speed that counts for this release, None where none can be compared.

    A release that was good here before is held against its own figure; the known good release is not
    held against itself, as it is no other program.
    """
    known = [record for record in (good, (good or {}).get("previous")) if record]
    same = [
        record
        for record in known
        if all(record.get(key) == value for key, value in query["identity"].items())
    ]
    if not same or known[0]["release"] == query["release"]:
        return None
    own = [record for record in same if record["release"] == query["release"]]
    return (own or same)[0]["tokens_per_second"]


def read(path):
    """A note of ours, None where there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            note = json.load(file)
        return note if isinstance(note, dict) and "release" in note else None
    except (OSError, ValueError):
        return None


def write(path, text):
    """Replace a file by a rename that lasts over a power cut."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.bramble"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync(os.path.dirname(path))


def link(path, target):
    """Point a link to its target by a rename that lasts over a power cut."""
    temporary = f"{path}.bramble"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
    sync(os.path.dirname(path))


def sync(folder):
    """Make a rename in `folder` last."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def now():
    """The time in words that sort."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def remember(query, figures, good):
    """Note the release as the known good one, and the one that was good before as its predecessor."""
    home, release = query["home"], query["release"]
    previous = good.get("previous") if good else None
    if good and good["release"] != release:
        keys = ("release", *query["identity"], "tokens_per_second")
        previous = {key: good.get(key) for key in keys}
        link(f"{home}/previous", f"releases/{good['release']}")
    with open(query["unit_file"], encoding="utf-8") as file:
        unit = file.read()
    note = {"release": release, **query["identity"], **figures, "at": now(), "url": query["url"]}
    write(f"{home}/good.json", json.dumps(note | {"unit": unit, "previous": previous}, indent=2))
    say(f"release {release} is good: {figures['tokens_per_second']:.1f} tokens/s")


def go_back(query, good, why):
    """Have the release before serve again, and note why; the whole story in one sentence."""
    home, bad, old = query["home"], query["release"], good["release"]
    if not os.path.isdir(f"{home}/releases/{old}"):
        return f"release {bad} failed: {why}; {old}, which was good before, is not there any more"
    say(f"release {bad} failed: {why}; going back to {old}")
    link(f"{home}/current", f"releases/{old}")
    write(query["unit_file"], good["unit"])
    write(
        f"{home}/rejected/{bad}.json",
        json.dumps({"release": bad, "why": why, "at": now()}, indent=2),
    )
    try:
        systemctl("daemon-reload")
        forget_failures(query["unit"])
        prove(query | {"restart": True}, good["url"], None)
    except subprocess.CalledProcessError as error:
        said = complaint(error)
        return f"release {bad} was rejected: {why}; {old} was put back and did not start: {said}"
    except GateError as error:
        return f"release {bad} was rejected: {why}; {old} was put back and fails too: {error}"
    return f"release {bad} was rejected: {why}; {old} serves again"


def journal(unit):
    """The unit's last words."""
    return subprocess.run(
        ["journalctl", "-u", unit, "-n", "25", "--no-pager", "-o", "cat"],
        capture_output=True,
        text=True,
    ).stdout


def begin(query):
    """Have systemd know the unit as it is now, and start it at boot."""
    current = f"{query['home']}/current"
    there = os.readlink(current) if os.path.islink(current) else "nothing"
    if there != f"releases/{query['release']}":
        return f"the current release is {there} and not {query['release']}; run again"
    if query["restart"]:
        try:
            systemctl("daemon-reload")
            systemctl("enable", query["unit"])
        except subprocess.CalledProcessError as error:
            return complaint(error)
        forget_failures(query["unit"])
    return None


def gate(query):
    """Start the release of `query` if asked, and take it through the gate; go back if it fails."""
    problem = begin(query)
    if problem:
        return problem
    good = read(f"{query['home']}/good.json")
    known = baseline(query, good)
    floor = None if known is None else known * query["speed_share"]
    try:
        figures = prove(query, query["url"], floor)
    except GateError as error:
        print(f"Last words of {query['unit']}:\n{journal(query['unit'])}", flush=True)
        if good is None or good["release"] == query["release"]:
            return f"release {query['release']} failed: {error}; there is no other to go back to"
        return go_back(query, good, str(error))
    remember(query, figures, good)
    return None


def main(query):
    """Say in one sentence, the last one, what a release did not pass and what serves now."""
    try:
        problem = gate(query)
    except OSError as error:
        problem = f"{error.filename or query['home']}: {error.strerror}; mend that and run again"
    if problem:
        say(problem)
    return 1 if problem else 0
