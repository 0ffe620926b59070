"""Load bramble's table of nftables on trial: what no new connection confirms in time is taken back.

An established connection passes any table that lets such ones through, and proves nothing. Until the
confirmation nothing of it is on the disk, so a power cut brings back what was there before.
"""

import os
import shutil
import subprocess
import sys

from bramble.remote import atomic

FOLDER = "/run/bramble/firewall"
TABLE = ("table", "inet", "bramble")
SERVICE, TIMER = "bramble-firewall-undo.service", "bramble-firewall-undo.timer"
EMPTY = "table inet bramble\ndelete table inet bramble\n"


class FirewallError(Exception):
    """What kept a table from being loaded or confirmed, in words."""


def run(*argv):
    """Return a command's output; raise FirewallError with its words where it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise FirewallError(f"{' '.join(argv[:3])}: {said}")
    return done.stdout


def current():
    """Return the table that the kernel has, as text that nft reads; empty where there is none."""
    done = subprocess.run(["nft", "list", *TABLE], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def undo_file():
    """Return the path of what brings back the table before; it is there during a trial alone."""
    return f"{FOLDER}/undo.nft"


def take_back():
    """Load what was there before the trial."""
    subprocess.run(["systemctl", "stop", TIMER], capture_output=True)
    if os.path.exists(undo_file()):
        run("nft", "-f", undo_file())
    shutil.rmtree(FOLDER, ignore_errors=True)


def begin(query):
    """Check the table, arm the way back, and load it."""
    if os.path.exists(undo_file()):
        take_back()
    atomic.make_folder(FOLDER)
    candidate = f"{FOLDER}/rules.nft"
    atomic.write(candidate, query["rules_text"], 0o600)
    try:
        run("nft", "-c", "-f", candidate)
        atomic.write(undo_file(), EMPTY + current(), 0o600)
        run("nft", "-c", "-f", undo_file())
        # One that failed lies around under its name.
        subprocess.run(["systemctl", "reset-failed", SERVICE], capture_output=True)
        run(
            *("systemd-run", "--quiet", "--collect", f"--unit={SERVICE}"),
            f"--on-active={query['undo_after_s']}",
            "--timer-property=AccuracySec=100ms",
            *("/bin/sh", "-c", f"nft -f {undo_file()} && rm -rf {FOLDER}"),
        )
    except FirewallError:
        shutil.rmtree(FOLDER, ignore_errors=True)
        raise
    try:
        run("nft", "-f", candidate)
    except FirewallError:
        take_back()
        raise


def confirm(query):
    """Keep the table: now it goes to the disk, with the unit that loads it at each boot."""
    subprocess.run(["systemctl", "stop", TIMER], capture_output=True)
    if not os.path.exists(undo_file()):
        raise FirewallError("it was taken back before it could be confirmed; run again")
    atomic.make_folder(os.path.dirname(query["rules"]))
    atomic.write(query["rules"], query["rules_text"], 0o644)
    atomic.write(query["unit_file"], query["unit_text"], 0o644)
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", query["unit"])
    atomic.sync_etc()
    run("systemctl", "reload-or-restart", query["unit"])
    atomic.write(query["listed"], run("nft", "-s", "list", *TABLE), 0o644)
    shutil.rmtree(FOLDER, ignore_errors=True)


def main(query):
    """Begin a trial; or `confirm` the running one, or `take_back` what it loaded."""
    os.environ["PATH"] = f"/usr/sbin:/sbin:{os.environ['PATH']}"
    try:
        if query.get("take_back"):
            take_back()
        elif query.get("confirm"):
            confirm(query)
        else:
            begin(query)
    except (FirewallError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
