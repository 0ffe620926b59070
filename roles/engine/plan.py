"""What engine wants: one release of llama.cpp, named for all that went into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    link_target,
    linked,
    manifest_path,
    note,
    smoke_path,
    superfluous,
    there,
)
from bramble.node.roots import give_back
from bramble.outputs import EngineOutputs
from bramble.plan import FactsNeeded, Inputs, NodePlan, RolePlan, identity
from bramble.roles.engine import amx, build_user, kleidiai, proof
from bramble.roles.engine.place import place
from bramble.roles.engine.settings import Git, Settings
from bramble.roles.engine.whole import HOME, TRUSTED, built_elsewhere, incomplete, trusted
from bramble.roles.storage.outputs import StorageOutputs
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, Stored, Upload, install_packages, remove_files
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


def steps(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Install the release where it is missing, make it current if it computes here, remove old ones."""
    given = give_back("Give the releases to root", snapshot, trusted(snapshot), plan.notes)
    return (
        given,
        *build_user.steps(snapshot),
        _install(plan, node, snapshot),
        _switch(plan, snapshot),
        _clear_up(plan, snapshot),
    )


def candidate(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Install the release beside the current one, for a race."""
    packages = install_packages("Install what the release needs", plan.packages, snapshot)
    return (packages, *build_user.steps(snapshot), _install(plan, node, snapshot))


def revert(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Make no release the current one; those that were built stay, as they took long to build.

    The user that builds stays too, as its number must not become another's.
    """
    notes = (HOME.previous, HOME.good, *_rejections(snapshot))
    return (
        remove_files("Make no release current", (HOME.current,), snapshot),
        remove_files("Forget which releases were good", notes, snapshot),
        remove_files(
            "Remove the file of the user that builds", (build_user.SYSUSERS_FILE,), snapshot
        ),
    )


def again(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Forget that this node rejected the planned release, so that later steps retry it."""
    mark = HOME.rejection(plan.release)
    marks = [path for path in _rejections(snapshot) if path == mark]
    step = remove_files("Forget that the release was rejected", marks, snapshot)
    return (replace(step, look_again=True),)


def _rejections(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the notes of releases that were rejected on this node."""
    files = {} if isinstance(snapshot.files, Unknown) else snapshot.files
    return tuple(path for path in files if path.startswith(f"{HOME.rejected}/"))


def _install(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> Step:
    """Take the release from this computer's store; have one node build it where the store has none."""
    name = "Install llama.cpp"
    if plan.refusal:
        return Step(name, plan.refusal, "refuse", {"why": plan.refusal})
    if refused := _rejected(plan, node.host, snapshot):
        return Step(name, refused, "refuse", {"why": refused})
    stored = Stored(
        key=plan.release,
        program="install_release",
        query={"home": HOME.path, "release": plan.folder},
        remote=f"/var/tmp/bramble-release-{plan.release}",
        otherwise=_not_stored(plan, node.host),
        mirror=plan.mirror,
    )
    why = incomplete(plan.folder, snapshot)
    if why is None:
        return Step(name, None, stored=stored)
    return Step(
        name,
        why + built_elsewhere(plan.codename, snapshot),
        "build_engine",
        plan.build() | place(plan.ssd, HOME.path, snapshot) | {"user": BUILD_USER},
        detached=True,
        timeout_s=6 * 3600,
        uploads=plan.uploads,
        stored=stored,
    )


def _rejected(plan: EnginePlan, host: str, snapshot: Snapshot) -> str | None:
    """Return why the release is not retried automatically; None when it may be."""
    reported = note(snapshot, HOME.rejection(plan.release))
    if not reported:
        return None
    return (
        f"release {plan.release} was rejected here on {reported.get('at')}: {reported.get('why')}; "
        f"mend that and run `bramble upgrade --again {host}`"
    )


def _not_stored(plan: EnginePlan, host: str) -> str | None:
    """Return why a release that the store lacks cannot be installed; None: it can be built."""
    if plan.pinned:
        return (
            f"{host} is pinned to release {plan.release}, which is neither there nor in this "
            f"computer's store: run `bramble upgrade {host}`, which drops the pin"
        )
    if plan.recipe != "cross":
        return None
    return (
        f"engine.recipe is cross, and this computer's store has no release {plan.release} for "
        f"{plan.soc} and {plan.codename}: run `bramble engine build --soc {plan.soc} --codename "
        f"{plan.codename}`, or set engine.recipe to native"
    )


def _pin(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source by what pins it, without its temporary path."""
    return {key: value for key, value in source.items() if key != "upload"}


def _switch(plan: EnginePlan, snapshot: Snapshot) -> Step:
    name, target = "Make the release current", link_target(plan.release)
    seen = snapshot.file(HOME.current)
    if isinstance(seen, FileState) and seen.target == target:
        again = "it is installed again" if incomplete(plan.folder, snapshot) else None
        why = again or proof.unproven(plan.wants, snapshot, plan.folder)
        if why is None:
            return Step(name, None)
    else:
        why = f"{seen.target if isinstance(seen, FileState) else 'nothing'} -> {target}"
    query = {"path": HOME.current, "target": target, "wants": plan.wants, "user": BUILD_USER}
    return Step(name, why, "switch_engine", query, timeout_s=600)


def _clear_up(plan: EnginePlan, snapshot: Snapshot) -> Step:
    """Remove releases beyond those to keep; the node itself looks once more what is in use."""
    good = str(note(snapshot, HOME.good).get("release", ""))
    needed = (plan.release, linked(snapshot, HOME.current), linked(snapshot, HOME.previous), good)
    gone = superfluous(there(snapshot, HOME.path), needed, plan.keep_releases)
    if not gone:
        return Step("Remove old releases", None)
    query = {"home": HOME.path, "releases": list(gone)}
    return Step("Remove old releases", ", ".join(gone), "prune_releases", query)
