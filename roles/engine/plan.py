"""What engine wants: one release of llama.cpp, named for all that went into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble.board import Board
from bramble.llama import processor
from bramble.llama.recipe import (
    BUILD_PACKAGES,
    BUILD_USER,
    OPTIONS,
    RUN_PACKAGES,
    TARGETS,
    VARIANTS,
)
from bramble.llama.releases import (
    manifest_path,
    smoke_path,
)
from bramble.outputs import EngineOutputs
from bramble.plan import FactsNeeded, Inputs, RolePlan, identity
from bramble.roles.engine import amx, build_user, kleidiai, proof
from bramble.roles.engine.settings import Git, Settings
from bramble.roles.engine.whole import HOME, TRUSTED
from bramble.roles.storage.outputs import StorageOutputs
from bramble.steps import Upload
from bramble.system.debian import RELEASES

# One unity object of llama.cpp takes up to 632 MiB to compile (measured with gcc 12, -O3), and the
# rest of the system wants some too.
MEMORY_PER_JOB_MIB = 900


@dataclass(frozen=True, kw_only=True)
class EnginePlan(RolePlan):
    """A release: its folder, and everything that the build needs to make it."""

    outputs: EngineOutputs
    source: Mapping[str, Any]
    options: Mapping[str, str]
    targets: tuple[str, ...]
    codename: str
    recipe: str
    variant: str
    pinned: bool
    keep_releases: int
    jobs: int
    uploads: tuple[Upload, ...]
    mirror: str | None
    ssd: str | None
    kleidiai: Mapping[str, Any] | None
    hook: str
    wants: proof.Wants
    refusal: str | None

    @property
    def release(self) -> str:
        """The release's identity."""
        return self.outputs.release

    @property
    def folder(self) -> str:
        """The release's folder."""
        return self.outputs.folder

    @property
    def soc(self) -> str:
        """The processor that the release is for."""
        return self.outputs.soc

    @property
    def notes(self) -> tuple[str, str]:
        """What says of the release that it is whole and computes here."""
        return (manifest_path(self.folder), smoke_path(self.folder))

    def build(self) -> dict[str, Any]:
        """Return the query of the program build_engine, except for its folders."""
        return {
            "release": self.folder,
            "source": self.source,
            "options": self.options,
            "targets": self.targets,
            "jobs": self.jobs,
            "needs_at_most": RELEASES[self.codename].libraries,
            "kleidiai": self.kleidiai,
            "hook": self.hook,
            "wants": self.wants.get("system_info", ()),
            "manifest": {
                "release": self.release,
                "source": _pin(self.source),
                "options": self.options,
                "recipe": self.recipe,
                "variant": self.variant,
                **({"kleidiai": _pin(self.kleidiai)} if self.kleidiai else {}),
                "codename": self.codename,
                "soc": self.soc,
                "build_info": self.outputs.build_info,
            },
        }


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the releases with their state (current, good, rejected), and for free space."""
    return FactsNeeded(
        files=(
            HOME.current,
            f"{HOME.programs}/*",
            *TRUSTED,
            HOME.previous,
            HOME.good,
            HOME.rejection("*"),
            build_user.SYSUSERS_FILE,
            *(of(HOME.release("*")) for of in (manifest_path, smoke_path)),
        ),
        packages=(
            *BUILD_PACKAGES,
            "git",
            *(p for v in VARIANTS.values() for p in v.get("packages", ())),
        ),
        users=(BUILD_USER,),
        free=(HOME.path,),
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> EnginePlan:
    """Plan the release for this source, these options, this system and this processor."""
    storage, lock = inputs.find(StorageOutputs), inputs.prepared.engine
    pin = lock.hosts.get(inputs.host)
    source, upload, commit = _source(settings, lock.commit_of(inputs.host))
    soc = processor.soc_key(board)
    name = settings.variant_for(soc, lock)
    variant = VARIANTS[name]
    kai = kleidiai.source(settings.kleidiai) if name == "kleidiai" else (None, None)
    options = OPTIONS | processor.options(board, settings.recipe) | variant.get("options", {})
    options |= {
        "LLAMA_BUILD_NUMBER": str(settings.build_number),
        "LLAMA_BUILD_COMMIT": commit[:9],
    }
    options |= settings.options
    hook = (kleidiai.HOOK if kai[0] else "") + (amx.HOOK if amx.wanted(options) else "")
    pins = [{**part, "upload": None} for part in (source, kai[0]) if part]
    release = identity([*pins, options, *([hook] if hook else []), board.codename, soc])
    build_info = f"b{settings.build_number}-{commit[:9]}"
    if pin:
        release, build_info = pin.release, pin.build_info
    return EnginePlan(
        packages=_packages(settings, source, variant),
        files=build_user.files(),
        outputs=EngineOutputs(home=HOME, release=release, build_info=build_info, soc=soc),
        source=source,
        options=options,
        targets=TARGETS + variant.get("targets", ()),
        codename=board.codename,
        recipe=settings.recipe,
        variant=name,
        pinned=pin is not None,
        keep_releases=settings.keep_releases,
        jobs=settings.jobs or _jobs(board),
        uploads=tuple(part for part in (upload, kai[1]) if part),
        mirror=settings.mirror,
        ssd=storage.ssd if storage else None,
        kleidiai=kai[0],
        hook=hook,
        # What a pinned release was built with is not what these settings say.
        wants={} if pin else _wants(board, options),
        refusal=kleidiai.refusal(board, settings.force) if kai[0] and not pin else None,
    )


def _wants(board: Board, options: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return what the release must report of itself on the node."""
    shown = processor.shown(board, options)
    kernels = ("q4", "q8") if "KLEIDIAI" in shown and processor.has_dotprod(board) else ()
    return {"system_info": shown, "kleidiai": kernels}


def _packages(
    settings: Settings, source: Mapping[str, Any], variant: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the compiler and its tools, or only what the programs need at run time."""
    if settings.recipe == "cross":
        return RUN_PACKAGES
    git = ("git",) if source["kind"] == "git" else ()
    more: tuple[str, ...] = variant.get("packages", ())
    return BUILD_PACKAGES + more + git


def _source(settings: Settings, decided: str | None) -> tuple[dict[str, Any], Upload | None, str]:
    """Name the source and its commit, which engine.lock may have decided."""
    archive = settings.source.archive
    if archive is None:
        git = settings.source.git or Git()
        commit = decided or git.commit
        return {"kind": "git", "url": git.url, "commit": commit}, None, commit
    remote = f"/var/tmp/bramble-source-{archive.sha256[:12]}"
    source = {
        "kind": "archive",
        "sha256": archive.sha256,
        "subdir": archive.subdir,
        "upload": remote,
    }
    return source, Upload(archive.path, remote), archive.commit


def _jobs(board: Board) -> int:
    return max(1, min(board.cores, board.memory_mib // MEMORY_PER_JOB_MIB))


def _pin(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source by what pins it, without its temporary path."""
    return {key: value for key, value in source.items() if key != "upload"}
