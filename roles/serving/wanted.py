"""The plan of serving: the service, and the paths of its files on a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bramble.checks import Task
from bramble.edge.wanted import EdgePlan
from bramble.fit.deploy import Judged
from bramble.llama.releases import Home
from bramble.outputs import ServingOutputs
from bramble.plan import File, Listener, RolePlan
from bramble.roles.serving.locking import Locked

LOOPBACK = "127.0.0.1"
UNIT = "llama-server.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
SERVER = "llama-server"
SYSUSERS_FILE = "/etc/sysusers.d/bramble-llama.conf"
USER = "llama"
# llama.cpp's tools read this file before their arguments, so it would change what is planned.
STRAY_CONFIG = "/etc/llama.cpp/config.ini"


@dataclass(frozen=True)
class Further:
    """A model beside the first one: its file, what it is to show, and the setting that says what."""

    name: str
    path: str
    task: Task
    setting: str


@dataclass(frozen=True, kw_only=True)
class ServingPlan(RolePlan):
    """The service: its unit's text is in `files`; `plan_id` is the hash of all that needs a restart."""

    outputs: ServingOutputs
    plan_id: str
    argv: tuple[str, ...]
    port: int
    model_name: str
    model_sha256: str
    model_path: str
    model_folder: str
    draft_path: str | None
    projector_path: str | None
    ctx_tokens: int
    slots: int
    release_folder: str
    build_info: str
    start_deadline_s: int
    question: str
    expect: str | None
    task: Task
    reserve_mib: int
    unsure: str | None
    fit: Judged | None
    locked: Locked | None
    speed_share: float
    engine_home: Home
    release: str
    identity: Mapping[str, str]
    attempt: str
    foreign_drop_ins: Literal["set_aside", "refuse"]
    edge: EdgePlan
    further: tuple[Further, ...] = ()
    at_once: int = 1

    def refusals(self) -> tuple[str, ...]:
        """Refuse a model that does not fit, weights that may not stay, an exposure without keys."""
        several = (self.fit and self.fit.refusal, self.locked and self.locked.refusal)
        return (*(why for why in several if why), *self.edge.refusals)

    def warnings(self) -> tuple[str, ...]:
        """Warn of arguments and of a fit that nobody can tell of, and of a context that is too long."""
        unsure = (self.unsure,) if self.unsure else ()
        return (*unsure, *(self.fit.warnings if self.fit else ()))

    def listeners(self) -> tuple[Listener, ...]:
        """Tell of the way in, where there is one."""
        return (Listener(self.edge.place.unit, self.edge.port),) if self.edge.there else ()

    @property
    def models(self) -> Mapping[str, str]:
        """The file of each model, by its name."""
        return {self.model_name: self.model_path, **{one.name: one.path for one in self.further}}

    @property
    def helpers(self) -> tuple[str, ...]:
        """The files that help the first model: of the one that guesses, and the projector."""
        return tuple(path for path in (self.draft_path, self.projector_path) if path)

    @property
    def own_files(self) -> tuple[File, ...]:
        """The files of the service itself, without those of the way in."""
        return tuple(file for file in self.files if file not in self.edge.files)

    @property
    def unit_text(self) -> str:
        """What the unit's file is to hold."""
        return next(file.text for file in self.files if file.path == UNIT_FILE)

    @property
    def program(self) -> str:
        """The server's program, without the link that a later release moves."""
        return f"{self.release_folder}/bin/llama-server"

    @property
    def good(self) -> str:
        """The node's note of the release that passed the gate last."""
        return self.engine_home.good

    @property
    def rejection(self) -> str:
        """The node's note that this very plan failed the gate, with the release that was good before."""
        return self.engine_home.rejection(f"{self.release}-{self.attempt}")

    @property
    def url(self) -> str:
        """The server's address as the node itself reaches it."""
        return f"http://{LOOPBACK}:{self.port}"
