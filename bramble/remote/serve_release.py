"""Make llama-server run what is planned, and keep that only if it passes the gate.

Planned are a release, a model and arguments. The gate: the server becomes healthy, answers the
question correctly, and is not much slower than what was good before, on a board that is not throttled
meanwhile. What passes is the known good (`good.json`). What fails is rolled back: the release that was
good is linked again, with its own unit, which names its model, and must answer. `rejected/` says why,
and no deploy retries that by itself: a release by its name, a model or arguments by a name for the
whole plan. What is too hot to be measured is rolled back too, but retried by the next deploy.

What the next boot would start is corrected first and the notes are written last, so that after a power
cut at any moment the next run can continue.
"""

import json
import os
import re
import subprocess
import time

from bramble.remote import (
    atomic,
    engine_home,
    good_record,
    port_holder,
    progress,
    talk,
    vectors,
    vitals,
)

TELL_EVERY_S = 15
# How often throttling is checked during a computation, and how often the board may be too hot.
WATCH_EVERY_S, TRIES = 1, 3
COOL_S = 300
# A question and three completions, measured up to TRIES times with time to cool, and one more question
# to what was good before.
LONGEST_S = TRIES * (4 * talk.ASK_TIMEOUT_S + COOL_S) + talk.ASK_TIMEOUT_S
"""How long the gate may take once the server has started."""
# llama-server's last message about a model that it cannot load.
CAUSE = re.compile(r"error loading model: (?:error loading model \w+: )?(.+)")


class GateError(Exception):
    """The part of the gate that a release did not pass."""


class UndecidedError(GateError):
    """The reason why it is unknown whether a release passes; nothing speaks against it."""


def systemctl(*words):
    """Run systemctl; raise GateError with its first line: the rest is advice to look elsewhere."""
    argv = ["systemctl", *words]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it said nothing"]
        raise GateError(f"{' '.join(argv)}: {said[0]}") from error


def forget_failures(unit):
    """Reset the counted failures of another release, which would block a start."""
    subprocess.run(["systemctl", "reset-failed", unit], capture_output=True)


def gave_up(unit):
    """Return whether systemd has stopped trying to start the unit."""
    argv = ["systemctl", "show", "-p", "ActiveState", "--value", unit]
    return subprocess.run(argv, capture_output=True, text=True).stdout.strip() == "failed"


def wait(unit, url, deadline_s):
    """Wait until the server is healthy; raise GateError where it fails to become so."""
    # Older messages are no cause; one second more, as journalctl is asked for whole ones.
    began, started, reported = time.time() - 1, time.monotonic(), 0.0
    while True:
        said, spent = talk.health(url), time.monotonic() - started
        if said == "HTTP 200":
            progress.say(f"{unit} answers after {spent:.1f} s")
            return
        if gave_up(unit):
            raise GateError(f"{unit} failed to start{cause(unit, began)}")
        if spent > deadline_s:
            raise GateError(
                f"{unit} did not answer 200 at {url}/health within {deadline_s} s (last: {said})"
            )
        if spent - reported > TELL_EVERY_S:
            reported = spent
            progress.say(f"waiting for {unit}: {said}, {spent:.0f} of {deadline_s} s")
        time.sleep(0.2)


def cause(unit, began):
    """Return what llama-server said of a model that it cannot load, after a colon; empty for nothing."""
    found = CAUSE.findall(journal(unit, began))
    return f": {found[-1]}" if found else ""


def start(query, url):
    """Restart the service, if asked, and wait until it is healthy."""
    if query["restart"]:
        try:
            systemctl("restart", query["unit"])
        except GateError as error:
            raise GateError(f"{query['unit']} failed to start: {error}") from error
    wait(query["unit"], url, query["deadline_s"])


def prove(query, url, floor):
    """Return the answer and the speed of the server at `url`; raise GateError where it does not pass.

    A figure of a board that was throttled by heat does not count: it is measured again after cooling.
    """
    start(query, url)
    # Before the first one, which then is loaded where one at a time is.
    have_answered(query, url)
    for left in range(TRIES - 1, -1, -1):
        answer, found, held = measured(query, url)
        if not held:
            break
        reported = f"the board was held back by heat while it computed ({', '.join(held)})"
        if not left:
            raise UndecidedError(f"{reported}, {TRIES} times; cool it (a heat sink and a fan)")
        progress.say(f"{reported}: it is measured again when it is cool")
        vitals.cool(progress.say, COOL_S, WATCH_EVERY_S)
    if floor is not None and found < floor:
        raise GateError(
            f"it makes {found:.1f} tokens/s, and {floor:.1f} are the least "
            "(serving.gate.speed_share of the last known good)"
        )
    return {"answer": answer, "tokens_per_second": round(found, 3)}


def measured(query, url):
    """Return the answer, the speed, and how heat throttled the board; raise GateError for undervoltage.

    A load that draws more than the supply gives is unfit for this board, and its answers may be wrong.
    """
    problem = answer = found = None
    task = vectors.task_of(good_record.text_of(query["unit_file"]))
    with vitals.Watching(WATCH_EVERY_S) as watch:
        try:
            answer = answered(query, task, url)
            found = talk.speed(task, url, query)
        except GateError as error:
            problem = error
        except talk.NONSENSE as error:
            problem = GateError(f"its server gave no answer: {type(error).__name__}: {error}")
    if vitals.UNDERVOLTAGE in watch.held:
        besides = f"; besides, {problem}" if problem else ""
        raise GateError(
            "the supply did not hold its voltage while it computed (undervoltage): use the official "
            f"supply and a short, thick cable{besides}"
        )
    if problem:
        raise problem
    if watch.silent and vitals.should_tell():
        progress.say("neither vcgencmd nor the kernel reports whether the board was held back")
    return answer, found, watch.held


def have_answered(query, url):
    """Have each model beside the first one load and answer; raise GateError for one that does not."""
    task = vectors.task_of(good_record.text_of(query["unit_file"]))
    for one in query["further"]:
        progress.say(f"asking {one['name']}")
        try:
            answered(query | one, task, url)
        except GateError as error:
            raise GateError(f"model {one['name']}: {error}") from error


def answered(query, task, url):
    """Return the answer to the question; raise GateError for a wrong one, or none.

    One of several models is loaded for its question, which /health says nothing of.
    """
    several, began = query["further"], time.time() - 1
    loading_s = query["deadline_s"] if several else 0
    try:
        return talk.known(task, url, query, talk.ASK_TIMEOUT_S + loading_s)
    except talk.AnswerError as error:
        raise GateError(str(error)) from error
    except talk.NONSENSE as error:
        why = f"its server gave no answer: {type(error).__name__}: {error}"
        raise GateError(why + (cause(query["unit"], began) if several else "")) from error


def go_back(query, good, error):
    """Restore what was good before; return the whole story in one sentence.

    Record what failed, so that no deploy retries it by itself; but not what is undecided.
    """
    why, undecided = str(error), isinstance(error, UndecidedError)
    verb = "is undecided" if undecided else "failed"
    home, (what, old, mark) = query["home"], good_record.named(query, good)
    files = (
        good.get("path"),
        *good.get("helpers", []),
        *(one["path"] for one in good_record.beside(good)),
    )
    needed = (f"{home}/{engine_home.RELEASES}/{good['release']}", *files)
    if gone := [path for path in needed if path and not os.path.exists(path)]:
        return f"{what} {verb}: {why}; {gone[0]}, which was good before, is not there any more"
    progress.say(f"{what} {verb}: {why}; going back to {old}")
    asked, task = before(query, good)
    atomic.link(f"{home}/{engine_home.CURRENT}", f"{engine_home.RELEASES}/{good['release']}")
    good_record.write(query["unit_file"], good["unit"])
    if not undecided:
        rejection = {
            "release": query["release"],
            "model": query["name"],
            "why": why,
            "at": good_record.now(),
        }
        good_record.write(
            f"{home}/{engine_home.REJECTED}/{mark}.json", json.dumps(rejection, indent=2)
        )
    try:
        systemctl("daemon-reload")
        forget_failures(query["unit"])
        # It was measured when it became good, and the board is not fit for measuring now.
        start(asked | {"restart": True}, good["url"])
        have_answered(asked, good["url"])
        answered(asked, task, good["url"])
    except GateError as failed:
        said = f"{old} was put back and fails too: {failed}"
    else:
        said = f"{old} serves again"
    if undecided:
        return f"{what} is undecided: {why}; {said}; run again when the board is cooler"
    return f"{what} was rejected: {why}; {said}"


def before(query, good):
    """Return what to ask of what was good before, and its task: of another one nothing is expected."""
    task = vectors.task_of(good["unit"])
    same = task == vectors.task_of(good_record.text_of(query["unit_file"]))
    anything = {"expect": None, "dimensions": None}
    asked = {
        **anything,
        "expect": query["expect"] if same else None,
        "name": good.get("name") or query["name"],
        "further": [one | anything for one in good_record.beside(good)],
    }
    return query | asked, task


def journal(unit, since_s):
    """Return the unit's messages since a time of this boot's clock."""
    argv = ["journalctl", "-u", unit, f"--since=@{since_s:.0f}", "-n60", "--no-pager", "-ocat"]
    return subprocess.run(argv, capture_output=True, text=True).stdout


def begin(query):
    """Make systemd reload and enable the unit; return the problem, or None."""
    current = f"{query['home']}/{engine_home.CURRENT}"
    there = os.readlink(current) if os.path.islink(current) else "nothing"
    if there != f"{engine_home.RELEASES}/{query['release']}":
        return f"the current release is {there} and not {query['release']}; run again"
    if query["restart"]:
        if other := port_holder.problem(query):
            return other
        try:
            systemctl("daemon-reload")
            systemctl("enable", query["unit"])
            atomic.sync_etc()
        except GateError as error:
            return str(error)
        forget_failures(query["unit"])
    return None


def gate(query):
    """Start what is planned if asked, and run the gate; roll back if it fails."""
    if problem := begin(query):
        return problem
    good = good_record.read(f"{query['home']}/{engine_home.GOOD}")
    known = good_record.baseline(query, good)
    floor = None if known is None else known * query["speed_share"]
    began = time.time() - 1  # older messages are about an earlier server
    try:
        figures = prove(query, query["url"], floor)
    except GateError as error:
        print(f"Last words of {query['unit']}:\n{journal(query['unit'], began)}", flush=True)
        if good is None or good["unit"] == good_record.text_of(query["unit_file"]):
            what = f"release {query['release']} with {query['name']}"
            if isinstance(error, UndecidedError):
                return f"{what} is undecided: {error}; it continues serving; run again when it is cooler"
            return f"{what} failed: {error}; there is no other to go back to"
        return go_back(query, good, error)
    good_record.remember(query, figures, good)
    return None


def main(query):
    """Print in one sentence, the last one, what did not pass the gate and what serves now."""
    try:
        problem = gate(query)
    except OSError as error:
        problem = f"{error.filename or query['home']}: {error.strerror}; fix that and run again"
    if problem:
        progress.say(problem)
    return 1 if problem else 0
