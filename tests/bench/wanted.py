"""A deploy that changes nothing: writes what bramble plans for each host as the playbook's values.

`BENCH_WANTED` names the folder that gets a HOST.json for each host.
"""

import json
import os
from pathlib import Path
from typing import Any

from bramble.outputs import ModelOutputs
from bramble.plan import File, NodePlan
from bramble.pyinfra.run import PlannedNode, gather_facts
from bramble.roles.engine.plan import EnginePlan
from bramble.roles.engine.whole import HOME
from bramble.roles.model.plan import ModelPlan
from bramble.roles.serving.wanted import UNIT, USER, ServingPlan
from bramble.snapshot import FileState, Snapshot


def wanted(plan: NodePlan, snapshot: Snapshot) -> dict[str, Any]:
    """The values of ansible/node.yml, with the files that the node has.

    A container gets none of those that are for its host's kernel.
    """
    engine, model, serving = (plan.roles[name] for name in ("engine", "model", "serving"))
    assert isinstance(engine, EnginePlan)
    assert isinstance(model, ModelPlan)
    assert isinstance(serving, ServingPlan)
    return {
        "packages": list(plan.packages),
        "files": [
            as_item(file)
            for role in plan.roles.values()
            for file in role.files
            if isinstance(snapshot.file(file.path), FileState)
        ],
        "manifest": f"{engine.folder}/manifest.json",
        "current": HOME.current,
        "current_target": f"releases/{engine.release}",
        "model_path": model.path,
        "model_sha256": model.sha256,
        "unit": UNIT,
        "user": USER,
        "url": serving.url,
        "port": serving.port,
        "bound": f"127.0.0.1:{serving.port}",
        "build_info": serving.build_info,
        "expect": serving.expect,
        "request": question(serving),
    }


def as_item(file: File) -> dict[str, str]:
    """A file as the playbook's loop takes it."""
    return {
        "path": file.path,
        "text": file.text,
        "mode": f"{file.mode:04o}",
        "owner": file.owner,
        "group": file.group,
    }


def question(serving: ServingPlan) -> dict[str, Any]:
    """What bramble/remote/ask.py asks, so that the model does the same work for both tools."""
    messages = [{"role": "user", "content": serving.question}]
    return {"messages": messages, "max_tokens": 64, "temperature": 0}


def model_is_hashed(node: PlannedNode) -> bool:
    """Whether a look hashes the model's file, as the playbook does."""
    assert node.plan is not None
    seen = node.snapshot.file(node.plan.outputs.need(ModelOutputs).path)
    return isinstance(seen, FileState) and seen.sha256 is not None


def tell(node: PlannedNode) -> None:
    """Write the host's values; a refused host has none."""
    if node.plan is not None:
        values = {
            "model_is_hashed": model_is_hashed(node),
            "wanted": wanted(node.plan, node.snapshot),
        }
        file = Path(os.environ["BENCH_WANTED"], f"{node.plan.host}.json")
        file.write_text(json.dumps(values), encoding="utf-8")


tell(gather_facts())
