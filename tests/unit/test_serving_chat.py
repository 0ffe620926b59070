"""How conversations are taken: templates, thinking, and attention, each with its arguments."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bramble.documents.validation import validate
from bramble.fleet import prepare
from bramble.roles.serving import chat
from bramble.roles.serving.settings import Settings
from bramble.roles.serving.steps import revert, steps
from tests.unit.good_node import good_look, node_plan, settings
from tests.unit.looks import WHY, plain, with_file
from tests.unit.roles.serving.good import GATE

TEXT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
OLD = f"{chat.FOLDER}/0123456789ab.jinja"
TIDY = "Remove chat templates and lists of models that nothing reads"


def serving(**changes):
    """The plan of serving with these settings."""
    return node_plan(serving=changes).roles["serving"]


def more(**changes):
    """The arguments that these settings add to the usual ones, and those that they take away."""
    usual, found = serving().argv, serving(**changes).argv
    return [w for w in found if w not in usual], [w for w in usual if w not in found]


def faults(commit=None, **changes):
    """What is wrong with these settings of a host that builds this commit."""
    engine = {"source": {"git": {"commit": commit}}} if commit else {}
    sections = settings(serving=changes, engine=engine)
    prepared = prepare(Path("/inventory"), (sections,))
    return [str(found) for found in sections["serving"].faults(sections, "pi5-a", prepared)]


def test_the_usual_arguments_are_given_in_full():
    assert [w for w in serving().argv if "attn" in w or "jinja" in w or "template" in w] == [
        "--flash-attn auto",
        "--jinja",
    ]


@pytest.mark.parametrize(
    ("changes", "added", "gone"),
    [
        ({"flash_attention": "off"}, ["--flash-attn off"], ["--flash-attn auto"]),
        ({"flash_attention": "on"}, ["--flash-attn on"], ["--flash-attn auto"]),
        ({"chat": {"jinja": False}}, ["--no-jinja"], ["--jinja"]),
        ({"chat": {"reasoning_budget": 0}}, ["--reasoning-budget 0"], []),
        ({"chat": {"reasoning_budget": -1}}, ["--reasoning-budget -1"], []),
        ({"chat": {"cache_reuse": 256}}, ["--cache-reuse 256"], []),
        ({"chat": {"template": "chatml"}}, ["--chat-template chatml"], []),
        (
            {"chat": {"template": "llama3", "jinja": False}},
            ["--no-jinja", "--chat-template llama3"],
            ["--jinja"],
        ),
    ],
)
def test_a_setting_is_an_argument(changes, added, gone):
    assert more(**changes) == (added, gone)


def test_a_template_is_a_file_of_the_role_and_its_name_says_its_text():
    plan = serving(chat={"template": TEXT})
    (file,) = (file for file in plan.files if file.path.startswith(chat.FOLDER))
    assert f"--chat-template-file {file.path}" in plan.argv
    assert file.text == "{# role serving: bramble owns this file. #}" + TEXT
    other = serving(chat={"template": TEXT + " "})
    assert other.argv != plan.argv
    assert other.plan_id != plan.plan_id


def tidied(look, plan):
    """The templates that a deploy removes."""
    (step,) = (s for s in steps(plan.roles["serving"], plan, look) if s.name == TIDY)
    return step.query.get("paths", [])


def test_a_template_stays_until_the_good_unit_reads_it_no_more():
    plan = node_plan(serving={"chat": {"template": TEXT}})
    look = with_file(good_look(plan), OLD, plain("{{ old }}"))
    assert tidied(look, plan) == [OLD]
    unit = {**json.loads(look.file(GATE).text), "unit": f"ExecStart=x --chat-template-file {OLD}"}
    assert tidied(with_file(look, GATE, plain(json.dumps(unit))), plan) == []
    assert tidied(good_look(plan), plan) == []
    assert tidied(replace(look, files=WHY), plan) == []


def test_taking_the_role_back_takes_every_template():
    plan = node_plan(serving={"chat": {"template": TEXT}})
    look = with_file(good_look(plan), OLD, plain("{{ old }}"))
    removed = {path for s in revert(plan.roles["serving"], plan, look) for path in s.writes}
    (own,) = (f.path for f in plan.roles["serving"].files if f.path.startswith(chat.FOLDER))
    assert {OLD, own} <= removed


def test_a_name_with_jinja_is_refused_as_the_server_would_take_it_for_the_prompt():
    (said,) = faults(chat={"template": "llama3"})
    assert "takes the name llama3 for the whole prompt: set serving.chat.jinja to false" in said
    assert faults(chat={"template": "llama3", "jinja": False}) == []
    assert faults(chat={"template": "chatml"}) == []


def test_a_text_without_jinja_is_refused():
    (said,) = faults(chat={"template": TEXT, "jinja": False})
    assert "wants chat.jinja: true" in said
    assert faults(chat={"template": TEXT}) == []


def test_a_name_that_the_build_lacks_is_refused_where_its_names_are_known():
    wrong = {"template": "lama3", "jinja": False}
    assert faults(chat=wrong) == [
        "chat.template: llama-server has no lama3; did you mean 'llama3'?"
    ]
    assert faults(commit="1" * 40, chat=wrong) == []
    plan = node_plan(engine={"source": {"git": {"commit": "1" * 40}}}, serving={"chat": wrong})
    assert any("takes the chat template lama3 is not known" in said for said in plan.warnings)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"chat": {"template": "no template"}}, "no Jinja template of at most"),
        ({"chat": {"template": "{{" + "x" * chat.LONGEST}}, "no Jinja template of at most"),
        ({"chat": {"reasoning_budget": -2}}, "from -1"),
        ({"flash_attention": "off", "cache_type_v": "q8_0"}, "needs flash attention"),
        ({"flash_attention": True}, '"auto", "on" or "off"'),
    ],
)
def test_what_llama_server_would_not_take_is_refused(values, said):
    _, found = validate("serving", Settings, values, host="pi5-a", folder=Path())
    assert said in " ".join(fault.message for fault in found)
