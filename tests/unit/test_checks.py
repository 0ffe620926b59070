"""Every check, seen passing on a good node, failing on a planted fault, and unknown when it cannot tell.

A check without a planted fault proves nothing. The faults of a role stand in `roles/NAME/faults.py`:
`FAULTS`, `BLIND` (what hides from a look what the check proves) and `SKIPPED` (where it does not apply),
by the names of the checks.
"""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from types import ModuleType

import pytest

from bramble import registry
from bramble.checks import (
    Check,
    Finding,
    Result,
    check,
    checks_of,
    exit_code,
    expect,
    run_all,
    skip,
    unknown,
)
from bramble.snapshot import Output, Snapshot
from tests.unit.good_node import ROLES, good_look, node_plan, of_roles
from tests.unit.looks import WHY, in_container, plain, with_command, with_file, with_unit_named
from tests.unit.roles.engine.faults import SMOKED
from tests.unit.roles.engine.good import SMOKE
from tests.unit.roles.serving.good import STRAY
from tests.unit.roles.storage.good import KERNEL_LOG
from tests.unit.roles.watchdog.good import WATCHDOG
from tests.unit.spoiled import GOOD, PLAN, RIGHT_ANSWER, Node

MODEL, SERVING = PLAN.roles["model"], PLAN.roles["serving"]
CATALOGUE = {f"{role.name}.{found.name}": found for role in ROLES for found in role.checks}


def of_checks(table):
    """A table of all roles' faults, by the whole names of their checks."""
    return {
        f"{role}.{name}": cases
        for role, part in of_roles("faults").items()
        for name, cases in getattr(part, table, {}).items()
    }


FAULTS, BLIND, SKIPPED = (of_checks(table) for table in ("FAULTS", "BLIND", "SKIPPED"))
# Of checks that do not apply to the good node, another good one that they apply to.
APPLIES_TO = of_checks("APPLIES_TO")


def found(name: str, seen: Snapshot | Node) -> Finding:
    """What one check finds on a node, by its own word and not by its severity."""
    node = seen if isinstance(seen, Node) else Node(seen)
    return CATALOGUE[name].run(node.plan.roles[CATALOGUE[name].role], node)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_check_passes_on_a_good_node(name):
    finding = found(name, APPLIES_TO.get(name, GOOD))
    assert (finding.status, finding.remedy) == ("pass", "")
    assert finding.want
    assert finding.got


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name in FAULTS for fault in FAULTS[name]]
)
def test_every_check_fails_on_its_fault_and_says_what_to_do(name, fault):
    finding = found(name, FAULTS[name][fault])
    assert finding.status == "fail"
    assert finding.want
    assert finding.got
    assert finding.remedy.endswith(".") or "systemctl" in finding.remedy


@pytest.mark.parametrize("said", [Output(1, ""), Output(0, "usb 9-9: reset\n")])
@pytest.mark.parametrize(
    "name",
    ["ssd_had_no_errors", "other_disks_had_no_errors", "usb_disk_is_not_reset"],
)
def test_a_kernels_log_that_is_not_whole_proves_nothing(name, said):
    finding = found(f"storage.{name}", with_command(GOOD, KERNEL_LOG, said))
    assert (finding.status, finding.got) == (
        "fail",
        "none known, but the journal no longer has the beginning of this boot",
    )


def test_a_file_system_whose_errors_nobody_counts_is_not_told_as_sound():
    look = with_file(GOOD, "/sys/fs/ext4/sda/errors_count", None)
    finding = found("storage.ssd_is_writable", look)
    assert (finding.status, finding.got) == ("unknown", "the kernel counts no errors of /dev/sda")


@pytest.mark.parametrize("fault", ["no JSON", "no number"])
def test_a_context_that_is_no_number_is_nothing_to_set(fault):
    finding = found("serving.context_is_as_planned", FAULTS["serving.context_is_as_planned"][fault])
    assert "journalctl -u llama-server.service" in finding.remedy
    assert "serving.ctx_tokens" not in finding.remedy


def test_a_user_whose_password_is_hidden_is_not_told_as_locked():
    user = GOOD.users["bramble-build"] | {"password": None}
    look = replace(GOOD, users={**GOOD.users, "bramble-build": user})
    finding = found("engine.build_user_cannot_log_in", look)
    assert finding.status == "unknown"
    assert "/etc/shadow" in finding.got


@pytest.mark.parametrize(
    ("name", "blind"), [(name, blind) for name in BLIND for blind in BLIND[name]]
)
def test_every_check_says_when_it_could_not_tell_and_why(name, blind):
    finding = found(name, BLIND[name][blind])
    assert (finding.status, finding.got) == ("unknown", WHY.why)
    assert finding.want
    assert finding.remedy


@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name in SKIPPED for n in range(len(SKIPPED[name]))]
)
def test_a_check_that_does_not_apply_is_skipped_with_the_reason_and_never_passed(name, number):
    seen, reason = SKIPPED[name][number]
    finding = found(name, seen)
    assert finding.status == "skip"
    assert reason in finding.got


def test_a_release_that_did_not_tell_its_features_is_neither_passed_nor_failed():
    silent = with_file(GOOD, SMOKED, plain(json.dumps(SMOKE | {"system_info": None})))
    finding = found("engine.release_has_what_was_planned", silent)
    assert (finding.status, finding.want) == ("unknown", "system_info with DOTPROD")
    assert finding.got == "llama-server reported no system_info at its smoke test"
    assert f"Remove {SMOKED} and run the deploy again" in finding.remedy


def test_what_a_release_computes_with_is_told_with_the_kernels_that_were_chosen():
    reported = SMOKE | {"kleidiai": {"q4": "DOTPROD"}, "buffers": ["CPU_KLEIDIAI"]}
    finding = found(
        "engine.release_has_what_was_planned", with_file(GOOD, SMOKED, plain(json.dumps(reported)))
    )
    assert finding.status == "pass"
    assert finding.got.endswith("OPENMP REPACK; KleidiAI q4 by DOTPROD, CPU_KLEIDIAI")


def test_a_setting_that_systemd_took_is_no_proof_of_a_device():
    look = in_container(with_file(GOOD, f"{WATCHDOG}/state", None))
    statuses = {
        name: found(name, look).status for name in CATALOGUE if name.startswith("watchdog.")
    }
    del statuses["watchdog.files_are_as_written"]
    assert statuses == {"watchdog.times_are_in_force": "pass", "watchdog.device_is_armed": "skip"}


def test_a_watchdog_that_is_planned_off_must_be_inactive():
    plan = node_plan(watchdog={"enabled": False})
    off = with_file(GOOD, f"{WATCHDOG}/state", plain("inactive\n"))
    assert found("watchdog.device_is_armed", Node(off, plan=plan)).status == "pass"
    assert found("watchdog.device_is_armed", Node(GOOD, plan=plan)).status == "fail"


@pytest.mark.parametrize("name", [r.name for r in registry.roles()])
def test_every_role_has_a_folder_that_shows_it_on_a_good_node_and_spoils_it(name):
    for part in ("good", "faults"):
        assert name in of_roles(part), f"there is no tests/unit/roles/{name}/{part}.py"


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_check_has_a_planted_fault_and_a_blind_spot(name):
    role, _, check = name.partition(".")
    for table, cases in (("FAULTS", FAULTS), ("BLIND", BLIND)):
        assert cases.get(name), f"tests/unit/roles/{role}/faults.py has no {check} in {table}"


def test_faults_are_planted_for_no_check_that_there_is_not():
    assert {*FAULTS, *BLIND, *SKIPPED} - {*CATALOGUE} == set()


def test_every_check_says_in_a_sentence_what_it_proves():
    for name, one in CATALOGUE.items():
        assert one.proves.endswith("."), name
        assert one.severity in ("stop", "warn"), name


def test_no_two_checks_have_the_same_name():
    every = [c for role in ROLES for c in role.checks]
    assert len(every) == len(CATALOGUE)


@pytest.mark.parametrize("how", ["local", "lan", "tls"])
def test_a_node_is_good_by_each_exposure(how):
    plan = node_plan(serving={"expose": how})
    good = Node(good_look(plan), plan=plan)
    found = {
        one.name: one.run(plan.roles["serving"], good) for one in registry.role("serving").checks
    }
    assert {finding.status for finding in found.values()} <= {"pass", "skip"}
    of_several = {name for name in found if f"serving.{name}" in APPLIES_TO}
    skipped = {name for name, finding in found.items() if finding.status == "skip"} - of_several
    of_edge = {name for name in found if name.startswith(("edge_", "debians_"))}
    assert (
        skipped
        == {
            "local": of_edge - {"edge_is_as_exposed"},
            "lan": {"edge_certificate_lasts"},
            "tls": set(),
        }[how]
    )


def test_an_answer_that_is_not_the_expected_one_may_be_right_and_the_expectation_wrong():
    found = CATALOGUE["serving.model_answers"].run(SERVING, Node(GOOD, {"answer": "four"}))
    assert found.remedy.startswith("If that is right, set serving.expect to a part of it. If not: ")
    found = CATALOGUE["serving.model_answers"].run(SERVING, Node(GOOD, {"answer": ""}))
    assert found.remedy.startswith("The file or the build is broken")


def test_any_answer_will_do_where_none_is_expected():
    plan = node_plan(serving={"expect": None})
    one = CATALOGUE["serving.model_answers"]
    node = Node(GOOD, RIGHT_ANSWER | {"answer": "five"}, plan)
    assert one.run(plan.roles["serving"], node).status == "pass"


def test_a_small_model_is_believed_by_the_hash_of_this_look():
    small = replace(plain("x"), sha256=MODEL.sha256)
    finding = found("model.model_is_the_pinned_one", with_file(GOOD, MODEL.path, small))
    assert (finding.status, finding.got) == ("pass", "hashed now")


def test_a_model_that_was_read_back_is_believed_by_that_alone():
    deep = Node(with_file(GOOD, MODEL.stamp, None), on_disk=MODEL.sha256)
    finding = found("model.model_is_the_pinned_one", deep)
    assert (finding.status, finding.got) == ("pass", "the disk has it")


def test_a_model_that_is_not_there_is_not_read_back():
    seen = Node(with_file(GOOD, MODEL.path, None), on_disk=AssertionError())
    assert "is not there" in found("model.model_is_the_pinned_one", seen).got


# Running them


def run_one(finding: Finding, severity: str = "stop") -> Result:
    one = Check("base", "toy", severity, "Proves.", lambda plan, node: finding)
    (result,) = run_all(Node(GOOD), (one,))
    return result


def test_a_failure_of_severity_warn_only_warns():
    failing = Finding("fail", "a", "b", "c")
    assert run_one(failing, "warn").status == "warn"
    assert run_one(failing, "stop").status == "fail"


@pytest.mark.parametrize("status", ["pass", "skip", "unknown"])
def test_severity_changes_nothing_but_failures(status):
    assert run_one(Finding(status, "a", "b"), "warn").status == status


def test_a_stray_configuration_only_warns():
    results = run_all(Node(with_file(GOOD, STRAY, plain("x"))), tuple(CATALOGUE.values()))
    of_others = {name.partition(".")[2] for name in APPLIES_TO}
    found = {r.check: r.status for r in results if r.status != "pass" and r.check not in of_others}
    assert found == {"no_stray_configuration": "warn"}
    assert exit_code(results) == 0


def test_results_are_in_the_catalogues_order_and_name_host_and_role():
    results = run_all(Node(GOOD), tuple(CATALOGUE.values()))
    assert [f"{r.role}.{r.check}" for r in results] == list(CATALOGUE)
    assert {r.host for r in results} == {"pi5-a"}


def test_checks_of_a_role_that_the_plan_lacks_do_not_run():
    plan = replace(PLAN, roles={"base": PLAN.roles["base"]})
    results = run_all(Node(GOOD, plan=plan), tuple(CATALOGUE.values()))
    assert {r.role for r in results} == {"base"}


def test_a_result_has_exactly_the_documented_json_form():
    shown = run_one(Finding("fail", "a", "b", "c")).as_dict()
    assert list(shown) == ["host", "role", "check", "status", "want", "got", "remedy"]
    assert json.loads(json.dumps(shown)) == shown
    assert [item.name for item in fields(Result)] == list(shown)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ((), 0),
        (("pass", "warn", "skip"), 0),
        (("pass", "fail"), 1),
        (("pass", "unknown"), 3),
        (("unknown", "fail"), 1),
    ],
)
def test_the_exit_code_tells_failed_from_could_not_tell(statuses, code):
    assert exit_code(tuple(run_one(Finding(status, "a", "b")) for status in statuses)) == code


def test_expect_gives_a_remedy_only_where_one_is_needed():
    assert expect("a", "a", True, "do") == Finding("pass", "a", "a", "")
    assert expect("a", "b", False, "do") == Finding("fail", "a", "b", "do")


def test_skip_is_no_pass_and_says_why():
    assert skip("a", "no device") == Finding("skip", "a", "no device")


def test_unknown_says_why():
    assert unknown("a", WHY).got == WHY.why


def test_checks_of_a_module_are_its_marked_functions_in_their_order():
    def second(plan: object, node: object) -> Finding:
        """It proves two.

        And more.
        """
        return Finding("pass", "", "")

    def first(plan: object, node: object) -> Finding:
        """It proves one."""
        return Finding("pass", "", "")

    module = ModuleType("toy")
    mark: Callable[..., object] = check("warn")
    module.__dict__.update(second=mark(second), helper=len, first=check()(first), plain=plain)
    marked = checks_of("toy", module)
    assert [(c.name, c.severity, c.proves) for c in marked] == [
        ("second", "warn", "It proves two."),
        ("first", "stop", "It proves one."),
    ]


def test_a_mount_of_which_systemd_does_not_say_what_requires_it_is_unknown():
    seen = with_unit_named(GOOD, "mnt-ssd.mount", properties={})
    finding = found("storage.ssd_options_are_in_force", seen)
    assert (finding.status, finding.got) == ("unknown", "systemd did not say what requires it")
