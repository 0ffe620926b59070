"""What a good node shows of engine: a whole release that is the current one."""

import json
from dataclasses import replace

from bramble.plan import NodePlan
from bramble.snapshot import Snapshot
from tests.unit.looks import FOLDER, link, plain

SERVER_SHA256 = "b" * 64
CURRENT = "/opt/bramble/engine/current"
# What llama.cpp's system_info names on a Cortex-A76 and on a Cortex-A72 (under qemu-aarch64).
SMOKE = {
    "system_info": dict.fromkeys(
        ["NEON", "ARM_FMA", "FP16_VA", "DOTPROD", "OPENMP", "REPACK"], "1"
    ),
    "kleidiai": {},
    "buffers": ["CPU_Mapped", "CPU_REPACK"],
}
BUILD_USER = {"uid": 997, "home": "/", "shell": "/usr/sbin/nologin", "password": False}
SETTINGS = {"build_number": 11300}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    engine = plan.roles["engine"]
    manifest = json.dumps({"binaries": dict.fromkeys(engine.targets, SERVER_SHA256)})
    program = replace(plain("", 0o755), sha256=SERVER_SHA256, text=None)
    folders = ("/", "/opt", "/opt/bramble", "/opt/bramble/engine", "/opt/bramble/engine/releases")
    return Snapshot(
        files={
            **dict.fromkeys((*folders, f"{CURRENT}/bin"), FOLDER),
            CURRENT: link(f"releases/{engine.release}"),
            "/opt/bramble/engine/previous": None,
            f"{engine.folder}/manifest.json": plain(manifest),
            f"{engine.folder}/smoke.json": plain(json.dumps(SMOKE)),
            **{f"{CURRENT}/bin/{name}": program for name in engine.targets},
        },
        users={"bramble-build": BUILD_USER},
    )
