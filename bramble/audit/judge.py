"""Judge one host: what a deploy would do, what its checks find, and what is there beside its plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bramble.audit import hiding
from bramble.audit.around import Around
from bramble.audit.origins import moment, origins
from bramble.audit.result import CHECK, REFUSAL, ROLE, STEP, HostAudit, Item, state_of
from bramble.audit.seen import Seen
from bramble.audit.settings import Waiver
from bramble.audit.strangers import KINDS, Kind
from bramble.audit.waivers import applied
from bramble.checks import Result
from bramble.plan import NodePlan, Stranger
from bramble.sanitize import sentence
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step

NOT_ASKED = Unknown(
    "an audit asks the model nothing, as that leaves a trace; `bramble verify` asks"
)
WANT_STEP = "nothing left to do for a deploy"
DEPLOY = "bramble up {} does it; a change that is to stay belongs in the inventory."
WAIVABLE_KINDS = (*(kind.name for kind in KINDS), REFUSAL)
"""What is waived by its kind and its subject."""


@dataclass(frozen=True)
class Judged:
    """What an audit judges of one host, all from one look at it."""

    plan: NodePlan
    snapshot: Snapshot
    around: Around
    steps: Mapping[str, Sequence[Step]]
    results: Sequence[Result]
    refusals: Sequence[str] = ()
    strangers: Sequence[Stranger] = ()

    @property
    def step_names(self) -> tuple[str, ...]:
        """Every step of the host, as a waiver names it."""
        return tuple(
            f"{role}: {one.name}" for role, several in self.steps.items() for one in several
        )


def judge(judged: Judged, waivers: Iterable[Waiver], today: date) -> HostAudit:
    """Return all that an audit tells of a host."""
    found = (*_refusals(judged), *_steps(judged), *_checks(judged), *_strangers(judged))
    items = applied(found, waivers, judged.plan.host, judged.step_names, today)
    at_s = judged.snapshot.taken_at_s
    return HostAudit(
        host=judged.plan.host,
        state=state_of(items),
        looked_at=moment(at_s) if at_s else None,
        items=items,
    )


def _refusals(judged: Judged) -> Iterator[Item]:
    """Tell why a deploy would leave the host alone."""
    for why in judged.refusals:
        yield Item(
            id=f"{REFUSAL} {why}",
            kind=REFUSAL,
            role=ROLE,
            status="fail",
            got=why,
            want="a plan that a deploy carries out",
        )


def _steps(judged: Judged) -> Iterator[Item]:
    """Tell of each step that a deploy would carry out, in its order."""
    for role, several in judged.steps.items():
        for step in several:
            if step.why is not None:
                yield _step(role, step, judged)


def _step(role: str, step: Step, judged: Judged) -> Item:
    paths = (*step.writes, *(difference.path for difference in step.diffs))
    return Item(
        id=f"{role}: {step.name}",
        kind=STEP,
        role=role,
        status="fail",
        got=hiding.words(step.why or ""),
        want=WANT_STEP,
        remedy=DEPLOY.format(judged.plan.host),
        diffs=tuple(hiding.difference(one.unified) for one in step.diffs),
        origins=origins(paths, judged.around),
    )


def _checks(judged: Judged) -> Iterator[Item]:
    """Tell each check's result; one that would ask the model does not apply."""
    for result in judged.results:
        asks = result.status == "unknown" and result.got == NOT_ASKED.why
        yield Item(
            id=f"{result.role}.{result.check}",
            kind=CHECK,
            role=result.role,
            status="skip" if asks else result.status,
            got=hiding.words(result.got),
            want=result.want,
            remedy="" if asks else result.remedy,
        )


def _strangers(judged: Judged) -> Iterator[Item]:
    """Tell what is there that nobody planned, by its kind."""
    seen = Seen(judged.plan, judged.snapshot, judged.around)
    for kind in KINDS:
        found = kind.find(seen)
        if isinstance(found, Unknown):
            yield _untold(kind, found)
            continue
        of_roles = [one for one in judged.strangers if one.kind == kind.name]
        yield from (_stranger(kind, one, judged.around) for one in (*found, *of_roles))


def _untold(kind: Kind, why: Unknown) -> Item:
    return Item(
        id=f"{kind.name} ?",
        kind=kind.name,
        role=ROLE,
        status="unknown",
        got=sentence(why.why),
        want=kind.want,
    )


def _stranger(kind: Kind, one: Stranger, around: Around) -> Item:
    return Item(
        id=f"{kind.name} {sentence(one.subject)}",
        kind=kind.name,
        role=ROLE,
        status="warn" if kind.severity == "warn" else "fail",
        got=sentence(one.got),
        want=kind.want,
        remedy=one.remedy,
        origins=origins((one.path,) if one.path else (), around),
    )
