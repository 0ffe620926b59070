"""The state of hosts as `bramble status` tells it: typed, the same for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from bramble.node.vitals import decoded
from bramble.sanitize import sanitize, sentence
from bramble.status import gateway
from bramble.status.drift import Changes, Drift
from bramble.status.gateway import PoolStatus, Value
from bramble.status.known import Known
from bramble.status.said import Said
from bramble.status.wanted import Wanted

State = Literal[
    "healthy",
    "asleep",
    "up",
    "loading",
    "unwell",
    "stopped",
    "not told",
    "connecting",
    "silent",
    "unreachable",
]
WELL: tuple[State, ...] = ("healthy", "asleep", "up")
HEALTHY, LOADING = "HTTP 200", "HTTP 503"


class ModelStatus(Value):
    """A model that the server tells of."""

    name: str
    state: str = Field(description="`loaded`, `sleeping`, `unloaded`, `loading` or `failed`.")
    planned: bool = Field(description="Whether the inventory names it for this host.")


class HostStatus(Value):
    """What one host is doing; null is what it did not tell."""

    host: str
    state: State = Field(
        description="`up`: it is to serve nothing; `unwell`: the server or a model of it answers "
        "otherwise than a healthy one, or a gateway has no node for a model; `not told`: the host was "
        "heard, and not how its server is; `silent`: nothing was heard for 30 s; `unreachable`: no "
        "connection, or none that is trusted."
    )
    why: str = Field(default="", description="Why it is not well; empty otherwise.")
    age_s: float | None = Field(default=None, description="Seconds since it was heard.")
    models: tuple[ModelStatus, ...] = ()
    build: str | None = Field(default=None, description="The build that runs.")
    build_planned: bool | None = Field(
        default=None, description="Whether its commit is the inventory's for this host."
    )
    tokens_per_s: float | None = Field(
        default=None,
        description="Tokens of answers in a second, of all conversations; null also while a "
        "prompt is read.",
    )
    prompt_per_s: float | None = Field(
        default=None, description="Tokens of prompts that are read in a second."
    )
    slots_busy: int | None = Field(default=None, description="Conversations under way.")
    slots: int | None = Field(default=None, description="Conversations that there is room for.")
    waiting: int | None = Field(default=None, description="Requests that wait for a slot.")
    gateway: tuple[PoolStatus, ...] | None = Field(
        default=None, description="The nodes of a gateway; null: the host is none."
    )
    temperature_c: float | None = None
    throttled_now: tuple[str, ...] | None = Field(
        default=None, description="What holds the clock back now."
    )
    throttled_since_boot: tuple[str, ...] | None = Field(
        default=None, description="What held it back at some time since the boot."
    )
    resident_mib: float | None = Field(
        default=None, description="How much of the server is in memory."
    )
    swapped_mib: float | None = Field(default=None, description="How much of it is in swap.")
    planned_mib: int | None = Field(
        default=None, description="What the fit counted for its models."
    )
    uptime_s: int | None = Field(default=None, description="Seconds since the boot.")
    restarts: int | None = Field(
        default=None, description="Restarts of the service by systemd since it was started."
    )
    drift: Drift

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be done about it."""
        return self.state in WELL


class FleetStatus(Value):
    """What `bramble status --json` prints."""

    kind: Literal["bramble status"] = "bramble status"
    version: Literal[1] = 1
    at: datetime = Field(description="When it was asked, UTC.")
    hosts: tuple[HostStatus, ...]


def fleet_status(hosts: tuple[HostStatus, ...]) -> FleetStatus:
    """Return the status of hosts as of now."""
    return FleetStatus(at=datetime.now(UTC).replace(microsecond=0), hosts=hosts)


def host_status(host: Wanted, known: Known, changes: Changes, now_s: float) -> HostStatus:
    """Return what is known of a host beside what the inventory and the reports say of it."""
    state, why = _state(host, known, now_s)
    age_s = known.age_s(now_s)
    heard = known.said if state not in ("silent", "unreachable") else None
    said = heard or Said()
    bits = None if said.throttled is None else decoded(said.throttled)
    led = None if host.pools is None else gateway.pools(host.pools, host.queue, said)
    return HostStatus(
        host=host.host,
        state=state,
        why=sentence(why),
        age_s=None if age_s is None else round(age_s, 1),
        models=_models(host, said),
        build=None if said.build is None else sentence(said.build),
        build_planned=_is_planned(host, said),
        tokens_per_s=said.tokens_per_s,
        prompt_per_s=said.prompt_per_s,
        slots_busy=said.busy,
        slots=host.slots or None,
        waiting=said.waiting,
        gateway=led,
        temperature_c=said.temperature_c,
        throttled_now=bits.now if bits else None,
        throttled_since_boot=bits.since_boot if bits else None,
        resident_mib=said.resident_mib,
        swapped_mib=said.swapped_mib,
        planned_mib=host.planned_mib,
        uptime_s=said.uptime_s,
        restarts=said.restarts,
        drift=changes.drift(heard),
    )


def _state(host: Wanted, known: Known, now_s: float) -> tuple[State, str]:
    if known.problem and (known.said is None or known.is_old(now_s)):
        return "unreachable", known.problem
    if known.is_silent(now_s):
        return "silent", f"nothing was heard of it for {round(known.age_s(now_s) or 0) or 30} s"
    if known.said is None:
        return "connecting", ""
    found: tuple[State, str] = _of_server(known.said) if host.server else ("up", "")
    if host.pools is None or found[0] not in WELL:
        return found
    return _of_gateway(host, known.said) or (found if host.server else ("healthy", ""))


def _of_gateway(host: Wanted, said: Said) -> tuple[State, str] | None:
    """Return the state of a host whose gateway is not well; None where it is."""
    if said.is_late("gateway"):
        return "not told", "it does not tell how its gateway is: what asks it there hangs"
    runs, why = gateway.problem(gateway.pools(host.pools or (), host.queue, said), said)
    return ("unwell" if runs else "stopped", why) if why else None


def _of_server(said: Said) -> tuple[State, str]:
    if said.health is None:
        return "not told", "it does not tell how its server is: what asks it there hangs"
    if said.health == LOADING:
        return "loading", "its model is being loaded"
    if said.health != HEALTHY:
        word = f"its service is {said.unit or 'not known to systemd'}"
        return ("unwell" if said.unit == "active" else "stopped"), f"{word}: {said.health}"
    failed = [name for name, state in said.models.items() if state == "failed"]
    if failed:
        return "unwell", f"{', '.join(failed)} could not be loaded"
    asleep = said.models and all(state == "sleeping" for state in said.models.values())
    return ("asleep" if asleep else "healthy"), ""


def _models(host: Wanted, said: Said) -> tuple[ModelStatus, ...]:
    return tuple(
        ModelStatus(name=sentence(name), state=sanitize(state)[:40], planned=name in host.models)
        for name, state in said.models.items()
    )


def _is_planned(host: Wanted, said: Said) -> bool | None:
    """Compare the commit of the build that runs with the inventory's; both may be cut short."""
    if said.build is None or not host.commit:
        return None
    runs = said.build.rpartition("-")[2]
    return bool(runs) and (host.commit.startswith(runs) or runs.startswith(host.commit))
