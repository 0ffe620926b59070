"""An archive of the store onto a node: pulled by the node over HTTP, sent over SSH where it cannot.

Pulling leaves the work to the node, so that many nodes cost this computer a file each and not an
encrypted stream each; in both cases the node compares the sha256.
"""

from __future__ import annotations

from dataclasses import replace

from pyinfra.api import Host

from bramble import remote
from bramble.llama.store import StoredRelease
from bramble.pyinfra import connection, sharing
from bramble.pyinfra.telling import say
from bramble.report import Report
from bramble.steps import Step, Stored, Upload

TIMEOUT_S = 900


def pulled(
    host: Host, stored: Stored, entry: StoredRelease, report: Report
) -> tuple[bool, str | None]:
    """Let the node pull and install it; return whether it did, or an error that sending cannot solve."""
    sources = []
    if stored.mirror:
        url = f"{stored.mirror.rstrip('/')}/{entry.path.name}"
        sources.append({"url": url, "direct": False})
    try:
        sources.append({"url": sharing.url(host, entry.path), "direct": True})
    except sharing.SharingError as error:
        if not stored.mirror:
            say(host, f"it cannot pull: {error}")
            return False, None
    query = _query(stored, entry) | {"sources": sources, "upload": None}
    ok, output = connection.run(host, stored.program, query, TIMEOUT_S)
    if not ok:
        problem = output.strip() or "it could not be installed"
        say(host, problem, "red")
        return False, problem
    try:
        answer = remote.answer(output, source=str | None, seconds=float | int, problems=list[str])
    except ValueError as error:
        answer = {"source": None, "problems": [f"the node's answer cannot be read: {error}"]}
    for reason in answer["problems"]:
        say(host, f"not pulled: {reason}", "yellow")
    if answer["source"] is None:
        return False, None
    say(
        host,
        f"pulled release {stored.key} from {answer['source']}: "
        f"{entry.size / 2**20:.1f} MiB in {answer['seconds']:.1f} s",
    )
    report.write(
        "transfer", host=host.name, release=stored.key, way="pulled", source=answer["source"]
    )
    return True, None


def sent(host: Host, step: Step, stored: Stored, entry: StoredRelease, report: Report) -> Step:
    """Return the step that installs an archive sent over the open connection."""
    say(host, f"sending release {stored.key} from the store ({entry.size >> 20} MiB)")
    report.write("transfer", host=host.name, release=stored.key, way="sent", source=None)
    query = _query(stored, entry) | {"sources": [], "upload": stored.remote}
    return replace(
        step,
        program=stored.program,
        query=query,
        uploads=(Upload(entry.path, stored.remote),),
    )


def _query(stored: Stored, entry: StoredRelease) -> dict[str, object]:
    sizes = {"archive_size": entry.size, "size": entry.unpacked_size}
    return {**stored.query, **sizes, "sha256": entry.sha256}
