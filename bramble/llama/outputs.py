"""What the roles of llama.cpp give: its release on a node, and the service that runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bramble.board import Board
from bramble.llama.releases import Home
from bramble.plan import Outputs
from bramble.steps import Upload


@dataclass(frozen=True, kw_only=True)
class EngineOutputs(Outputs):
    """The planned release of llama.cpp: its identity, its folder, and the processor it is built for."""

    home: Home
    release: str
    build_info: str
    soc: str

    @property
    def folder(self) -> str:
        """The release's own folder."""
        return self.home.release(self.release)


@dataclass(frozen=True, kw_only=True)
class ServingOutputs(Outputs):
    """The service that answers, and its computing parameters."""

    unit: str
    threads: int
    ubatch_tokens: int


class EngineSettings(Protocol):
    """What a race and a build on this computer ask of an engine's settings."""

    @property
    def recipe(self) -> str:
        """Where releases are compiled: `native` or `cross`."""

    @property
    def from_archive(self) -> bool:
        """Whether releases are built from an archive, which holds one commit."""

    def worth_a_race(self, board: Board) -> tuple[str, ...]:
        """Name the variants that may be faster than plain on this board."""


class Buildable(Protocol):
    """A planned release that this computer can build."""

    @property
    def release(self) -> str:
        """The release's identity."""

    @property
    def soc(self) -> str:
        """The processor that it is built for."""

    @property
    def uploads(self) -> Sequence[Upload]:
        """The files of this computer that the build needs."""

    @property
    def refusal(self) -> str | None:
        """Why it is not built; None where it may be."""

    def build(self, codename: str) -> Mapping[str, Any]:
        """Return the query of the program build_engine, without its working folders."""
