"""How a step gets onto a node: out of the store or as it is, its files, its program, its proof."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host

from bramble.llama.store import StoredRelease, StoreError
from bramble.pyinfra import connection, peers, releases, transfer, trial
from bramble.pyinfra.telling import say
from bramble.report import Report
from bramble.steps import Step, Stored, Upload

UPLOAD_TIMEOUT_S = 60


def deliver(host: Host, step: Step, report: Report) -> str | None:
    """Execute a step on its host; return an error message or None."""
    if step.stored is not None:
        return _from_store(host, step, step.stored, report)
    if step.shared is not None:
        return peers.have(host, step, step.shared, report)
    return _upload(host, step) or _run(host, step) or _confirm(host, step)


def _from_store(host: Host, step: Step, stored: Stored, report: Report) -> str | None:
    """Install a release from the store, once some host has built it; return an error message or None.

    Where it is this host that makes it, by the step's own program, that was all.
    """
    own = replace(step, stored=None)
    try:
        found = releases.have(host, step, stored, lambda: deliver(host, own, report), report)
        if not isinstance(found, StoredRelease):
            return found
        installed, problem = transfer.pulled(host, stored, found, report)
    except (StoreError, OSError) as error:
        say(host, str(error), "red")
        return str(error)
    if installed or problem:
        return problem
    return deliver(host, transfer.sent(host, own, stored, found, report), report)


def _upload(host: Host, step: Step) -> str | None:
    """Send the step's files; return an error message or None."""
    for upload in step.uploads:
        if problem := _send(host, upload):
            say(host, problem, "red")
            return problem
    return None


def _send(host: Host, upload: Upload) -> str | None:
    """Send one file, and remove what is left of it on failure; return an error message or None."""
    size = upload.local.stat().st_size if upload.local.exists() else 0
    query = {"path": upload.remote, "size_bytes": size}
    ok, output = connection.run(host, "receive", query, UPLOAD_TIMEOUT_S)
    if not ok:
        return f"{upload.local} cannot be sent: {output.strip()}"
    try:
        host.put_file(str(upload.local), upload.remote)
    except (OSError, SSHException) as error:
        connection.run(host, "remove_files", {"paths": [upload.remote]}, UPLOAD_TIMEOUT_S)
        return f"{upload.local} could not be sent to {upload.remote}: {error}"
    return None


def _run(host: Host, step: Step) -> str | None:
    """Run the step's program; return an error message or None."""
    if step.detached:
        ok, output = connection.follow(host, step)
    else:
        ok, output = connection.run(host, step.program, _query(step), step.timeout_s)
    if ok:
        return None
    problem = output.strip() or "it failed without a word"
    if not step.detached:  # a detached step's lines were shown as they came
        for line in problem.splitlines():
            say(host, line, "red")
    return problem


def _query(step: Step) -> Mapping[str, Any]:
    """Return the program's query, with the current time where it needs that."""
    return step.query if step.sent_at is None else {**step.query, step.sent_at: time.time()}


def _confirm(host: Host, step: Step) -> str | None:
    """Prove over a new connection that a step on trial may stay; return an error message or None."""
    if step.confirm is None:
        return None
    problem = trial.confirm(host, step.program, step.confirm, step.timeout_s)
    if problem:
        say(host, problem, "red")
    return problem
