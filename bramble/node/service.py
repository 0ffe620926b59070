"""Bring a systemd service to its planned state and wait until it answers, if it is one that does."""

import http.client
import subprocess
import sys
import time
import urllib.error
import urllib.request

TELL_EVERY_S = 15


def systemctl(*words):
    """Run systemctl; a failure raises with its words."""
    subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True)


def healthy(url):
    """Whether `url` answers 200, and otherwise what it said."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
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
    """Wait for `url` to answer 200; the reason when the unit failed or the time is over."""
    started = told = time.monotonic()
    while True:
        well, said = healthy(url)
        spent = time.monotonic() - started
        if well:
            print(f"{unit} answers after {spent:.1f} s", flush=True)
            return None
        if gave_up(unit):
            return f"{unit} failed to start"
        if spent > deadline_s:
            return f"{unit} did not answer 200 at {url} within {deadline_s} s (last: {said})"
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            print(f"waiting for {unit}: {said}, {spent:.0f} of {deadline_s} s", flush=True)
        time.sleep(0.2)


def journal(unit):
    """The unit's last words."""
    return subprocess.run(
        ["journalctl", "-u", unit, "-n", "25", "--no-pager", "-o", "cat"],
        capture_output=True,
        text=True,
    ).stdout


def main(query):
    """Reload, enable and restart `unit` as asked, then wait for its `url`, if it has one."""
    unit = query["unit"]
    try:
        if query["reload"]:
            systemctl("daemon-reload")
        if query["enable"]:
            systemctl("enable", unit)
        if query["restart"]:
            # Counted failures of an earlier plan must not stop this start; an unloaded unit has none.
            subprocess.run(["systemctl", "reset-failed", unit], capture_output=True)
            systemctl("restart", unit)
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(error.cmd)}: {error.stderr.strip()}", file=sys.stderr)
        print(journal(unit), file=sys.stderr)
        return 1
    if query["url"] is None:
        return 0
    problem = wait(unit, query["url"], query["deadline_s"])
    if problem:
        print(f"{problem}. Its last words:\n{journal(unit)}", file=sys.stderr)
        return 1
    return 0
