"""What model wants: one file, named for its content, with the stamp that says it was verified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from bramble.board import Board
from bramble.fit.deploy import provided
from bramble.fit.kept import Kept
from bramble.llama.releases import note
from bramble.plan import File, Given, Interests, NodePlan, RolePlan
from bramble.roles.model import disk
from bramble.roles.model.settings import Pin, Settings
from bramble.sanitize import address
from bramble.snapshot import FileState, Output, Snapshot, Unknown
from bramble.steps import Shared, Step, Upload, write_files
from bramble.system.parse import default_device
from bramble.system.roots import above, give_back
from bramble.system.ssd import left_on_card

ROUTE = "ip -json route show default"
ADDRESSES = "hostname -I"
RADIO = "/sys/class/net/{}/wireless"


@dataclass(frozen=True, kw_only=True)
class ModelPlan(RolePlan):
    """The model file: where it comes from, where it lies, what it must be."""

    name: str
    path: str
    sha256: str
    size_bytes: int | None
    sources: tuple[str, ...]
    upload: Upload | None
    engine_home: str | None
    folder: str
    ssd: str | None
    stays: bool

    @property
    def housekeeping(self) -> dict[str, str | None]:
        """What the program prune_models goes by."""
        folder = str(PurePosixPath(self.path).parent)
        return {"folder": folder, "planned": self.path, "home": self.engine_home}

    @property
    def trusted(self) -> tuple[str, ...]:
        """What root alone may write, the outermost first."""
        return (*way_to(self.folder), self.path, self.stamp)

    @property
    def stamp(self) -> str:
        """The file that remembers the verified sha256, with the model's size and time."""
        return f"{self.path}.json"


def _path(settings: Settings) -> str:
    """The same content has the same place, so two models never share one."""
    pin = settings.pin
    return f"{settings.place}/{pin.name}-{pin.sha256[:12]}.gguf"


def interests(settings: Settings) -> Interests:
    """The file with what was noted of it, those of other models, and the room that there is."""
    path = _path(settings)
    # Other models with what was noted of them: a rollback may want any of them.
    others = f"{settings.place}/*.gguf*"
    place = settings.place
    files = (path, f"{path}.json", f"{path}.fit", others, RADIO.format("*"), *way_to(place))
    return Interests(
        files=(*files, left_on_card(place)),
        free=(place,),
        commands=(ROUTE, ADDRESSES),
    )


def way_to(folder: str) -> tuple[str, ...]:
    """The folder with those above it; where it is a link, those that it leads to are among them."""
    return (*above(folder), f"{folder}/..", f"{folder}/.")


def plan(settings: Settings, board: Board, given: Given) -> ModelPlan:
    """The file, which does not depend on the board."""
    path, pin, folder = _path(settings), settings.pin, settings.place
    mount = None if settings.folder else given.get("storage.ssd")
    remote = f"/var/tmp/bramble-model-{pin.sha256[:12]}"
    return ModelPlan(
        provides={
            "model.name": pin.name,
            "model.path": path,
            "model.folder": folder,
            **({"model.ssd": mount} if mount else {}),
            "model.sha256": pin.sha256,
            "model.of_inventory": settings.own.sha256,
            **provided(pin.fit, pin.others, pin.unlocked, settings.fit),
        },
        files=_notes(pin, path),
        name=pin.name,
        path=path,
        sha256=pin.sha256,
        size_bytes=pin.size_bytes,
        sources=tuple(url for url in (pin.mirror_url, pin.url) if url),
        upload=Upload(pin.path, remote) if pin.path else None,
        engine_home=given.get("engine.home"),
        folder=folder,
        ssd=mount,
        stays=settings.folder is not None,
    )


def _notes(pin: Pin, path: str) -> tuple[File, ...]:
    """What is to be remembered beside the file: its dimensions, where they came from its address."""
    if not pin.noted or pin.fit is None:
        return ()
    return (File(path=f"{path}.fit", text=f"{pin.fit.model_dump_json()}\n"),)


def ahead(settings: Settings, snapshot: Snapshot) -> Kept | str | None:
    """What the node noted of a model that neither the lock nor this computer knows, or its address.

    None where it is known, or where it is on the node already: then nothing is fetched that could be
    too large.
    """
    pin, path = settings.pin, _path(settings)
    if pin.fit:
        return None
    there = isinstance(snapshot.file(path), FileState)
    try:
        noted = Kept.model_validate(note(snapshot, f"{path}.fit"))
    except ValidationError:
        return None if there else pin.url
    return pin.url if noted.stale and not there else noted


def steps(plan: ModelPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Have the folder on its disk, fetch the file unless it is there, note what its header said."""
    folder = str(PurePosixPath(plan.path).parent)
    stamps = [
        path for path in _paths(snapshot) if path.startswith(folder) and path.endswith(".json")
    ]
    given = give_back("Give the model's folder to root", snapshot, plan.trusted, stamps)
    noted = write_files("Note what the model takes", plan.files, snapshot)
    return (given, placed(plan, snapshot), _fetch(plan, node.host, snapshot), noted)


def _paths(snapshot: Snapshot) -> tuple[str, ...]:
    return () if isinstance(snapshot.files, Unknown) else tuple(snapshot.files)


def _held(plan: ModelPlan, host: str) -> str | None:
    """Why the inventory's model does not come, where that is so."""
    if plan.sha256 == plan.provides["model.of_inventory"]:
        return None
    return (
        f"{host} went back to {plan.name} (engine.lock) and stays there until the inventory names "
        f"another model than now, or `bramble model rollback {host}` returns"
    )


def _fetch(plan: ModelPlan, host: str, snapshot: Snapshot) -> Step:
    """Fetch the file unless a verified one is there; then this node can give it to others."""
    name, why = "Fetch the model", unverified(plan, snapshot)
    shared = None if plan.upload else _shared(plan, snapshot, whole=why is None)
    if why is None:
        return Step(name, None, shared=shared, note=_held(plan, host))
    if not plan.sources and plan.upload is None:
        why = (
            f"{host} went back to {plan.name}, which is neither there any more nor in models.lock: "
            f"name another model for {host}, or delete its lines below models in engine.lock"
        )
        return Step(name, why, "refuse", {"why": why}, at_once=True)
    query = {
        "path": plan.path,
        "sha256": plan.sha256,
        "size_bytes": plan.size_bytes,
        "sources": [{"url": url, "name": address(url), "direct": False} for url in plan.sources],
        "upload": plan.upload.remote if plan.upload else None,
    }
    return Step(
        name,
        why,
        "fetch_model",
        query,
        detached=True,
        timeout_s=24 * 3600,
        uploads=(plan.upload,) if plan.upload else (),
        shared=shared,
        # What serves a file that was replaced here is seen by the next look alone.
        look_again=True,
    )


def back(settings: Settings, good: Mapping[str, Any], snapshot: Snapshot) -> Settings | str:
    """The settings for the model that passed the gate before, or why there is no way back to it."""
    history = good.get("history")
    records = history if isinstance(history, list) else []
    before = next((r for r in records if r.get("model") != good.get("model")), None)
    if before is None or not before.get("name"):
        return "no other model passed the gate here before, so there is nothing to go back to"
    found = settings.back_to(before["name"], before["model"])
    there = snapshot.file(f"{_path(found)}.json")
    if not isinstance(there, FileState) and not found.pin.url:
        return (
            f"model {before['name']}, which ran here before, is not there any more, and models.lock "
            "does not have it; nothing was changed"
        )
    return found


def _shared(plan: ModelPlan, snapshot: Snapshot, *, whole: bool) -> Shared:
    """The file as the hosts of a run pass it on."""
    seen = snapshot.file(plan.path if whole else f"{plan.path}.part")
    there = seen.size_bytes if isinstance(seen, FileState) else 0
    return Shared(
        sha256=plan.sha256,
        path=plan.path,
        size_bytes=plan.size_bytes,
        there_bytes=there,
        wireless=_is_wireless(snapshot),
        sources=plan.sources,
        addresses=_addresses(snapshot),
    )


def _addresses(snapshot: Snapshot) -> tuple[str, ...]:
    """The node's addresses; one that does not tell any is not let in by others, and has another way."""
    said = snapshot.command(ADDRESSES)
    return tuple(said.output.split()) if isinstance(said, Output) and not said.code else ()


def _is_wireless(snapshot: Snapshot) -> bool:
    """Whether the default route goes over a radio; a node that does not say counts as on a wire."""
    said = snapshot.command(ROUTE)
    if not isinstance(said, Output) or said.code or isinstance(snapshot.files, Unknown):
        return False
    try:
        device = default_device(said.output)
    except ValueError:
        return False
    return isinstance(snapshot.files.get(RADIO.format(device)), FileState)


def revert(plan: ModelPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """The folder is on the card again; the files are data and stay where they are."""
    return (disk.back(_wish(plan), snapshot),)


def placed(plan: ModelPlan, snapshot: Snapshot) -> Step:
    """Have the folder on the disk that the models are to be on."""
    return disk.place(_wish(plan), snapshot)


def _wish(plan: ModelPlan) -> disk.Wish:
    """What the models' disk is chosen by."""
    return disk.Wish(plan.folder, plan.stays, plan.ssd, plan.path, plan.size_bytes)


def prune(plan: ModelPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Remove old models where there may be some: what runs, and what ran last, the node tells."""
    name, folder = "Remove old models", str(PurePosixPath(plan.path).parent)
    if isinstance(snapshot.files, Unknown):
        others = ["the node would not say which"]
    else:
        ours = (plan.stamp, f"{plan.path}.part", f"{plan.path}.damaged")
        seen = [path for path, state in snapshot.files.items() if state and path not in ours]
        beside = [path for path in map(PurePosixPath, seen) if str(path.parent) == folder]
        parts = [path.name for path in beside if path.name.endswith(".gguf.part")]
        bad = [path.stem for path in beside if path.name.endswith(".gguf.damaged")]
        old = [path.stem for path in beside if path.name.endswith(".gguf.json")]
        # One other is the predecessor at least.
        others = sorted([*parts, *bad, *(old if len(old) > 1 else [])])
    if not others:
        return (Step(name, None),)
    query = {**plan.housekeeping, "list": False}
    return (Step(name, ", ".join(others), "prune_models", query, detached=True),)


def unverified(plan: ModelPlan, snapshot: Snapshot) -> str | None:
    """Why the file on the node does not count as the planned one, None when it does.

    A hash taken in this look decides where there is one; larger files are believed while they have
    the size and time that the stamp remembers.
    """
    seen, stamp = snapshot.file(plan.path), snapshot.file(plan.stamp)
    if not isinstance(seen, FileState):
        return f"{plan.path} is not there"
    if seen.owner != "root":
        return f"{plan.path} belongs to {seen.owner}, who may change it"
    if seen.sha256 == plan.sha256:
        return None
    if seen.sha256 is not None:
        return f"{plan.path} has sha256 {seen.sha256[:12]}..., not {plan.sha256[:12]}..."
    if not isinstance(stamp, FileState) or not stamp.text:
        return f"{plan.path} was never verified"
    wanted = {"sha256": plan.sha256, "size": seen.size_bytes, "mtime_ns": seen.mtime_ns}
    try:
        verified = json.loads(stamp.text) == wanted
    except ValueError:
        verified = False
    return None if verified else f"{plan.path} changed after it was verified"
