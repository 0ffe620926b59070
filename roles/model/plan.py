"""What model wants: files, each named for its content, with the stamp that says it was verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from bramble.board import Board
from bramble.llama.lock import Held
from bramble.llama.releases import Home, note
from bramble.models import beside
from bramble.node.roots import above, give_back
from bramble.node.ssd import left_on_card
from bramble.outputs import EngineOutputs, FurtherModel, ModelOutputs
from bramble.plan import FactsNeeded, File, Inputs, NodePlan, RolePlan
from bramble.prepared import Prepared
from bramble.roles.model import disk
from bramble.roles.model.files import (
    ADDRESSES,
    RADIO,
    ROUTE,
    FurtherFile,
    as_shared,
    fetched,
    sources,
    unverified,
)
from bramble.roles.model.pinned import ChosenModel, unmeasured
from bramble.roles.model.settings import Settings
from bramble.roles.storage.outputs import StorageOutputs
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, Upload, write_files


@dataclass(frozen=True, kw_only=True)
class ModelPlan(RolePlan):
    """The first model file: its sources, its path, and its sha256; and the files beside it.

    Those are of models that are served too, of the one that guesses, and of the projector.
    """

    outputs: ModelOutputs
    size_bytes: int | None
    sources: tuple[str, ...]
    upload: Upload | None
    stays: bool
    further: tuple[FurtherFile, ...] = ()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.outputs.name

    @property
    def sha256(self) -> str:
        """What the file must be."""
        return self.outputs.sha256

    @property
    def path(self) -> str:
        """The file on the node."""
        return self.outputs.path

    @property
    def folder(self) -> str:
        """The models' folder, which may lead to the SSD."""
        return self.outputs.folder

    @property
    def trusted(self) -> tuple[str, ...]:
        """What root alone may write, the outermost first."""
        own = (path for one in self.every for path in (one.path, one.stamp))
        return (*way_to(self.folder), *own)

    def warnings(self) -> tuple[str, ...]:
        """Warn of further models of which nobody knows what they take beside the others."""
        outputs = self.outputs
        several = [
            *(("also", one) for one in outputs.further),
            ("draft", outputs.draft),
            ("projector", outputs.projector),
        ]
        return tuple(
            unmeasured(setting, one.use)
            for setting, one in several
            if one and not (one.dimensions or one.projector)
        )

    @property
    def every(self) -> tuple[ModelPlan | FurtherFile, ...]:
        """All of the node's model files, the first one first."""
        return (self, *self.further)

    @property
    def stamp(self) -> str:
        """The file that remembers the verified sha256, with the model's size and time."""
        return beside.stamp(self.path)


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the file and its notes, those of other models, and free space."""
    chosen = settings.chosen(inputs.host, inputs.prepared)
    paths = [settings.file(one) for one in (chosen, *_beside(settings, inputs))]
    # Other models with what was noted of them: a rollback may want any of them.
    others = f"{settings.place}/*.gguf*"
    place = settings.place
    files = (
        *(file for path in paths for file in (path, beside.stamp(path), beside.dimensions(path))),
        others,
        RADIO.format("*"),
        *way_to(place),
    )
    return FactsNeeded(
        files=(*files, left_on_card(place)),
        free=(place,),
        commands=(ROUTE, ADDRESSES),
    )


def way_to(folder: str) -> tuple[str, ...]:
    """Return the folder and its parents; where it is a link, those of its target too."""
    return (*above(folder), f"{folder}/..", f"{folder}/.")


def plan(settings: Settings, board: Board, inputs: Inputs) -> ModelPlan:
    """Plan the files, which do not depend on the board."""
    pin, folder = settings.chosen(inputs.host, inputs.prepared), settings.place
    further = settings.further(inputs.host, inputs.prepared)
    draft = settings.drafting(inputs.host, inputs.prepared)
    projector = settings.seeing(inputs.host, inputs.prepared)
    path = settings.file(pin)
    storage, engine = inputs.find(StorageOutputs), inputs.find(EngineOutputs)
    remote = f"/var/tmp/bramble-model-{pin.sha256[:12]}"
    return ModelPlan(
        outputs=ModelOutputs(
            name=pin.name,
            sha256=pin.sha256,
            of_inventory=settings.own(inputs.prepared).sha256,
            path=path,
            folder=folder,
            ssd=storage.ssd if storage and not settings.folder else None,
            engine_home=engine.home.path if engine else None,
            when_too_large=settings.fit,
            dimensions=pin.fit,
            others=pin.others,
            unlocked=pin.unlocked,
            further=tuple(_told(settings, one) for one in further),
            draft=_told(settings, draft) if draft else None,
            projector=_told(settings, projector) if projector else None,
        ),
        files=_notes(pin, path),
        size_bytes=pin.size_bytes,
        sources=sources(pin),
        upload=Upload(pin.path, remote) if pin.path else None,
        stays=settings.folder is not None,
        further=tuple(_file(settings, one) for one in _beside(settings, inputs)),
    )


def _beside(settings: Settings, inputs: Inputs) -> tuple[ChosenModel, ...]:
    """Return the files beside the first one."""
    host, prepared = inputs.host, inputs.prepared
    helping = (settings.drafting(host, prepared), settings.seeing(host, prepared))
    return (*settings.further(host, prepared), *(one for one in helping if one))


def _told(settings: Settings, pin: ChosenModel) -> FurtherModel:
    """Return what those who serve the models are told of a further one."""
    return FurtherModel(
        pin.name, pin.use or pin.name, pin.sha256, settings.file(pin), pin.fit, pin.projector
    )


def _file(settings: Settings, pin: ChosenModel) -> FurtherFile:
    return FurtherFile(
        name=pin.name,
        sha256=pin.sha256,
        path=settings.file(pin),
        size_bytes=pin.size_bytes,
        sources=sources(pin),
    )


def _notes(pin: ChosenModel, path: str) -> tuple[File, ...]:
    """Return the note of the file's dimensions, where they were read from its address."""
    if not pin.noted or pin.fit is None:
        return ()
    return (File(path=beside.dimensions(path), text=f"{pin.fit.model_dump_json()}\n"),)


def steps(plan: ModelPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Place the folder on its disk, fetch each file unless it is there, note a header's dimensions.

    There is one step for each model, so that the hosts of a run share each of them.
    """
    folder = str(PurePosixPath(plan.path).parent)
    stamps = [
        path for path in _paths(snapshot) if path.startswith(folder) and path.endswith(".json")
    ]
    given = give_back("Give the model's folder to root", snapshot, plan.trusted, stamps)
    noted = write_files("Note what the model takes", plan.files, snapshot)
    more = (_fetch_further(one, snapshot) for one in plan.further)
    return (given, placed(plan, snapshot), _fetch(plan, node.host, snapshot), *more, noted)


def _paths(snapshot: Snapshot) -> tuple[str, ...]:
    return () if isinstance(snapshot.files, Unknown) else tuple(snapshot.files)


def _held(plan: ModelPlan, host: str) -> str | None:
    """Return why the inventory's model is not installed, where that is so."""
    if plan.sha256 == plan.outputs.of_inventory:
        return None
    return (
        f"{host} went back to {plan.name} (engine.lock) and stays there until the inventory names "
        f"another model than now, or `bramble model rollback {host}` returns"
    )


def _fetch(plan: ModelPlan, host: str, snapshot: Snapshot) -> Step:
    """Fetch the file unless a verified one is there; then this node can serve it to others."""
    name, why = "Fetch the model", unverified(plan, snapshot)
    shared = None if plan.upload else as_shared(plan, snapshot, whole=why is None)
    if why is None:
        return Step(name, None, shared=shared, note=_held(plan, host))
    if not plan.sources and plan.upload is None:
        why = (
            f"{host} went back to {plan.name}, which is neither whole there ({why}) nor in models.lock: "
            f"name another model for {host}, or delete its lines below models in engine.lock"
        )
        return Step(name, why, "refuse", {"why": why}, at_once=True)
    return fetched(name, why, plan, shared)


def _fetch_further(file: FurtherFile, snapshot: Snapshot) -> Step:
    """Fetch a further file unless a verified one is there."""
    name, why = f"Fetch the model {file.name}", unverified(file, snapshot)
    shared = as_shared(file, snapshot, whole=why is None)
    return Step(name, None, shared=shared) if why is None else fetched(name, why, file, shared)


def back(settings: Settings, inputs: Inputs, snapshot: Snapshot) -> Prepared | str:
    """Hold the host to the model that passed the gate before, or say why that cannot be."""
    good = note(snapshot, Home().good)
    history = good.get("history")
    records = history if isinstance(history, list) else []
    before = next((r for r in records if r.get("model") != good.get("model")), None)
    if before is None or not before.get("name"):
        return "no other model passed the gate here before, so there is nothing to go back to"
    own = settings.own(inputs.prepared).sha256
    held = Held(name=before["name"], sha256=before["model"], instead_of=own)
    found = inputs.prepared.with_model(inputs.host, held)
    model = settings.chosen(inputs.host, found)
    there = snapshot.file(beside.stamp(settings.file(model)))
    if not isinstance(there, FileState) and not model.url:
        return (
            f"model {before['name']}, which ran here before, is not there any more, and models.lock "
            "does not have it; nothing was changed"
        )
    return found


def revert(plan: ModelPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Move the folder back to the card; the files are data and stay."""
    return (disk.back(_desired(plan), snapshot),)


def placed(plan: ModelPlan, snapshot: Snapshot) -> Step:
    """Place the folder on the disk chosen for the models."""
    return disk.place(_desired(plan), snapshot)


def _desired(plan: ModelPlan) -> disk.Desired:
    """Return what decides on the models' disk."""
    sizes = {one.path: one.size_bytes for one in plan.every}
    return disk.Desired(plan.folder, plan.stays, plan.outputs.ssd, sizes)


def prune(plan: ModelPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Remove old models where there may be some: what runs, and what ran last, the node tells."""
    name, folder = "Remove old models", str(PurePosixPath(plan.path).parent)
    if isinstance(snapshot.files, Unknown):
        others = ["the node would not say which"]
    else:
        ours = {
            path
            for one in plan.every
            for path in (one.stamp, f"{one.path}.part", beside.damaged(one.path))
        }
        seen = [path for path, state in snapshot.files.items() if state and path not in ours]
        paths = [path for path in map(PurePosixPath, seen) if str(path.parent) == folder]
        parts = [path.name for path in paths if path.name.endswith(".gguf.part")]
        bad = [path.stem for path in paths if path.name.endswith(beside.damaged(".gguf"))]
        old = [path.stem for path in paths if path.name.endswith(beside.stamp(".gguf"))]
        # One other is the predecessor at least.
        others = sorted([*parts, *bad, *(old if len(old) > 1 else [])])
    if not others:
        return (Step(name, None),)
    query = {**plan.outputs.housekeeping, "list": False}
    return (Step(name, ", ".join(others), "prune_models", query, detached=True),)
