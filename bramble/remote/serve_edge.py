"""Have the way in run what is planned: judged by HAProxy first, then written, then taken up.

What HAProxy refuses is not written at all, so that the next boot starts what ran before. A configuration
alone is taken up between two requests; another unit is a restart, and so is a lost socket, as the next
process would take over the old one, which nobody can find any more.
"""

import contextlib
import grp
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import time

from bramble.remote import atomic, write_files

PROGRAM = "/usr/sbin/haproxy"
EVERY_S = 0.2


class EdgeError(Exception):
    """What keeps the way in from running what is planned, in words."""


def run(*argv):
    """Run a command; raise EdgeError with its words where it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise EdgeError(f"{' '.join(argv[:3])}: {said or f'exit code {done.returncode}'}")
    return done.stdout


def candidate(query):
    """Return the folder in which HAProxy judges the files; what a killed run left there goes first."""
    place = f"{os.path.dirname(query['folder'])}/.{os.path.basename(query['folder'])}.bramble"
    shutil.rmtree(place, ignore_errors=True)
    atomic.make_folder(os.path.dirname(place))
    os.mkdir(place, 0o700)
    return place


def judge(query):
    """Have HAProxy read the files as they are to be; raise EdgeError where it refuses them.

    `kept` are files of the node beside them, which this run does not have.
    """
    place = candidate(query)
    try:
        for entry in query["files"]:
            if os.path.dirname(entry["path"]) == query["folder"]:
                path = os.path.join(place, os.path.basename(entry["path"]))
                atomic.stage(path, entry["text"], 0o600)
        for path in query.get("kept", ()):
            shutil.copyfile(path, os.path.join(place, os.path.basename(path)))
        run(PROGRAM, "-c", "-q", "-f", f"{place}/haproxy.cfg")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write(query):
    """Replace the files that differ; each is always the whole old or the whole new one."""
    for entry in query["files"]:
        if why := atomic.refusal(entry["path"]):
            raise EdgeError(why)
    atomic.make_folder(query["folder"])
    # HAProxy's own user reads them, and nobody else.
    os.chown(query["folder"], pwd.getpwnam("root").pw_uid, grp.getgrnam("haproxy").gr_gid)
    os.chmod(query["folder"], 0o750)
    for entry in query["files"]:
        if entry["path"] in query["changed"]:
            write_files.replace(**entry)


def take_up(query):
    """Start, reload or restart the unit, and have the next boot start it."""
    unit = query["unit"]
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", unit)
    atomic.sync_etc()
    # Counted failures of an earlier configuration must not block this start.
    with contextlib.suppress(EdgeError):
        run("systemctl", "reset-failed", unit)
    with contextlib.suppress(EdgeError):
        run("systemctl", "is-active", "--quiet", unit)
        if not query["restart"]:
            run("systemctl", "reload", unit)
            return
    run("systemctl", "restart", unit)


def prove(query):
    """Wait until the way in tells this plan; raise EdgeError where it does not within the deadline."""
    within(
        query,
        query["ask"],
        lambda said: said.split()[:1] == [query["plan_id"]],
        "it did not answer as planned",
    )
    if awaited := query.get("awaited"):
        within(
            query,
            awaited["command"],
            lambda said: said.count(awaited["text"]) >= awaited["times"],
            "it did not ask each node",
        )


def within(query, command, is_told, otherwise):
    """Run a command again and again until it tells what is awaited; raise EdgeError at the deadline."""
    began, argv = time.monotonic(), shlex.split(command)
    while True:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
        if is_told(done.stdout):
            return
        if time.monotonic() - began > query["deadline_s"]:
            said = done.stderr.strip() or done.stdout.strip() or "nothing"
            raise EdgeError(f"{otherwise} within {query['deadline_s']} s: {said}")
        time.sleep(EVERY_S)


def last_words(unit):
    """Return the unit's last messages."""
    argv = ["journalctl", "-u", unit, "-n", "12", "--no-pager", "-o", "cat"]
    return subprocess.run(argv, capture_output=True, text=True, errors="replace").stdout.strip()


def main(query):
    """Judge and write `files`, take them up, and wait for `plan_id` and for what is `awaited`."""
    try:
        judge(query)
        write(query)
    except (EdgeError, OSError, KeyError) as error:
        print(f"{error}; what lets clients in was left as it was", file=sys.stderr)
        return 1
    try:
        take_up(query)
        prove(query)
    except EdgeError as error:
        print(f"{query['unit']}: {error}", file=sys.stderr)
        print(last_words(query["unit"]), file=sys.stderr)
        return 1
    return 0
