"""One table of all that is planted on a good node, and who says so: checks, drift, or strangers.

Rows are not written here: the faults of checks stand in `roles/NAME/faults.py`, what is planted beside
the plan in `strangers.py`, and each planned file is edited, taken away and opened to all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bramble.audit.judge import DEPLOY
from bramble.audit.seen import Seen
from bramble.audit.strangers import KINDS
from bramble.plan import File
from bramble.snapshot import FileState, Snapshot
from tests.unit.audited import LOOK, around
from tests.unit.good_node import ROLES, of_roles
from tests.unit.looks import plain, with_file
from tests.unit.spoiled import GOOD, PLAN, Node
from tests.unit.strangers import STRANGERS

Command = Literal["bramble audit", "bramble verify", "bramble verify --deep"]
CHECKS = {f"{role.name}.{check.name}": check for role in ROLES for check in role.checks}
BY_ROLE = {role.name: role for role in ROLES}
BY_KIND = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Told:
    """Who says what is wrong, by which command, and what is to be done about it.

    `by` is a check as ROLE.CHECK, a step as `ROLE: STEP`, or the kind of a stranger.
    """

    by: str
    command: Command
    remedy: str


@dataclass(frozen=True)
class Planted:
    """One fault: the role that it is of, what is broken, and a node that shows it.

    `by` is who is to say so: a check, the step that writes a `file`, or a kind of stranger with its
    `subject`; `beside` is what of an audit's look is other than on a good node.
    """

    role: str
    what: str
    by: str
    node: Node
    file: str = ""
    subject: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)

    def told(self) -> Told | None:
        """Return who says so; None where nobody does."""
        if self.file:
            return _drift(self)
        return _check(self) if self.by in CHECKS else _stranger(self)


def _check(planted: Planted) -> Told | None:
    check, node = CHECKS[planted.by], planted.node
    found = check.run(node.plan.roles[check.role], node)
    if found.status != "fail":
        return None
    return Told(planted.by, _command(node, check.name), found.remedy)


def _command(node: Node, check: str) -> Command:
    """Return the command that runs a check as it is run here: audits neither ask nor read back."""
    if node.on_disk is not None:
        return "bramble verify --deep"
    asks = check in ("model_answers", "further_models_answer")
    return "bramble verify" if asks else "bramble audit"


def _drift(planted: Planted) -> Told | None:
    role, node = BY_ROLE[planted.role], planted.node
    for step in role.steps(node.plan.roles[role.name], node.plan, node.snapshot):
        if step.why and planted.file in step.writes:
            return Told(f"{role.name}: {step.name}", "bramble audit", DEPLOY.format(node.plan.host))
    return None


def _stranger(planted: Planted) -> Told | None:
    plan, look = planted.node.plan, planted.node.snapshot
    found = BY_KIND[planted.by].find(Seen(plan, look, around(**planted.beside)))
    assert not hasattr(found, "why"), found
    beside = [role.beside(plan.roles[role.name], look) for role in ROLES if role.beside]
    for one in (*found, *(stranger for several in beside for stranger in several)):
        if (one.kind, one.subject) == (planted.by, planted.subject):
            return Told(planted.by, "bramble audit", one.remedy)
    return None


def _of_checks() -> Iterator[Planted]:
    for role, part in of_roles("faults").items():
        for check, cases in part.FAULTS.items():
            for what, seen in cases.items():
                node = seen if isinstance(seen, Node) else Node(seen)
                yield Planted(role, what, f"{role}.{check}", node)


def _of_files() -> Iterator[Planted]:
    """Yield what happens to every planned file; that of another role's steps is none of these."""
    for role, part in PLAN.roles.items():
        for file in part.files:
            for what, look in _spoiled(file):
                yield Planted(role, what, "step", Node(look), file=file.path)


def _spoiled(file: File) -> Iterator[tuple[str, Snapshot]]:
    seen = GOOD.file(file.path)
    assert isinstance(seen, FileState)
    yield (
        "edited",
        with_file(GOOD, file.path, plain(f"{file.text}# by hand\n", seen.mode, seen.group)),
    )
    yield "taken away", with_file(GOOD, file.path, None)
    yield "open to all", with_file(GOOD, file.path, replace(seen, mode=seen.mode | 0o002))


def _beside() -> Iterator[Planted]:
    for what, (changes, name, _) in STRANGERS.items():
        beside = {part: value for part, value in changes.items() if part != "look"}
        kind, _, subject = name.partition(" ")
        node = Node(changes.get("look", LOOK))
        yield Planted("audit", what, kind, node, subject=subject, beside=beside)


def table() -> tuple[Planted, ...]:
    """Return every fault, by role; what is beside the plan is of the role `audit`, the last."""
    every = (*_of_checks(), *_of_files())
    roles = {role.name: number for number, role in enumerate(ROLES)}
    return (*sorted(every, key=lambda one: roles[one.role]), *_beside())
