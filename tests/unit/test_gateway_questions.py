"""What a gateway's host asks the nodes of an inventory, and whom it does not ask."""

import json

import pytest

from bramble.roles.gateway import answers
from bramble.roles.gateway.wanted import QUESTIONS
from tests.unit.gateways import inventory, node, nodes, plan
from tests.unit.roles.gateway.faults import UNBELIEVED
from tests.unit.spoiled import PLAN


def asked(folder, hosts, **gateway):
    """The plan by which the host asks."""
    found = plan(inventory(folder, hosts, gateway)).roles["gateway"]
    text = next(file.text for file in found.asking if file.path == QUESTIONS)
    assert found.is_asked == any(one["questions"] for one in json.loads(text)["nodes"])
    return json.loads(text)


def test_each_node_is_asked_its_own_question_for_its_own_answer(tmp_path):
    hosts = nodes(1, expect="4") | {
        "pi5-x": node(9, "large", "2", question="What is 3+3?", expect="6")
    }
    found = asked(tmp_path, hosts, answers={"every_s": 60, "deadline_s": 30})
    assert (found["interval_s"], found["deadline_s"]) == (60, 30)
    assert found["pools"] == {"pool1": ["small"], "pool2": ["large"]}
    assert [(one["pool"], one["node"], one["skipped"]) for one in found["nodes"]] == [
        ("pool1", "pi5-a", []),
        ("pool2", "pi5-x", []),
    ]
    chat = {"task": "chat", "dimensions": None}
    assert [one["questions"] for one in found["nodes"]] == [
        [{"name": "small", "question": "What is 2+2?", "expect": "4", **chat}],
        [{"name": "large", "question": "What is 3+3?", "expect": "6", **chat}],
    ]


def test_a_model_of_vectors_is_asked_for_as_many_numbers_as_are_planned(tmp_path):
    hosts = {"pi5-a": node(1, task="embeddings", expect="four", dimensions=384)}
    (one,) = asked(tmp_path, hosts)["nodes"]
    (question,) = one["questions"]
    assert (question["task"], question["expect"], question["dimensions"]) == (
        *("embeddings", "four"),
        384,
    )


def test_who_has_no_known_answer_or_a_model_that_is_not_loaded_is_not_asked(tmp_path):
    hosts = nodes(1) | {"pi5-x": node(9, "large", "2", expect="4", idle_unload_s=60)}
    found = asked(tmp_path, hosts)["nodes"]
    assert [(one["questions"], one["skipped"]) for one in found] == [
        ([], ["small: no known answer is set"]),
        ([], ["large: a question would load it"]),
    ]


def test_models_of_a_node_that_loads_one_at_a_time_are_not_asked_and_others_each(tmp_path):
    names = ("one", "two")
    locked = {
        f"{name}:q8_0": {
            "repo": "a/b",
            "revision": "0" * 40,
            "file": f"{name}.gguf",
            "size_bytes": 1,
            "sha256": str(number) * 64,
        }
        for number, name in enumerate(names, 1)
    }
    (tmp_path / "models.lock").write_text(json.dumps({"models": locked}))
    host = node(1)
    host["model"] = {"use": "one:q8_0", "also": ["two:q8_0"]}
    host["serving"] |= {"expect": "4", "also_expect": {"two:q8_0": "5"}}
    for at_once, wanted in ((1, []), (2, [("one-q8_0", "4"), ("two-q8_0", "5")])):
        host["serving"] |= {"models_at_once": at_once}
        (one,) = asked(tmp_path, {"pi5-a": host})["nodes"]
        assert [(q["name"], q["expect"]) for q in one["questions"]] == wanted
        assert len(one["skipped"]) == 2 - len(wanted)


@pytest.mark.parametrize("case", UNBELIEVED)
def test_what_is_old_or_damaged_says_nothing_of_the_nodes(case):
    finding = answers.judged(PLAN.roles["gateway"], UNBELIEVED[case])
    assert finding.status == "unknown"
    assert finding.want
    assert finding.remedy
