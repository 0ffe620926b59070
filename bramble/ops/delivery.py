"""How a step gets onto a node: out of the store or as it is, its files, its program, its proof."""

from __future__ import annotations

from dataclasses import replace

import click
from paramiko import SSHException
from pyinfra.api import Host

from bramble import store
from bramble.ops import connection, trial
from bramble.steps import Step, Upload


def deliver(host: Host, step: Step) -> str | None:
    """Carry out a step on its host; the problem in words when any part of it failed."""
    step, problem = _from_store(host, step)
    return problem or _upload(host, step) or _run(host, step) or _confirm(host, step)


def _from_store(host: Host, step: Step) -> tuple[Step, str | None]:
    """The step with what this computer's store has for it; the problem when it cannot do without."""
    if step.stored is None:
        return step, None
    stored = step.stored
    try:
        found = store.find(stored.key)
    except store.StoreError as error:
        host.log(click.style(str(error), "red"))
        return step, str(error)
    if found is None:
        if stored.otherwise:
            host.log(click.style(stored.otherwise, "red"))
        return step, stored.otherwise
    host.log(f"sending release {stored.key} from the store ({found.size >> 20} MiB)")
    query = {
        **stored.query,
        "sha256": found.sha256,
        "size": found.unpacked_size,
        "upload": stored.remote,
    }
    upload = Upload(found.path, stored.remote)
    return replace(step, program=stored.program, query=query, uploads=(upload,)), None


def _upload(host: Host, step: Step) -> str | None:
    """Send the step's files; the problem in words when one cannot be sent."""
    for upload in step.uploads:
        try:
            host.put_file(str(upload.local), upload.remote)
        except (OSError, SSHException) as error:
            problem = f"{upload.local} could not be sent to {upload.remote}: {error}"
            host.log(click.style(problem, "red"))
            return problem
    return None


def _run(host: Host, step: Step) -> str | None:
    """Run the step's program; the problem in words when it failed."""
    if step.detached:
        well, output = connection.follow(host, step)
    else:
        well, output = connection.run(host, step.program, step.query, step.timeout_s)
    if well:
        return None
    problem = output.strip() or "it failed without a word"
    if not step.detached:  # a detached step's lines were shown as they came
        for line in problem.splitlines():
            host.log(click.style(line, "red"))
    return problem


def _confirm(host: Host, step: Step) -> str | None:
    """Prove over a new connection that a step on trial may stay; the problem in words if it may not."""
    if step.confirm is None:
        return None
    problem = trial.confirm(host, step.program, step.confirm, step.timeout_s)
    if problem:
        host.log(click.style(problem, "red"))
    return problem
