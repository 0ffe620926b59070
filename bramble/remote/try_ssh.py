"""Change how this node lets us in, on trial: what is not confirmed in time is reverted.

That is sshd's options and keys, or the rule by which sudo asks for no password.

The old files are saved on disk with a script that restores them. A timer runs it, and so does the
next boot, so neither a lost connection nor a power cut in the middle leaves a node that nobody can
enter. The change stays once it is confirmed, which the deploy does over a new connection.

A trial lasts from the moment when UNDO gets its name until it loses it: the unit is there before and
removed after. So a power cut leaves a whole trial or none.
"""

import hashlib
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys

from bramble.remote import atomic

UNDO = "/var/lib/bramble/ssh-undo"
SCRIPT = f"{UNDO}/undo.sh"
UNIT = "bramble-ssh-undo.service"
TIMER = "bramble-ssh-undo.timer"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
WANTED = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
# Of a file that is named, visudo does not judge the mode: sudo takes more of them than it does.
CHECKS = {"sshd": ("sshd", "-t"), "sudo": ("visudo", "-cf", "/etc/sudoers")}
"""What finds the configuration valid, before and after a trial, by what that is of."""
UNIT_TEXT = f"""[Unit]
Description=Take back what was changed of sshd or sudo on trial
Before=ssh.service
ConditionPathExists={SCRIPT}

[Service]
Type=oneshot
ExecStart=/bin/sh {SCRIPT}

[Install]
WantedBy=multi-user.target
"""


def run(*argv, text=None):
    """Run a command, with `text` as its input; return its words where it failed, else None."""
    done = subprocess.run(argv, capture_output=True, text=True, input=text)
    return (
        None
        if done.returncode == 0
        else f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}"
    )


def write(path, text, mode, owner):
    """Replace a file atomically; create a missing folder for its owner alone."""
    folder, entry = os.path.dirname(path), pwd.getpwnam(owner)
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        atomic.sync(os.path.dirname(folder))
    atomic.write(path, text, mode, (entry.pw_uid, entry.pw_gid))


def changed(path, was_sha256):
    """Say why a file is not the one that was looked at, or None (`was_sha256` None: no file)."""
    if not os.path.lexists(path):
        return None if was_sha256 is None else f"{path} is gone since it was seen; run again"
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return f"{path} is not a plain file and was left alone; make it one, then run again"
    with open(path, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    return None if found == was_sha256 else f"{path} is not as it was seen; run again"


def arm(paths, undo_after_s):
    """Save the files at `paths`, and schedule their restoration after this time and at the next boot."""
    problem = know_unit()
    if problem:
        return problem
    new = f"{UNDO}.new"
    shutil.rmtree(new, ignore_errors=True)
    atomic.make_folder(os.path.dirname(UNDO))
    try:
        problem = saved(paths, new)
        if problem:
            return problem
        atomic.place(new, UNDO)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return run("systemd-run", "--quiet", f"--on-active={undo_after_s}", f"--unit={UNIT}")


def saved(paths, folder):
    """Save the files at `paths` in `folder`, with the script; return the problem, or None."""
    os.mkdir(folder, 0o700)
    for number, path in enumerate(paths):
        if os.path.exists(path):
            problem = run("cp", "-p", path, f"{folder}/{number}")
            if problem:
                return problem
    atomic.write(f"{folder}/undo.sh", script(paths), 0o600)
    return None


def know_unit():
    """Write and enable the unit; without the script it does nothing."""
    atomic.write(UNIT_FILE, UNIT_TEXT, 0o644)
    atomic.make_folder(os.path.dirname(WANTED))
    atomic.link(WANTED, UNIT_FILE)
    return run("systemctl", "daemon-reload")


def forget_unit():
    """Remove the unit once nothing is on trial."""
    atomic.remove(WANTED)
    atomic.remove(UNIT_FILE)
    return run("systemctl", "daemon-reload")


def script(paths):
    """Return a script that restores the current files at `paths`; on a failure the trial continues."""
    lines = ["failed=0"]
    for number, path in enumerate(paths):
        place, beside = shlex.quote(path), shlex.quote(f"{path}.undo")
        if os.path.exists(path):
            steps = f"cp -p {UNDO}/{number} {beside} && sync {beside} && mv -T {beside} {place}"
        else:
            steps = f"rm -f {place}"
        lines.append(f"{{ {steps}; }} || failed=1")
    lines += [
        "sync",
        # At boot ssh has not been started yet, so the script must not wait for it. An sshd that did
        # not survive the change is started again.
        "systemctl -q is-failed ssh.service && verb=restart || verb=try-reload-or-restart",
        "systemctl --no-block $verb ssh.service",
        '[ "$failed" = 0 ] || exit 1',
        f"systemctl --no-block stop {TIMER}",
        f"rm -rf {UNDO}.done && mv -T {UNDO} {UNDO}.done && sync",
        f"rm -rf {UNDO}.done {UNIT_FILE} {WANTED}",
    ]
    return "\n".join(lines) + "\n"


def take_back():
    """Restore the old files now; return the problem where that failed."""
    if os.path.exists(SCRIPT):
        problem = know_unit() or run("systemctl", "start", UNIT)
        if problem or os.path.exists(UNDO):
            return problem or f"{UNIT} ran and {UNDO} is still there; see `journalctl -u {UNIT}`"
    # Without a script the trial has ended, or never began.
    shutil.rmtree(UNDO, ignore_errors=True)
    return None


def locked_out(keys):
    """Say why passwords must stay allowed; return None where a key opens the account."""
    try:
        with open(keys, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:
        lines = []
    if any(line and not line.startswith("#") for line in lines):
        return None
    return f"there is no key in {keys}, so without passwords nobody could log in; add one first"


def begin(query):
    """Write or remove `files`, have them checked and in force; return the problem, or None."""
    if os.path.exists(SCRIPT):
        problem = take_back()
        return problem or "an earlier change was still on trial and was taken back; run again"
    of = query.get("of", "sshd")
    problem = run(*CHECKS[of]) or (query["keys"] and locked_out(query["keys"]))
    if problem:
        return problem
    files = query["files"]
    for file in files:
        problem = changed(file["path"], file["was_sha256"])
        if of == "sudo" and not problem and file["text"] is not None:
            problem = run("visudo", "-cf", "-", text=file["text"])
        if problem:
            return problem
    problem = arm([file["path"] for file in files], query["undo_after_s"])
    if not os.path.exists(SCRIPT):
        forget_unit()
        return f"{problem}; nothing was changed"
    if problem is None:
        for file in files:
            if file["text"] is None:
                atomic.remove(file["path"])
            else:
                write(file["path"], file["text"], file["mode"], file["owner"])
        problem = run(*CHECKS[of])
        if of == "sshd" and not problem:
            problem = run("systemctl", "try-reload-or-restart", "ssh.service")
    if problem is None:
        return None
    failed = take_back()
    return f"{problem}. It was taken back" + (f", which failed too: {failed}" if failed else "")


def confirm():
    """Keep the change; return the problem where it was reverted already."""
    run("systemctl", "stop", TIMER)
    if not os.path.exists(SCRIPT):
        return "the change was taken back before it could be confirmed; run again"
    done = f"{UNDO}.done"
    shutil.rmtree(done, ignore_errors=True)
    atomic.rename(UNDO, done)
    shutil.rmtree(done)
    return forget_unit()


def main(query):
    """Begin a trial with `files`; or `confirm` the running one, or `take_back` what it changed."""
    os.environ["PATH"] = f"/usr/sbin:/sbin:{os.environ['PATH']}"
    try:
        if query.get("take_back"):
            problem = take_back()
        else:
            problem = confirm() if query["confirm"] else begin(query)
    except (OSError, KeyError) as error:
        problem = f"{error}; what is on trial is taken back by itself"
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
