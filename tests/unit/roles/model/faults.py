"""What spoils what model proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from tests.unit import several
from tests.unit.looks import FOLDER, WHY, plain, with_file
from tests.unit.spoiled import GOOD, NO_FILES, PLAN, Cases, Exceptions, Node, owned_by, with_mode

MODEL = PLAN.roles["model"]

BESIDE = several.SEVERAL.roles["model"].further[0]


def beside(path, seen):
    """A node of several models but for one path of the further one."""
    return several.node(with_file(several.LOOK, path, seen))


FAULTS: Cases = {
    "further_models_are_the_pinned_ones": {
        "not there": beside(BESIDE.path, None),
        "another content": beside(BESIDE.path, plain("another")),
        "never verified": beside(BESIDE.stamp, None),
        "touched since": beside(BESIDE.path, replace(several.LOOK.file(BESIDE.path), mtime_ns=8)),
        "a bit flipped on the disk": several.node(on_disk="e" * 64),
    },
    "model_belongs_to_root": {
        "the service's folder": owned_by("llama", "/var/lib/bramble/models"),
        "the service's file": owned_by("llama", MODEL.path),
        "the service's word that it was verified": owned_by("llama", MODEL.stamp),
        "the service's further file": beside(
            BESIDE.path, replace(several.LOOK.file(BESIDE.path), owner="llama")
        ),
        "a folder open to all": with_mode(0o757, "/var/lib/bramble"),
    },
    "models_are_on_their_disk": {
        "on the card beside an SSD": with_file(GOOD, MODEL.folder, FOLDER),
        "on an SSD that is gone": replace(GOOD, mounts=()),
    },
    "model_is_the_pinned_one": {
        "not there": with_file(GOOD, MODEL.path, None),
        "another content": with_file(GOOD, MODEL.path, plain("another")),
        "never verified": with_file(GOOD, MODEL.stamp, None),
        "touched since": with_file(GOOD, MODEL.path, replace(GOOD.file(MODEL.path), mtime_ns=8)),
        "a bit flipped on the disk": Node(GOOD, on_disk="e" * 64),
        "a disk that does not read": Node(GOOD, on_disk="cannot be read: Input/output error"),
    },
}

BLIND: Cases = {
    "further_models_are_the_pinned_ones": {
        "no files": several.node(replace(several.LOOK, files=WHY)),
        "no model": beside(BESIDE.path, WHY),
        "not read back": several.node(on_disk=WHY),
    },
    "model_belongs_to_root": {
        "no files": NO_FILES,
        "no folder": with_file(GOOD, "/var/lib/bramble/models", WHY),
    },
    "models_are_on_their_disk": {
        "no folder": with_file(GOOD, MODEL.folder, WHY),
        "no mounts": replace(GOOD, mounts=WHY),
    },
    "model_is_the_pinned_one": {
        "no files": NO_FILES,
        "no model": with_file(GOOD, MODEL.path, WHY),
        "no stamp": with_file(GOOD, MODEL.stamp, WHY),
        "not read back": Node(GOOD, on_disk=WHY),
    },
}

APPLIES_TO = {"further_models_are_the_pinned_ones": several.node()}
SKIPPED: Exceptions = {
    "further_models_are_the_pinned_ones": ((GOOD, "none of model.also, model.draft"),),
}
