"""An audit tells what a deploy would do, what checks find, and who changed it, as far as known."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bramble.audit import hiding, origins
from bramble.audit.judge import judge
from bramble.audit.result import Audit, HostAudit, exit_code
from bramble.checks import Result
from bramble.plan import Stranger
from bramble.steps import write_files
from tests.unit.audited import (
    BESIDE,
    LOOK,
    TODAY,
    WRITTEN_S,
    around,
    audit,
    judged,
    origin,
    told,
)
from tests.unit.looks import plain, with_file
from tests.unit.spoiled import PLAN

UNIT_FILE = "/etc/systemd/system/llama-server.service"
CHANGED_S = WRITTEN_S + 50_000
PEM = "/etc/bramble/edge/edge.pem"


def edited(text="# edited\n", mode=0o644, path=UNIT_FILE):
    """A look at a node on which somebody edited a file."""
    seen = replace(plain(text), mode=mode)
    return with_file(LOOK, path, seen)


def changed(*lines, path=UNIT_FILE, begins_s=WRITTEN_S, **known):
    """What the node tells of a file that was changed, with sudo's lines as seconds and messages."""
    rows = [{"at_s": at_s, "message": message} for at_s, message in lines]
    times = {"modified_s": CHANGED_S, "changed_s": CHANGED_S}
    return {
        "origins": {**BESIDE["origins"], path: origin(**times | known)},
        "sudo": {"lines": rows, "begins_s": begins_s},
    }


def ran(command, user="eve"):
    return f"     {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={command}"


def step_of(host):
    """The one step that would write the unit."""
    (item,) = [item for item in host.items if item.kind == "step" and UNIT_FILE in item.got]
    return item


# Drift


def test_a_unit_edited_on_disk_is_drift_with_its_difference():
    item = step_of(audit(edited()))
    assert (item.status, item.role) == ("fail", "serving")
    assert item.id.startswith("serving: ")
    assert "-# edited" in "".join(item.diffs)
    assert item.remedy.startswith("bramble up pi5-a")


def test_every_step_that_is_due_is_told_and_no_other():
    due = judged(edited())
    wanted = [f"{role}: {s.name}" for role, several in due.steps.items() for s in several if s.why]
    host = judge(due, (), TODAY)
    assert [item.id for item in host.items if item.kind == "step"] == wanted
    assert len(wanted) > 1


def test_every_check_is_told_with_its_result():
    host = audit()
    checks = {item.id: item.status for item in host.items if item.kind == "check"}
    assert set(checks.values()) == {"pass", "skip"}
    assert len(checks) == len(judged().results)
    assert checks["serving.model_answers"] == "skip"


def test_the_model_is_asked_nothing():
    (item,) = [item for item in audit().items if item.id == "serving.model_answers"]
    assert "bramble verify" in item.got


def test_a_secret_is_in_no_difference():
    host = audit(edited("brk_not_the_planned_one\n", 0o640, PEM))
    said = host.model_dump_json()
    assert PEM in said
    assert "brk_not_the_planned_one" not in said
    assert "PRIVATE KEY" not in said


def test_a_secret_that_somebody_wrote_into_a_unit_is_in_no_difference():
    token = f"hf_{'a' * 30}"
    text = f"[Other]\nEnvironment=HF_TOKEN={token}\nEnvironment=X_PASSWORD=hunter2\n"
    host = audit(edited(text))
    assert token not in host.model_dump_json()
    assert "hunter2" not in host.model_dump_json()
    said = "".join(step_of(host).diffs)
    assert "-(a line that may hold a secret)\n" in said
    assert "-[Other]" in said


def test_of_a_difference_with_a_private_key_no_line_is_shown():
    key = "-----BEGIN EC PRIVATE KEY-----\nbm90aGluZw==\n-----END EC PRIVATE KEY-----\n"
    host = audit(edited(f"# before\n{key}"))
    assert "bm90aGluZw" not in host.model_dump_json()
    assert "# before" not in "".join(step_of(host).diffs)


def test_why_a_deploy_would_refuse_the_host_is_told():
    host = judge(replace(judged(), refusals=("it does not fit",)), (), TODAY)
    item = told(host)["refusal it does not fit"]
    assert (item.status, host.state) == ("fail", "differs")


def test_a_stranger_of_no_kind_that_there_is_is_left_out():
    host = judge(replace(judged(), strangers=(Stranger("other", "x", "y", "z"),)), (), TODAY)
    assert told(host) == {}


# Who and when


def test_who_ran_what_before_the_change_is_told():
    lines = (
        (CHANGED_S - 90, ran("/usr/bin/nano /etc/systemd/system/llama-server.service")),
        (CHANGED_S - 5000, ran("/usr/bin/apt update")),
        (CHANGED_S + 60, ran("/usr/bin/systemctl daemon-reload")),
    )
    (seen,) = step_of(audit(edited(), **changed(*lines))).origins
    assert seen.path == UNIT_FILE
    assert seen.owner == "root:root 0644"
    assert seen.changed == datetime.fromtimestamp(CHANGED_S, UTC)
    assert [(line.user, line.command) for line in seen.sudo] == [
        ("eve", "/usr/bin/nano /etc/systemd/system/llama-server.service")
    ]
    assert seen.not_known == ()


def test_of_many_commands_the_last_are_told_and_each_once():
    lines = [(CHANGED_S - 60 + n, ran(f"/bin/{n % 5}")) for n in range(20)]
    (seen,) = step_of(audit(edited(), **changed(*lines))).origins
    assert [line.command for line in seen.sudo] == ["/bin/2", "/bin/3", "/bin/4"]


def test_a_change_of_the_mode_alone_has_its_own_time():
    lines = ((CHANGED_S - 1, ran(f"/usr/bin/chmod 666 {UNIT_FILE}")),)
    known = changed(*lines, modified_s=WRITTEN_S, mode=0o666)
    (seen,) = step_of(audit(edited(mode=0o666), **known)).origins
    assert seen.modified == datetime.fromtimestamp(WRITTEN_S, UTC)
    assert seen.changed == datetime.fromtimestamp(CHANGED_S, UTC)
    assert len(seen.sudo) == 1


def test_a_file_that_is_gone_is_told_by_the_command_that_names_it():
    known = changed((WRITTEN_S + 7, ran(f"/usr/bin/rm {UNIT_FILE}")))
    known["origins"].pop(UNIT_FILE)
    (seen,) = step_of(audit(with_file(LOOK, UNIT_FILE, None), **known)).origins
    assert (seen.owner, seen.changed) == (None, None)
    assert [line.command for line in seen.sudo] == [f"/usr/bin/rm {UNIT_FILE}"]
    assert "it is not there" in seen.not_known[0]


NOT_KNOWN = {
    "does not reach back": changed(begins_s=CHANGED_S + 1),
    "nobody ran a command by sudo": changed(),
    "cannot be read (denied)": changed() | {"sudo": PermissionError("denied")},
    "who changed it: denied": changed() | {"origins": PermissionError("denied")},
}


@pytest.mark.parametrize("why", NOT_KNOWN)
def test_what_the_node_cannot_tell_is_named_as_not_known(why):
    (seen,) = step_of(audit(edited(), **NOT_KNOWN[why])).origins
    assert any(why in said for said in seen.not_known)


def test_a_package_that_brought_the_file_is_told():
    known = changed(package="x", as_packaged=False)
    (seen,) = step_of(audit(edited(), **known)).origins
    assert (seen.package, seen.as_packaged) == ("x", False)
    assert "of package x, not as it brought it" in origins.sentence(seen)


def test_a_line_that_sudo_wrote_of_no_command_tells_of_nobody():
    known = changed((CHANGED_S, "pam_unix(sudo:session): session opened for user root"))
    (seen,) = step_of(audit(edited(), **known)).origins
    assert seen.sudo == ()


SECRETS = {
    "curl -H 'x: sk-aaaaaaaaaaaaaaaaaaaaaaaa' x": "curl",
    f"/usr/bin/env HF_TOKEN=hf_{'a' * 30} x": "/usr/bin/env",
    "/bin/llama-server --api-key verysecret": "/bin/llama-server",
    "/usr/bin/env DB_PASSWORD=hunter2 x": "/usr/bin/env",
}


@pytest.mark.parametrize("command", SECRETS)
def test_a_command_that_may_hold_a_secret_is_told_without_its_arguments(command):
    assert hiding.command(command) == f"{SECRETS[command]} {hiding.ARGUMENTS}"


def test_a_command_moves_no_cursor_and_fills_no_screen():
    assert hiding.command("/bin/a\x1b[2J\n b") == "/bin/a?[2J b"
    assert len(hiding.command("x" * 5000)) < 200


def test_a_time_that_no_calendar_has_is_told_by_nobody():
    known = changed((2**62, ran(f"/bin/rm {UNIT_FILE}")), modified_s=-(2**62), changed_s=2**62)
    (seen,) = step_of(audit(edited(), **known)).origins
    assert (seen.modified, seen.changed, seen.sudo) == (None, None, ())


def test_an_origin_is_a_sentence_for_people():
    lines = ((CHANGED_S - 90, ran("/usr/bin/nano x")),)
    (seen,) = step_of(audit(edited(), **changed(*lines))).origins
    said = origins.sentence(seen)
    assert said.startswith(f"{UNIT_FILE}: changed ")
    assert "root:root 0644; of no package; sudo " in said
    assert said.endswith(" UTC eve: /usr/bin/nano x")


def test_a_program_that_was_sent_is_told_as_such_for_people_and_whole_for_programs():
    sent = "/usr/bin/sh -c 'python3 -Iuc \\'import base64, zlib;"
    lines = ((CHANGED_S - 90, ran(sent)),)
    (seen,) = step_of(audit(edited(), **changed(*lines))).origins
    assert origins.sentence(seen).endswith(" UTC eve: a program, sent as bramble sends them")
    assert seen.sudo[0].command == sent


@pytest.mark.parametrize("rest", ["-; rm -r /x'", "-c 'print()'"])
def test_what_stands_behind_a_program_that_was_sent_is_shown(rest):
    lines = ((CHANGED_S - 90, ran(f"/usr/bin/sh -c 'python3 -Iu {rest}")),)
    (seen,) = step_of(audit(edited(), **changed(*lines))).origins
    assert origins.sentence(seen).endswith(rest)


def test_origins_are_of_the_files_that_a_step_writes():
    step = write_files("x", PLAN.roles["base"].files, with_file(LOOK, UNIT_FILE, None))
    assert step.why is None
    assert origins.origins((), around()) == ()


# What comes of it


def test_an_audit_survives_its_json():
    kept = Audit(at=datetime.now(UTC), hosts=(audit(edited(), **changed()),))
    assert Audit.model_validate_json(kept.model_dump_json()) == kept
    report = json.loads(json.dumps(kept.hosts[0].model_dump(mode="json")))
    assert HostAudit.model_validate(report) == kept.hosts[0]


def test_an_audit_is_joined_with_the_results_of_checks():
    host = audit(edited())
    results = host.results()
    assert all(isinstance(result, Result) for result in results)
    assert len(results) == len(host.items)
    named = {(result.role, result.check): result.status for result in results}
    assert named["base", "packages_are_installed"] == "pass"
    assert "fail" in {result.status for result in results if result.check.startswith("serving: ")}


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ((), 1),
        (("as planned",), 0),
        (("as planned", "differs"), 2),
        (("as planned", "unknown"), 1),
        (("differs", "unknown"), 2),
        (("differs", "not told"), 1),
    ],
)
def test_the_exit_code_tells_what_differs_from_what_is_not_known(states, code):
    hosts = tuple(
        HostAudit(host="a", state="unknown", why="it did not answer")
        if state == "not told"
        else HostAudit(host="a", state=state)
        for state in states
    )
    assert exit_code(hosts) == code
