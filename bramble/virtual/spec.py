"""What a node was made as: saved beside its files, read by its supervisor."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bramble.virtual import paths, processes, releases
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.model import Kind, in_order, is_name, kind_of, up_command

SSD_BYTES = 16 << 30
"""The size of the second disk of a node, which plays the USB SSD."""


@dataclass(frozen=True)
class Spec:
    """A node's make: board, fault and release, the read-only layers below its own files, top first."""

    name: str
    board: str
    fault: str | None
    layers: tuple[str, ...]
    ccache: bool
    release: str = releases.DEFAULT

    @property
    def kind(self) -> Kind:
        return kind_of(self.name)

    @property
    def folder(self) -> Path:
        return paths.node_dir(self.name)

    @property
    def upper(self) -> Path:
        """Return the folder of the node's own files: what differs from the layers below."""
        return self.folder / "upper"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def record(self) -> Path:
        """Return the file of the supervisor's process record, there while the node runs."""
        return self.folder / "supervisor.json"

    @property
    def booted(self) -> Path:
        """Return the file that is touched at each boot: its time is the node's start."""
        return self.folder / "booted"

    def running(self) -> processes.ProcessRecord | None:
        return processes.load(self.record)

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = _path(self.name)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.rename(path)


def find(name: str) -> Spec | None:
    """Return the node of this name, None when there is none or when it was made only in part."""
    try:
        found = json.loads(_path(name).read_text())
        return Spec(**{**found, "layers": tuple(found["layers"])})
    except PermissionError as error:
        raise VirtualPiError(
            f"{error.filename} is for root only: use 'sudo -E bramble ...'"
        ) from error
    except (FileNotFoundError, json.JSONDecodeError, TypeError, KeyError):
        return None


def load(name: str) -> Spec:
    """Return the node of this name; raise VirtualPiError when there is none."""
    found = find(name)
    if found is None:
        raise VirtualPiError(
            f"there is no virtual Pi {name}: 'bramble virtual list' shows those that are, "
            f"'{up_command(name)}' makes it"
        )
    return found


def runs(name: str) -> bool:
    """Return whether a node of this name exists and runs."""
    found = find(name)
    return found is not None and found.running() is not None


def all_specs() -> list[Spec]:
    """Return every whole node, by number."""
    return [found for name in all_names() if (found := find(name))]


def _path(name: str) -> Path:
    return paths.node_dir(name) / "node.json"


def all_names(kind: Kind | None = None) -> list[str]:
    """Return every node that has a folder, readable or not, by number; of one kind if it is given."""
    found = (place.name for place in paths.nodes_dir().glob("*") if is_name(place.name))
    return list(in_order(name for name in found if kind in (None, kind_of(name))))
