"""What an inventory says of audits: what is left as it is, by whose word, why, and until when."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from bramble.settings import Section, option

Words = Annotated[str, Field(min_length=1)]


class Waiver(Section):
    """Something that an audit tells and that is left as it is for a while."""

    what: Words = option(
        ...,
        help="What is waived, as `bramble audit` names it: ROLE.CHECK, `ROLE: STEP`, or the kind of a "
        "finding with its subject; * and ? stand for any text.",
        example="listener *:9090",
    )
    hosts: tuple[Words, ...] | None = option(
        None,
        help="The hosts for which it counts, * and ? as above; not set: every host that has these "
        "settings.",
        example=["pi5-a", "lab-*"],
    )
    owner: Words = option(..., help="Who answers for it.", example="Ada")
    reason: Words = option(..., help="Why it is left as it is.", example="Cockpit, until it moves")
    until: date = option(..., help="The last day on which it counts, by UTC.", example="2027-01-31")


class AuditSettings(Section):
    """What an audit tells and that is left as it is for a while: `bramble audit` shows it as waived."""

    waivers: tuple[Waiver, ...] = option(
        (),
        help="What is left as it is, by whose word, why, and until when. One that has expired fails.",
        example=[
            {
                "what": "listener *:9090",
                "owner": "Ada",
                "reason": "Cockpit, until it moves",
                "until": "2027-01-31",
            }
        ],
    )
