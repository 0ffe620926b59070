"""Runs on a node: ends a trial of sshd's options before each thing that it changes, and then boots.

The rest of a boot would only cost time: systemd reads its units, and starts the one that takes a trial
back where that is enabled.
"""

import json
import os
import subprocess

UNIT, TIMER = "bramble-ssh-undo.service", "bramble-ssh-undo.timer"
LEFT = ("/var/lib/bramble/ssh-undo", f"/etc/systemd/system/{UNIT}")
KILLED = """
import os, signal, sys
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "subprocess.Popen")
left = [{number}]
def look(event, arguments):
    written = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
    if event in CHANGES or written:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(look)
"""


def run(program, number=0):
    """Run a program, killed before its change of this number; its exit code and its words."""
    text = KILLED.format(number=number) + program
    done = subprocess.run(["python3", "-Iu", "-"], input=text, text=True, capture_output=True)
    return done.returncode, done.stderr.strip()


def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True).returncode


def boot():
    """What of a boot matters here."""
    systemctl("stop", TIMER)
    systemctl("daemon-reload")
    if systemctl("is-enabled", UNIT) == 0:
        systemctl("start", UNIT)


def texts(paths):
    return [open(path).read() if os.path.exists(path) else None for path in paths]


def put(paths, contents):
    """Have these texts, None for no file."""
    for path, text in zip(paths, contents, strict=True):
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        elif os.path.exists(path):
            os.unlink(path)


def cut(job, name, number, old, wanted):
    """A kill before this change and a boot: the program's exit code, and what is wrong then."""
    code, said = run(job[name], number)
    boot()
    if (now := texts(job["paths"])) not in wanted:
        return code, f"after the boot there is {now} ({said})"
    put(job["paths"], old)
    if not any(map(os.path.lexists, LEFT)):
        return code, None  # nothing is there that the next trial could stumble over
    if run(job["begin"])[0] and (again := run(job["begin"]))[0]:
        return code, f"the next trial is refused: {again[1]}"
    boot()
    left = [path for path in LEFT if os.path.lexists(path)]
    if left or texts(job["paths"]) != old:
        return code, f"the next trial was not taken back: {left}"
    return code, None


def main(job):
    """Print what is wrong, and how often each program was killed."""
    old, wrong, kills = texts(job["paths"]), [], {}
    for name in ("begin", "confirm"):
        number, code = 0, -9
        while code == -9:
            number += 1
            if name == "confirm" and (begun := run(job["begin"]))[0]:
                wrong.append(f"no trial begins any more: {begun[1]}")
                break
            wanted = [old] if name == "begin" else [old, job["new"]]
            code, problem = cut(job, name, number, old, wanted)
            if problem:
                wrong.append(f"{name}, killed before change {number}: {problem}")
        kills[name] = number - 1
    print(json.dumps({"wrong": wrong, "kills": kills}))
