"""`bramble restart` restarts what serves, in groups where that is asked for, and nothing else."""

from bramble.roles.serving.steps import restart
from tests.unit.good_node import good_look, node_plan
from tests.unit.roles.serving.good import with_unit
from tests.unit.test_fleet_runs import bramble, fleet

__all__ = ["fleet"]


def test_a_restart_is_one_step_that_outlives_the_connection():
    plan = node_plan()
    (step,) = restart(plan.roles["serving"], plan, good_look(plan))
    assert (step.program, step.detached) == ("restart_server", True)
    assert step.why == "a restart was asked for"
    assert (step.query["unit"], step.query["expect"]) == ("llama-server.service", "4")


def test_without_the_service_there_is_nothing_to_restart():
    plan = node_plan()
    absent = with_unit(good_look(plan), load="not-found")
    (step,) = restart(plan.roles["serving"], plan, absent)
    assert step.program == "refuse"
    assert "there is no llama-server.service on pi5-a; `bramble up pi5-a` makes it" in step.why


def test_hosts_are_restarted_at_once_or_one_after_the_other(fleet):
    bramble("restart", "pi-a", "pi-b")
    bramble("restart", "pi-a", "pi-b", "--serial", "1")
    assert fleet.calls == [
        ("restart", ["pi-a", "pi-b"]),
        ("restart", ["pi-a"]),
        ("restart", ["pi-b"]),
    ]


def test_a_server_that_is_not_well_ends_the_restart_of_the_others(fleet):
    fleet.fails["pi-a"] = "llama-server.service was restarted and is not well: HTTP 503"
    done = bramble("restart", "all", "--serial", "2")
    assert done.exit_code == 1
    assert fleet.calls == [("restart", ["pi-c", "pi-a"])]
    assert done.stdout.splitlines()[-1] == (
        "4 hosts: 1 unchanged, 1 failed (pi-a), 2 not begun (pi-d, pi-b)"
    )


def test_a_host_that_does_not_serve_is_refused_by_name_and_left_out_of_a_pattern(fleet):
    file = fleet.folder / "fleet.yml"
    file.write_text(file.read_text().replace("pi-d: {}", "pi-d: {node: {roles: [base]}}"))
    done = bramble("restart", "pi-d", "pi-a")
    assert (done.exit_code, fleet.calls) == (2, [])
    assert "pi-d: without the role serving there is nothing to restart" in done.stderr
    bramble("restart", "pi-*")
    assert fleet.calls == [("restart", ["pi-c", "pi-a", "pi-b"])]


def test_a_restart_needs_hosts(fleet):
    assert (bramble("restart").exit_code, fleet.calls) == (2, [])
