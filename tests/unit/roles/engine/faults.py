"""What spoils what engine proves, what hides it from a look, and where its checks do not apply."""

import json
from dataclasses import replace

from bramble.roles.engine.build_user import SYSUSERS_FILE
from bramble.snapshot import Snapshot
from tests.unit.looks import WHY, link, plain, with_file
from tests.unit.roles.engine.good import BUILD_USER, CURRENT, SMOKE
from tests.unit.spoiled import GOOD, NO_FILES, PLAN, Cases, owned_by, with_mode

ENGINE = PLAN.roles["engine"]
SMOKED = f"{ENGINE.folder}/smoke.json"


def built_by(spoiled: dict[str, object] | None) -> Snapshot:
    """A good look but for some of what the user that builds is; None: there is none."""
    user = BUILD_USER | spoiled if spoiled else None
    return replace(GOOD, users={**GOOD.users, "bramble-build": user})


FAULTS: Cases = {
    "release_is_whole": {
        "no manifest": replace(
            GOOD, files={p: f for p, f in GOOD.files.items() if not p.endswith("manifest.json")}
        ),
        "no program": with_file(GOOD, f"{CURRENT}/bin/llama-server", None),
        "a damaged program": with_file(GOOD, f"{CURRENT}/bin/llama-server", plain("damaged")),
        "another program replaced": with_file(
            GOOD, f"{CURRENT}/bin/llama-bench", plain("#!/bin/sh\n", 0o755)
        ),
        "another program gone": with_file(GOOD, f"{CURRENT}/bin/llama-fit-params", None),
        "a library beside them": with_file(GOOD, f"{CURRENT}/bin/libggml.so", plain("")),
        "a link to another": with_file(GOOD, f"{CURRENT}/bin/llama-bench", link("/tmp/x")),
        "a damaged manifest": with_file(GOOD, f"{ENGINE.folder}/manifest.json", plain('{"bin')),
    },
    "release_is_current": {
        "another release": with_file(GOOD, CURRENT, link("releases/000000000000")),
        "no link": with_file(GOOD, CURRENT, None),
        "a folder": with_file(GOOD, CURRENT, replace(link(""), kind="directory", target=None)),
    },
    "release_has_what_was_planned": {
        "never read back": replace(
            GOOD, files={p: f for p, f in GOOD.files.items() if p != SMOKED}
        ),
        "half a record": with_file(GOOD, SMOKED, plain('{"system_info": {')),
        "another record": with_file(GOOD, SMOKED, plain('{"system_info": {"DOTPROD": "1"}}')),
        "compiled for any Arm": with_file(
            GOOD, SMOKED, plain(json.dumps(SMOKE | {"system_info": {"NEON": "1"}}))
        ),
    },
    "releases_belong_to_root": {
        "the service's": owned_by("llama", "/opt/bramble/engine/releases"),
        "open to all": with_mode(0o777, "/opt/bramble/engine/current/bin"),
        "its group's": with_mode(0o775, "/opt/bramble", group="pi"),
        "what leads there": owned_by("pi", "/opt"),
        "the builder's program": owned_by("bramble-build", f"{CURRENT}/bin/llama-server"),
        "a program open to all": with_mode(0o757, f"{CURRENT}/bin/llama-bench"),
    },
    "build_user_cannot_log_in": {
        "no user": built_by(None),
        "root itself": built_by({"uid": 0}),
        "a person": built_by({"uid": 1000}),
        "a shell": built_by({"shell": "/bin/bash"}),
        "a password": built_by({"password": True}),
    },
    "files_are_as_written": {
        "gone": with_file(GOOD, SYSUSERS_FILE, None),
        "another user": with_file(GOOD, SYSUSERS_FILE, plain('u other - ""\n')),
        "open to all": with_mode(0o666, SYSUSERS_FILE),
    },
}

BLIND: Cases = {
    "release_is_whole": {
        "no files": NO_FILES,
        "no manifest": with_file(GOOD, f"{ENGINE.folder}/manifest.json", WHY),
        "no program": with_file(GOOD, f"{CURRENT}/bin/llama-server", WHY),
    },
    "release_is_current": {
        "no files": NO_FILES,
        "no link": with_file(GOOD, CURRENT, WHY),
    },
    "release_has_what_was_planned": {
        "no files": NO_FILES,
        "no record": with_file(GOOD, SMOKED, WHY),
    },
    "releases_belong_to_root": {
        "no files": NO_FILES,
        "no folder": with_file(GOOD, "/opt/bramble", WHY),
        "no program": with_file(GOOD, f"{CURRENT}/bin/llama-server", WHY),
    },
    "build_user_cannot_log_in": {
        "no users": replace(GOOD, users=WHY),
    },
    "files_are_as_written": {"no files": NO_FILES},
}
