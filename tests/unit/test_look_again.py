"""What later steps depend on is looked at again, and after another boot all is planned again."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bramble import registry
from bramble.pyinfra import connection, delivery, reboot, run, session, standing
from bramble.pyinfra.boundary import Problem
from bramble.roles.serving.wanted import ServingPlan
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step
from tests.unit import good_node

SETTINGS = {role.name: good_node.settings()[role.name] for role in good_node.ALONE}
PLAN = good_node.node_plan()
GOOD = run.PlannedNode(PLAN, good_node.good_look(PLAN), {}, settings=SETTINGS)


class Host:
    """As much of pyinfra's host as steps need."""

    name = "pi5-a"
    connector = None  # not over SSH, so that it is not held

    def __init__(self):
        self.lines = []
        self.data = SimpleNamespace(get=lambda key: None)

    def log(self, line):
        self.lines.append(line)


@pytest.fixture
def deploy(monkeypatch, tmp_path):
    """A run on one host: steps are noted and go well, and a look shows `seen`."""
    made = SimpleNamespace(
        done=[], seen=GOOD.snapshot, looks=0, problem=None, host=Host(), events=[]
    )
    own = session.Seen()
    made.run = SimpleNamespace(
        of=lambda host: own,
        others_changed=lambda host: False,
        looked=lambda host, snapshot: setattr(own, "snapshot", snapshot),
        stepped=lambda host, step, problem: problem is None,
        report=SimpleNamespace(write=lambda kind, **event: made.events.append((kind, event))),
    )

    def deliver(host, step, report):
        made.done.append(step)
        return made.problem

    def look(host, query):
        made.looks += 1
        return made.seen

    monkeypatch.setattr(run, "this_run", lambda: made.run)
    monkeypatch.setattr(run, "state", SimpleNamespace(config=SimpleNamespace(DIFF=False)))
    monkeypatch.setattr(delivery, "deliver", deliver)
    monkeypatch.setattr(connection, "look", look)
    monkeypatch.setattr(reboot, "once", lambda *args: made.done.append("reboot"))
    return made


def one_step(monkeypatch, **changes):
    """The role boot with one step that is due until a look has shown the good node again."""
    step = Step("Mount the SSD", "it is not mounted", "mount_disk", **changes)
    monkeypatch.setattr(run, "steps_of", lambda node, role, way="steps": (step,))


def brought(deploy, node=None):
    plain = replace(GOOD, settings=None)
    return run._executed(deploy.host, node or plain, "boot", "steps")


def test_later_steps_go_by_what_is_seen_after_it(deploy, monkeypatch):
    one_step(monkeypatch, look_again=True)
    assert brought(deploy) is True
    assert deploy.run.of(deploy.host).snapshot is deploy.seen


def test_a_step_is_told_as_one_of_so_many_and_reported_as_it_begins(deploy, monkeypatch):
    one_step(monkeypatch)
    deploy.run.of(deploy.host).standing.expect("serving", 3)
    assert brought(deploy) is True
    assert deploy.host.lines == ["step 1 of 4: Mount the SSD: it is not mounted"]
    ((kind, event),) = deploy.events
    assert (kind, event["step"], event["number"], event["of"]) == (
        "progress",
        "Mount the SSD",
        1,
        4,
    )
    assert deploy.run.of(deploy.host).standing.due == {"serving": 3}
    assert standing.told("pi5-a", " 50 %") == " 50 %"


def test_another_step_costs_no_look(deploy, monkeypatch):
    one_step(monkeypatch)
    assert brought(deploy) is True
    assert (deploy.looks, deploy.run.of(deploy.host).snapshot) == (0, None)


def test_a_step_that_failed_is_not_looked_after(deploy, monkeypatch):
    one_step(monkeypatch, look_again=True)
    deploy.problem = "no such disk"
    assert brought(deploy) is False
    assert deploy.looks == 0


def test_a_look_that_shows_nothing_fails_the_step(deploy, monkeypatch):
    one_step(monkeypatch, look_again=True)
    deploy.seen = Snapshot(system=Unknown("the connection is gone"))
    assert brought(deploy) == Problem("the connection is gone")
    assert deploy.run.of(deploy.host).snapshot is None


def test_after_another_boot_all_is_planned_anew_and_what_came_before_is_brought_to_it(deploy):
    """The same board with 60 MiB more, as after a change of gpu_mem."""
    node = GOOD
    memory = {**GOOD.snapshot.memory_kib}
    memory["MemTotal"] += 60 * 1024
    deploy.seen = replace(
        GOOD.snapshot,
        memory_kib=memory,
        system=replace(GOOD.snapshot.system, boot_id="another"),
    )
    before = {step.name: step for step in run.steps_of(node, "memory")}
    assert all(step.why is None for step in before.values())
    assert run._executed(deploy.host, node, "memory", "steps") is True
    first = Step("Reboot", "psi=1 is not in force", "reboot", reboot_deadline_s=60)

    def steps(node, role, way="steps"):
        if role == "boot":
            return (first if node.snapshot is GOOD.snapshot else replace(first, why=None),)
        return registry.role(role).steps(node.plan.roles[role], node.plan, node.snapshot)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "steps_of", steps)
        assert run._executed(deploy.host, node, "boot", "steps") is True
    assert deploy.done[0] == "reboot"
    assert [step.name for step in deploy.done[1:]] == ["Use zram as swap"]
    assert "not 4061" in deploy.done[1].why


def test_a_new_plan_that_cannot_work_on_the_new_boot_is_refused(monkeypatch):
    refusal = "the model takes 3 GiB and the node has 60 MiB"
    monkeypatch.setattr(ServingPlan, "refusals", lambda plan: (refusal,))
    small = replace(GOOD.snapshot, memory_kib={**GOOD.snapshot.memory_kib, "MemTotal": 65536})
    plain = replace(GOOD, plan=replace(GOOD.plan, roles={}))
    assert plain.at(small) == Problem(refusal)


def test_a_program_that_needs_the_time_is_told_that_of_its_sending(monkeypatch):
    """Not that of the look, which may be minutes older where another host hung."""
    sent = []

    def send(host, program, query, timeout_s):
        sent.append(query)
        return True, ""

    monkeypatch.setattr(connection, "run", send)
    before_s = time.time()
    step = Step("Set the clock", "it is wrong", "set_clock", {"wait_s": 10})
    for sent_at in ("right_at_s", None):
        assert delivery.deliver(Host(), replace(step, sent_at=sent_at), None) is None
    assert sent[0]["wait_s"] == 10
    assert before_s <= sent[0]["right_at_s"] <= time.time()
    assert sent[1] == {"wait_s": 10}
