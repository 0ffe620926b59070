"""Servers of vectors: their arguments, what is counted, and what they are to answer."""

import click
import pytest
from click.testing import CliRunner

from bramble.checks import Task, ask_query
from bramble.cli.ask import ask
from bramble.fit import memory
from bramble.fit.verdict import Room, fit
from bramble.models import gguf
from bramble.models.geometry import geometry
from bramble.roles.serving.checks import model_answers
from bramble.roles.serving.settings import Settings
from bramble.roles.serving.steps import steps
from tests.shapes.models import all_shapes
from tests.unit.good_node import good_look, node_plan
from tests.unit.roles.serving.faults import DEMO
from tests.unit.roles.serving.good import with_unit
from tests.unit.spoiled import Node

FLEET = """settings:
  model: {{name: m, url: "https://example.org/m.gguf", sha256: "{sha256}"}}
hosts:
  pi5-a: {{serving: {{task: embeddings}}}}
"""


def more(**changes):
    """The arguments that these settings add."""
    usual, found = node_plan().roles["serving"].argv, node_plan(serving=changes)
    return [word for word in found.roles["serving"].argv if word not in usual]


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"task": "chat"}, []),
        ({"task": "embeddings"}, ["--embeddings"]),
        ({"task": "embeddings", "pooling": "mean"}, ["--embeddings", "--pooling mean"]),
        ({"task": "embeddings", "dimensions": 384}, ["--embeddings"]),
        ({"task": "reranking"}, ["--reranking"]),
    ],
)
def test_a_task_is_an_argument(changes, added):
    assert more(**changes) == added


@pytest.mark.parametrize("name", ["pooling", "dimensions"])
@pytest.mark.parametrize("task", ["chat", "reranking"])
def test_what_another_task_has_no_use_for_is_refused(name, task):
    changes = {"pooling": "mean"} if name == "pooling" else {"dimensions": 384}
    sections = {"serving": Settings(task=task, **changes)}
    (why,) = sections["serving"].faults(sections, "pi5-a", None)
    assert f"{name}: it is for task embeddings, and the task is {task}" in str(why)


def planned(**changes):
    plan = node_plan(model=DEMO, serving={"expect": None, **changes})
    return plan, plan.roles["serving"]


def test_a_vector_is_to_be_as_wide_as_the_model_unless_a_number_is_set():
    assert planned(task="embeddings")[1].task == Task("embeddings", None, 256)
    assert planned(task="embeddings", dimensions=64)[1].task.dimensions == 64
    assert planned(task="reranking")[1].task == Task("reranking", None, None)
    assert planned()[1].task == Task("chat", None, None)


def test_a_number_that_is_set_anew_has_a_rejected_plan_tried_again():
    first, second = (planned(task="embeddings", dimensions=n)[1] for n in (64, 256))
    assert first.argv == second.argv
    assert first.attempt != second.attempt


def test_the_gate_is_told_how_many_numbers_there_are_to_be():
    plan, serving = planned(task="embeddings")
    stopped = with_unit(good_look(plan), active="inactive", process=None)
    (step,) = (s for s in steps(serving, plan, stopped) if s.program == "serve_release")
    assert step.query["dimensions"] == 256


def test_the_program_that_asks_is_told_the_task():
    query = ask_query("http://x:1", "q", Task("embeddings", "e", 256))
    assert (query["task"], query["expect"], query["dimensions"]) == ("embeddings", "e", 256)


@pytest.mark.parametrize(
    ("task", "want"),
    [
        ("embeddings", "a vector of 256 finite numbers for 'What is 2+2?', 'four' the nearer"),
        ("reranking", "scores of documents for 'What is 2+2?', 'four' the nearer"),
    ],
)
def test_the_check_takes_what_was_judged_on_the_node(task, want):
    plan, serving = planned(task=task, expect="four")
    look = good_look(plan)
    found = model_answers(serving, Node(look, {"answer": "a vector"}, plan))
    assert (found.status, found.want) == ("pass", want)
    spoiled = model_answers(serving, Node(look, {"problem": "its vector is zero"}, plan))
    assert (spoiled.status, spoiled.got) == ("fail", "its vector is zero")
    assert model_answers(serving, Node(look, {"answer": ""}, plan)).status == "fail"


def test_results_of_every_token_are_counted():
    model = geometry(gguf.read(all_shapes()["qwen2.5-0.5b-q4_k_m"].header()))
    plain = memory.Request(ctx=2048, ubatch=512)
    vectors = memory.Request(ctx=2048, ubatch=512, vectors=True)
    # 512 tokens x (151936 logits + 896 numbers) x 4 bytes.
    assert memory.output_bytes(model, vectors) == 512 * (151936 + 896) * 4
    assert memory.output_bytes(model, plain) == 0
    found = [fit(model, Room(4000), request).total_mib for request in (plain, vectors)]
    assert found[1] - found[0] in (298, 299)


def test_nobody_talks_to_a_server_of_vectors(tmp_path, monkeypatch):
    (tmp_path / "fleet.yml").write_text(FLEET.format(sha256="d" * 64))
    (tmp_path / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    group = click.Group("bramble", commands=[ask])
    named = CliRunner().invoke(group, ["ask", "--host", "pi5-a", "2+2?"])
    assert "pi5-a is for embeddings and answers no questions" in named.output
    any_host = CliRunner().invoke(group, ["ask", "2+2?"])
    assert "no host of the inventory gets the role serving for chat" in any_host.output
    assert (named.exit_code, any_host.exit_code) == (2, 2)
