"""Run a long program as a transient systemd unit and follow it until it ends.

The unit outlives this connection: after a lost network or a closed laptop the next run finds it
running and follows it. Its output is condensed to lines for people: everything that starts with
"::", and of "[12/214]" counters one line whenever enough has changed.
"""

import fcntl
import os
import re
import subprocess
import sys
import time

from bramble.remote import outcome

STEPS = "/run/bramble/steps"
BYTES = re.compile(r"^\[\d+/\d+\] MiB$")
COUNTER = re.compile(r"^\[(\d+)/(\d+)\]( MiB)?")
QUIET_S = 15


class Progress:
    """Converts "[done/all]" counters into occasional lines with percentage and time left."""

    def __init__(self) -> None:
        self.started_s = self.told_s = time.monotonic()
        self.first = None
        self.last = 0
        self.told_percent = 0

    def line(self, done, of, unit=""):
        """Return the line to print for this counter; None while too little has changed."""
        now = time.monotonic()
        if self.first is None or done < self.last:  # less than before is other work
            self.first, self.told_percent = done, 0
            self.started_s = now
        self.last = done
        percent = 100 * done // max(of, 1)
        if percent < self.told_percent + 10 and now - self.told_s < QUIET_S:
            return None
        if percent == self.told_percent:
            return None
        self.told_s, self.told_percent = now, percent
        return f"{percent:3d} %{self.left(done, of, now, unit)}"

    def left(self, done, of, now, unit):
        """Return the pace so far and the time left, once there is a pace."""
        made, spent_s = done - self.first, now - self.started_s
        if made < 5 or spent_s < 5 or done >= of:
            return ""
        left_s = spent_s * (of - done) / made
        rate = f" of {of}{unit}, {made / spent_s:.1f}{unit}/s" if unit else ""
        left = f"{left_s / 60:.0f} min" if left_s > 90 else f"{left_s:.0f} s"
        return f"{rate}, about {left} left"


def is_running(unit):
    """Return whether the unit is running."""
    state = subprocess.run(
        ["systemctl", "show", "-p", "ActiveState", "--value", unit],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return state in ("active", "activating", "deactivating")


def start(unit, folder, program, properties):
    """Start the unit; its output and finally its exit code go to files of `folder`."""
    for name in ("log", "code"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            os.unlink(path)
    descriptor = os.open(
        os.path.join(folder, "program.py"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
    )
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(program)
    script = (
        f"python3 -Iu {folder}/program.py >{folder}/log 2>&1 </dev/null; "
        f"echo $? >{folder}/code.new; mv {folder}/code.new {folder}/code"
    )
    options = [f"--property={name}={value}" for name, value in properties.items()]
    subprocess.run(
        ["systemd-run", "--quiet", "--collect", f"--unit={unit}", *options, "sh", "-c", script],
        check=True,
    )


def attach(unit, folder, program, properties):
    """Start the unit unless it is running; two concurrent runs start one unit."""
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_running(unit):
            print("an earlier run's work is still under way: following it", flush=True)
        else:
            start(unit, folder, program, properties)


def follow(unit, folder):
    """Print the condensed output until the unit has ended; return its exit code."""
    progress, path, position = Progress(), os.path.join(folder, "log"), 0
    while True:
        running = is_running(unit)
        position = tell(path, position, progress)
        if not running:
            return code_of(folder)
        time.sleep(0.5)


def tell(path, position, progress):
    """Print what is new in the log since `position`; return the new position."""
    if not os.path.exists(path):
        return position
    with open(path, "rb") as log:
        log.seek(position)
        new = log.read()
    whole = new[: new.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        reported = condensed(line, progress)
        if reported:
            print(reported, flush=True)
    return position + len(whole)


def condensed(line: str, progress: Progress) -> str | None:
    """Return what is passed on of a line; None for nothing."""
    if line.startswith(outcome.PREFIX):
        return line
    if line.startswith("::"):
        return line.removeprefix(":: ").rstrip()
    counter = COUNTER.match(line)
    return progress.line(int(counter[1]), int(counter[2]), counter[3] or "") if counter else None


def code_of(folder):
    """Return the exit code that the unit left; 1 where it was killed."""
    try:
        with open(os.path.join(folder, "code"), encoding="utf-8") as file:
            return int(file.read())
    except FileNotFoundError:
        print("the step was ended from outside (power, memory or a person)", file=sys.stderr)
        return 1


def complain(folder):
    """Print the end of the log: the program's own words on why it failed."""
    try:
        with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as log:
            lines = [line.removeprefix(":: ") for line in log if not BYTES.match(line)]
    except FileNotFoundError:
        lines = ["(it printed nothing)\n"]
    print("".join(lines[-40:]).rstrip("\n"), file=sys.stderr)


def main(query):
    """Run `program` as `unit` with `properties`, or follow the one that is running."""
    unit = query["unit"]
    folder = os.path.join(STEPS, unit)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    try:
        attach(unit, folder, query["program"], query["properties"])
    except (OSError, subprocess.SubprocessError) as error:
        print(f"could not start {unit}: {error}", file=sys.stderr)
        return 1
    code = follow(unit, folder)
    if code:
        complain(folder)
    return code
