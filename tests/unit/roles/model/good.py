"""What a good node shows of model: the pinned file on the SSD, as it was verified."""

import json
from typing import Any

from bramble.plan import NodePlan
from bramble.snapshot import FileState, Output, Snapshot
from tests.unit.looks import FOLDER, link, plain

MODEL_SHA256 = "d" * 64
ROUTE = "ip -json route show default"
ADDRESSES = "hostname -I"
SETTINGS = {
    "name": "toy-q4_0",
    "url": "http://models.example.org/toy-q4_0.gguf",
    "sha256": MODEL_SHA256,
}


def _beside(model: Any) -> dict[str, FileState]:
    """The models beside the first one, verified as it is."""
    stamp = {"size": 10**9, "mtime_ns": 7}
    return {
        path: state
        for one in model.further
        for path, state in (
            (one.path, FileState("file", 0o644, "root", "root", 10**9, 7)),
            (one.stamp, plain(json.dumps({"sha256": one.sha256, **stamp}))),
        )
    }


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    model = plan.roles["model"]
    verified = {"sha256": model.sha256, "size": 10**9, "mtime_ns": 7}
    above = ("/var/lib/bramble", "/var/lib", "/var", "/", "/mnt/ssd")
    to_it = (f"{model.folder}/.", f"{model.folder}/..")
    return Snapshot(
        files={
            "/var/lib/bramble/models": FOLDER,
            # Above the hash limit, as real models are: known by its stamp.
            model.path: FileState("file", 0o644, "root", "root", 10**9, 7),
            model.stamp: plain(json.dumps(verified)),
            model.folder: link("/mnt/ssd/bramble/models"),
            f"{model.folder}.card": None,
            **_beside(model),
            **dict.fromkeys((*above, *to_it), FOLDER),
        },
        commands={
            ADDRESSES: Output(0, "10.0.0.7 \n"),
            ROUTE: Output(
                0, '[{"dst":"default","gateway":"192.168.1.1","dev":"eth0","metric":100}]'
            ),
        },
    )
