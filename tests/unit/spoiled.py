"""The good node that faults are planted in, and what several roles' faults are made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bramble.plan import NodePlan
from bramble.snapshot import Snapshot
from tests.unit.good_node import PI5, good_look, node_plan
from tests.unit.looks import WHY, plain, with_file

PLAN = node_plan()
GOOD = good_look(PLAN)
MINI_PC = node_plan(replace(PI5, kind="other", model="not a Raspberry Pi"))
NO_FILES = replace(GOOD, files=WHY)
RIGHT_ANSWER = {"answer": " 2+2 is 4.", "tokens_per_second": 9.5, "build": "b11300"}


@dataclass
class Node:
    """A node that shows one look and always gives one answer, or one for each model by its name."""

    snapshot: Snapshot
    answer: object = None
    plan: NodePlan = PLAN
    on_disk: object = None
    answers: Mapping[str, object] = field(default_factory=dict)

    def ask(self, url, question, task, model):
        serving = self.plan.roles["serving"]
        assert (url, question) == (serving.url, serving.question)
        wanted = {serving.model_name: serving.task} | {f.name: f.task for f in serving.further}
        assert task == wanted[model]
        answer = self.answers.get(model, self.answer)
        return RIGHT_ANSWER if answer is None else answer

    def read_back(self, path):
        assert path in {one.path for one in self.plan.roles["model"].every}
        return self.on_disk


Cases = Mapping[str, Mapping[str, Snapshot | Node]]
"""Of each check, by its name, looks or nodes by what is the matter with them."""
Exceptions = Mapping[str, Sequence[tuple[Snapshot | Node, str]]]
"""Of each check, by its name, looks or nodes that it does not apply to, and the reason in its words."""


def owned_by(user: str, path: str) -> Snapshot:
    """A good look but for whose one path is."""
    return with_file(GOOD, path, replace(GOOD.file(path), owner=user))


def with_mode(mode: int, path: str, group: str = "root") -> Snapshot:
    """A good look but for who may write one path."""
    return with_file(GOOD, path, replace(GOOD.file(path), mode=mode, group=group))


def edited(path: str, before: str, after: str) -> Snapshot:
    """A good look but for some words of a file."""
    text = GOOD.file(path).text
    assert before in text
    return with_file(GOOD, path, plain(text.replace(before, after)))
