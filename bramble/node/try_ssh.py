"""Change how this node lets people in, on trial: what is not confirmed in time is taken back.

The old files are kept on disk with a script that puts them back. A timer runs it, and so does the
next boot, so neither a lost connection nor a power cut in the middle leaves a node that nobody can
enter. The change stays once it is confirmed, which the deploy does over a new connection.
"""

import hashlib
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys

UNDO = "/var/lib/bramble/ssh-undo"
SCRIPT = f"{UNDO}/undo.sh"
UNIT = "bramble-ssh-undo.service"
TIMER = "bramble-ssh-undo.timer"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
UNIT_TEXT = f"""[Unit]
Description=Take back what was changed of sshd on trial
Before=ssh.service
ConditionPathExists={SCRIPT}

[Service]
Type=oneshot
ExecStart=/bin/sh {SCRIPT}

[Install]
WantedBy=multi-user.target
"""


def run(*argv):
    """Run a command; its words when it failed, None when it went well."""
    done = subprocess.run(argv, capture_output=True, text=True)
    return (
        None
        if done.returncode == 0
        else f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}"
    )


def write(path, text, mode, owner):
    """Replace a file atomically; a folder that is missing is made for its owner alone."""
    folder, name = os.path.split(path)
    entry = pwd.getpwnam(owner)
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    temporary = os.path.join(folder, f".{name}.bramble")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), entry.pw_uid, entry.pw_gid)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.rename(temporary, path)


def changed(path, was_sha256):
    """Why a file is not the one that was looked at, None when it is (`was_sha256` None: no file)."""
    if not os.path.lexists(path):
        return None if was_sha256 is None else f"{path} is gone since it was seen; run again"
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return f"{path} is not a plain file and was left alone; make it one, then run again"
    with open(path, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    return None if found == was_sha256 else f"{path} is not as it was seen; run again"


def arm(paths, undo_after_s):
    """Keep what stands at `paths`, and have it put back after this time and at the next boot."""
    new = f"{UNDO}.new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new, mode=0o700)
    lines = []
    for number, path in enumerate(paths):
        if not os.path.exists(path):
            lines.append(f"rm -f {shlex.quote(path)}")
            continue
        run("cp", "-p", path, f"{new}/{number}")
        beside = shlex.quote(f"{path}.undo")
        lines.append(f"cp -p {UNDO}/{number} {beside} && mv {beside} {shlex.quote(path)}")
    lines += [
        # At a boot ssh has not been started yet, so that it must not be waited for.
        "systemctl --no-block try-reload-or-restart ssh.service",
        f"systemctl --no-block stop {TIMER}",
        f"rm -rf {UNDO} {UNIT_FILE} /etc/systemd/system/multi-user.target.wants/{UNIT}",
        "sync",
    ]
    with open(f"{new}/undo.sh", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.rename(new, UNDO)
    write(UNIT_FILE, UNIT_TEXT, 0o644, "root")
    os.sync()
    return (
        run("systemctl", "daemon-reload")
        or run("systemctl", "--quiet", "enable", UNIT)
        or run("systemd-run", "--quiet", f"--on-active={undo_after_s}", f"--unit={UNIT}")
    )


def take_back():
    """Put the old files back now; the problem in words when that failed."""
    return run("systemctl", "start", UNIT)


def locked_out(keys):
    """Why passwords must stay allowed, None when the account can be entered with a key."""
    try:
        with open(keys, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:
        lines = []
    if any(line and not line.startswith("#") for line in lines):
        return None
    return f"there is no key in {keys}, so without passwords nobody could log in; add one first"


def begin(query):
    """Write or remove `files`, have sshd judge them and read them; the problem in words if any."""
    if os.path.exists(UNDO):
        problem = take_back()
        return problem or "an earlier change was still on trial and was taken back; run again"
    problem = run("sshd", "-t") or (query["keys"] and locked_out(query["keys"]))
    if problem:
        return problem
    files = query["files"]
    for file in files:
        problem = changed(file["path"], file["was_sha256"])
        if problem:
            return problem
    problem = arm([file["path"] for file in files], query["undo_after_s"])
    if problem is None:
        for file in files:
            if file["text"] is None:
                os.unlink(file["path"])
            else:
                write(file["path"], file["text"], file["mode"], file["owner"])
        problem = run("sshd", "-t") or run("systemctl", "try-reload-or-restart", "ssh.service")
    if problem is None:
        return None
    failed = take_back()
    return f"{problem}. It was taken back" + (f", which failed too: {failed}" if failed else "")


def confirm():
    """Let the change stay; the problem in words when it was taken back already."""
    run("systemctl", "stop", TIMER)
    if not os.path.exists(UNDO):
        return "the change was taken back before it could be confirmed; run again"
    shutil.rmtree(UNDO)
    problem = run("systemctl", "--quiet", "disable", UNIT)
    if os.path.exists(UNIT_FILE):
        os.unlink(UNIT_FILE)
    return problem or run("systemctl", "daemon-reload")


def main(query):
    """Begin a trial, or confirm the one under way."""
    os.environ["PATH"] = f"/usr/sbin:/sbin:{os.environ['PATH']}"
    try:
        problem = confirm() if query["confirm"] else begin(query)
    except (OSError, KeyError) as error:
        problem = f"{error}; what is on trial is taken back by itself"
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
