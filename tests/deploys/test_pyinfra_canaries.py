"""Traps and habits of pyinfra that bramble relies on or avoids, one test for each.

The facts hold for the pinned minor release. When one of these tests fails after an upgrade,
pyinfra has changed under us: its docstring says which part of bramble to look at.
The deploys are in `canaries/`; they run through pyinfra's command line on `@local` and `@fake`.
"""

import importlib.metadata
import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyinfra.api.state import BaseStateCallback

CANARIES = Path(__file__).parent / "canaries"


@dataclass(frozen=True)
class Run:
    """A finished pyinfra process and the directory it worked in."""

    code: int
    stdout: str
    stderr: str
    directory: Path

    @property
    def notes(self):
        path = self.directory / "notes"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def plan(self):
        return {row["name"]: row for row in json.loads(self.stdout)["plan"]}

    @property
    def results(self):
        return {row["name"]: row for row in json.loads(self.stdout)["results"]["operations"]}

    @property
    def failed_hosts(self):
        return json.loads(self.stdout)["results"]["failed_hosts"]

    def text(self, name):
        return (self.directory / name).read_text()


@pytest.fixture(scope="module")
def pyinfra(tmp_path_factory):
    """Run pyinfra in a fresh copy of the canaries."""
    environment = {key: value for key, value in os.environ.items() if key != "PYINFRA_YES"}
    environment |= {"PYINFRA_FAKE_DELAY": "0", "PYINFRA_FAKE_DELAY_JITTER": "0"}

    def run(*arguments, answer="", files=None):
        directory = tmp_path_factory.mktemp("canaries") / "run"
        shutil.copytree(CANARIES, directory, ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in (files or {}).items():
            (directory / name).write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pyinfra", *arguments],
            cwd=directory,
            env=environment,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr, directory)

    return run


def test_the_facts_below_were_established_for_this_minor_release():
    """bramble pins pyinfra to it; raise both together, once this module has been looked through."""
    assert importlib.metadata.version("pyinfra").startswith("3.10.")


# Facts, phases and flags


@pytest.fixture(scope="module")
def dry(pyinfra):
    return pyinfra("@local", "facts.py", "--dry", "--diff", "--json")


@pytest.fixture(scope="module")
def confirmed(pyinfra):
    return pyinfra("@local", "facts.py", answer="\n")


@pytest.fixture(scope="module")
def yes(pyinfra):
    return pyinfra("@local", "facts.py", "-y")


def test_facts_are_not_cached(yes):
    """bramble reads one wide snapshot per host, once, and passes the value on."""
    assert yes.notes.count("role") == 2


def test_facts_of_an_operation_run_in_both_phases(confirmed):
    """bramble keeps operations' facts few: without `-y` each is executed twice."""
    assert confirmed.code == 0
    assert confirmed.notes.count("operation") == 2
    assert confirmed.notes.count("changed") == 1


def test_yes_skips_the_first_evaluation_of_operations(yes):
    """bramble passes `-y` in runs nobody watches: half the round trips."""
    assert yes.code == 0
    assert yes.notes.count("operation") == 1
    assert yes.notes.count("changed") == 1


def test_dry_evaluates_but_changes_nothing(dry):
    """bramble's drift audit is the deploy run with `--dry`: it reads the plan's rows."""
    assert dry.code == 0
    assert dry.notes.count("operation") == 1
    assert "changed" not in dry.notes
    assert json.loads(dry.stdout)["results"] is None
    assert dry.plan["Probe, then change"]["hosts_with_change"] == ["@local"]


def test_without_yes_and_without_an_answer_nothing_changes_and_the_run_fails(pyinfra):
    """bramble never starts pyinfra without `-y`, `--dry` or a terminal to ask at."""
    run = pyinfra("@local", "facts.py")
    assert run.code == 1
    assert "EOFError" in run.stderr
    assert "changed" not in run.notes


def test_deploy_code_sees_yes_and_diff_but_not_dry(yes, dry):
    """`-y` shows as state.check_for_changes, `--diff` as config.DIFF; nothing reports `--dry`.

    A bramble deploy that must know of a dry run has to be told with `--data`.
    """
    assert {"check_for_changes: False", "config.DIFF: False"} <= set(yes.notes)
    assert {"check_for_changes: True", "config.DIFF: True"} <= set(dry.notes)
    assert "flags of state and config: check_for_changes, diff" in dry.notes


def test_a_fact_whose_program_is_absent_gives_its_default(yes):
    """bramble's facts name their program in `requires_command`, so a bare node is no failure."""
    assert "absent program: {}" in yes.notes


def test_output_that_is_not_utf8_is_cut_short_without_a_failure(yes):
    """bramble's probe prints ASCII JSON, so that no byte of a node's files can end its output."""
    assert "not UTF-8: ['before']" in yes.notes
    assert yes.code == 0


# Which operation is which


def test_roles_called_through_a_table_are_merged_by_line_number(pyinfra):
    """bramble's deploys never loop over a host's roles: rows of different roles become one."""
    run = pyinfra("inventory.py", "roles_by_table.py", "-y", "--json")
    rows = json.loads(run.stdout)["results"]["operations"]
    assert [(row["names"], row["hosts"]) for row in rows] == [
        (["Set up base", "Set up engine"], 2),
        (["Set up engine"], 1),
    ]


@pytest.mark.parametrize("deploy", ["roles_by_line.py", "roles_by_loop.py"])
def test_roles_on_lines_of_their_own_or_in_host_loop_stay_apart(pyinfra, deploy):
    """bramble's deploys give each role a line of its own: every row is one role's."""
    run = pyinfra("inventory.py", deploy, "-y", "--json")
    assert run.code == 0
    assert {name: row["success"] for name, row in run.results.items()} == {
        "Set up base": ["@fake/a"],
        "Set up engine": ["@fake/a", "@fake/b"],
    }


def test_limit_leaves_the_other_hosts_out_altogether(pyinfra):
    """bramble deploys a canary node first, as a run of its own with `--limit`."""
    run = pyinfra("inventory.py", "roles_by_line.py", "--limit", "@fake/b", "-y", "--json")
    assert {name: row["success"] for name, row in run.results.items()} == {
        "Set up engine": ["@fake/b"]
    }


def test_imported_modules_act_on_one_host_only(pyinfra):
    """Nothing happens when a bramble role is imported: operations stand in functions."""
    run = pyinfra("inventory.py", "imports.py", "-y", "--json")
    assert run.results["Act at import"]["hosts"] == 1
    assert run.results["Act in the deploy file"]["hosts"] == 2


def test_data_values_are_replaced_whole(pyinfra):
    """bramble merges the layers of its inventory itself and hands pyinfra the outcome."""
    run = pyinfra("inventory.py", "debug-inventory", "--json")
    settings = {host["name"]: host["data"]["llama"] for host in json.loads(run.stdout)}
    assert settings == {"@fake/a": {"port": 9000}, "@fake/b": {"port": 8080, "slots": 2}}


# Failures


FLEET = "@local,@fake/x"


@pytest.fixture(scope="module")
def command_fails(pyinfra):
    return pyinfra(FLEET, "faults.py", "--data", "fault=command fails", "-y", "--json")


@pytest.fixture(scope="module")
def only_host_fails(pyinfra):
    return pyinfra("@local", "faults.py", "--data", "fault=command fails", "-y", "--json")


@pytest.mark.parametrize("fault", ["operation raises", "parser raises", "role code raises"])
def test_an_exception_on_one_host_stops_every_host(pyinfra, fault):
    """bramble's operations yield a failing command instead of raising, its facts' parsers raise
    nothing but FactProcessError, and its settings are checked before pyinfra starts.
    """
    run = pyinfra(FLEET, "faults.py", "--data", f"fault={fault}", "-y", "--json")
    assert run.code == 1
    assert run.stdout == ""
    assert "operation_start: Carry on" not in run.notes
    assert "host_disconnect @fake/x" in run.notes


def test_a_failing_command_fails_only_its_host(command_fails):
    """bramble's operations report what is wrong with a node by a command that exits non-zero."""
    assert command_fails.code == 1
    assert command_fails.failed_hosts == ["@local"]
    assert command_fails.results["Meet the fault"]["error"] == ["@local"]
    assert command_fails.results["Carry on"]["success"] == ["@fake/x"]
    assert command_fails.notes.count("continued after the fault") == 0


def test_an_exception_in_a_yielded_function_fails_only_its_host(pyinfra):
    """bramble's verifying operations may raise in the function they yield, and only there."""
    run = pyinfra(FLEET, "faults.py", "--data", "fault=function raises", "-y", "--json")
    assert run.code == 1
    assert run.failed_hosts == ["@local"]
    assert run.results["Carry on"]["success"] == ["@fake/x"]


def test_a_yielded_function_fails_by_its_value_only_when_it_takes_state_and_host(pyinfra):
    """bramble's yielded functions take state and host: from any other, False is no failure."""
    fault = "function of state and host returns False"
    run = pyinfra(FLEET, "faults.py", "--data", f"fault={fault}", "-y", "--json")
    assert run.results["Meet the fault"]["error"] == ["@local"]
    fault = "function of nothing returns False"
    run = pyinfra(FLEET, "faults.py", "--data", f"fault={fault}", "-y", "--json")
    assert run.results["Meet the fault"]["success"] == ["@fake/x", "@local"]


@pytest.mark.parametrize("fault", ["guarded parser", "fact command fails"])
def test_an_operation_goes_on_with_the_default_after_its_fact_failed(pyinfra, fault):
    """The host fails, but only after this operation has run on, as if the node had nothing.

    bramble's operations do nothing when a fact gives them its default.
    """
    run = pyinfra(FLEET, "faults.py", "--data", f"fault={fault}", "-y", "--json")
    assert run.code == 1
    assert run.failed_hosts == ["@local"]
    assert run.notes.count("continued after the fault") == 1
    assert run.results["Meet the fault"]["success"] == ["@fake/x", "@local"]
    assert run.results["Carry on"]["success"] == ["@fake/x"]


def test_role_code_goes_on_with_the_default_after_its_fact_failed(pyinfra):
    """The host is dropped before the first operation; bramble's planning must bear a default."""
    fault = "fault=fact command fails in role code"
    run = pyinfra(FLEET, "faults.py", "--data", fault, "-y", "--json")
    assert run.code == 1
    assert "role code of @local got None" in run.notes
    assert run.results["Meet the fault"]["success"] == ["@fake/x"]


def test_no_wait_swallows_failures(pyinfra):
    """bramble never passes `--no-wait`: a failed host is neither counted nor named."""
    arguments = ["--data", "fault=command fails", "-y", "--json", "--no-wait"]
    run = pyinfra(FLEET, "faults.py", *arguments)
    assert run.code == 0
    assert run.failed_hosts == []
    assert "operation_host_error @local: Meet the fault (outcome not known yet)" in run.notes


def test_an_interrupted_run_exits_zero(pyinfra):
    """bramble ends its runs itself, with a code of their own."""
    run = pyinfra(FLEET, "faults.py", "--data", "fault=Ctrl-C", "-y", "--json")
    assert run.code == 0
    assert "Exiting upon user request!" in run.stdout
    assert "operation_start: Carry on" not in run.notes


# The report


def test_no_json_when_the_only_host_fails(only_host_fails):
    """bramble writes its own report from a BaseStateCallback instead of reading `--json`."""
    assert only_host_fails.code == 1
    assert only_host_fails.stdout == ""
    assert "No hosts remaining!" in only_host_fails.stderr


def test_callbacks_of_a_run_whose_only_host_fails(only_host_fails):
    """host_disconnect still comes, so bramble's report is written there; operation_end does not."""
    assert [line for line in only_host_fails.notes if not line.startswith("continued")] == [
        "operation_start: Meet the fault",
        "operation_host_start @local: Meet the fault",
        "operation_host_error @local: Meet the fault (outcome not known yet)",
        "host_disconnect @local",
    ]


def test_callbacks_of_a_run_that_one_host_survives(command_fails):
    """bramble's report reads an operation's outcome at operation_end or host_disconnect.

    While operation_host_success and operation_host_error run, the outcome is not yet set.
    A handler registered by the deploy file comes too late for host_connect.
    """
    notes = command_fails.notes
    assert "operation_host_success @fake/x: Meet the fault (outcome not known yet)" in notes
    assert "operation_host_error @local: Meet the fault (outcome not known yet)" in notes
    assert "operation_end @fake/x: Meet the fault (outcome known)" in notes
    assert "operation_end @local: Meet the fault (outcome known)" in notes
    assert "operation_host_start @local: Carry on" not in notes
    assert sorted(notes[-2:]) == ["host_disconnect @fake/x", "host_disconnect @local"]
    assert not [line for line in notes if "connect @" in line and "disconnect" not in line]


def test_callbacks_and_their_parameters():
    """bramble's report overrides some of these."""
    hooks = inspect.getmembers(BaseStateCallback, inspect.isfunction)
    assert {name: list(inspect.signature(hook).parameters) for name, hook in hooks} == {
        "host_before_connect": ["state", "host"],
        "host_connect": ["state", "host"],
        "host_connect_error": ["state", "host", "error"],
        "host_disconnect": ["state", "host"],
        "operation_start": ["state", "op_hash"],
        "operation_end": ["state", "op_hash"],
        "operation_host_start": ["state", "host", "op_hash"],
        "operation_host_success": ["state", "host", "op_hash", "retry_count"],
        "operation_host_error": ["state", "host", "op_hash", "retry_count", "max_retries"],
        "operation_host_retry": ["state", "host", "op_hash", "retry_num", "max_retries"],
    }


# Conditions, changes and what is printed


def test_an_operations_own_condition_replaces_its_deploys(pyinfra):
    """bramble leaves a role out with plain Python on its settings, not with a deploy's `_if`."""
    run = pyinfra("@fake/a", "gates.py", "-y", "--json")
    assert run.results["Gated off | no condition"]["no_change"] == ["@fake/a"]
    assert run.results["Gated off | own condition"]["success"] == ["@fake/a"]


def test_nested_deploys_cannot_both_have_a_bare_condition(pyinfra):
    """bramble passes `_if` as a list wherever deploys are nested."""
    run = pyinfra("@fake/a", "nested_gates.py", "-y")
    assert run.code == 1
    assert "TypeError" in run.stderr


@pytest.fixture(scope="module")
def changes(pyinfra):
    return pyinfra("@local", "changes.py", "-y", "--json", files={"put": "old"})


def test_calling_a_function_always_counts_as_a_change(changes):
    """bramble does not use python.call: a deploy with it could never report that all is well."""
    assert changes.results["Call a function"]["success"] == ["@local"]


def test_an_operation_that_yields_nothing_is_no_change(changes):
    """bramble's second run on a node shows no change because its operations yield nothing."""
    assert changes.results["Agree"]["no_change"] == ["@local"]
    assert changes.results["Skip"]["no_change"] == ["@local"]


def test_an_unnamed_operation_prints_its_arguments(changes):
    """Every operation of bramble's has a name: without one, secrets reach the log."""
    assert [name for name in changes.results if "token=s3cret" in name]
    assert "token=s3cret" in changes.stderr
    assert changes.results["Named"]["args"] == []


def test_put_overwrites_in_place_and_sets_the_mode_last(changes):
    """bramble has its own replace operation: atomic, and private from the first byte."""
    before, after = (note.rpartition(" ")[2] for note in changes.notes if "inode" in note)
    assert before == after
    assert "files.put: FileUploadCommand then StringCommand" in changes.notes
    assert "files.put ends with: chmod 600 put" in changes.notes


# Standard input and live output


@pytest.fixture(scope="module")
def standard_input(pyinfra):
    return pyinfra("@local", "standard_input.py", "-y", "-v")


def test_get_fact_passes_stdin_to_the_facts_command(standard_input):
    """bramble's probe is a script fed on standard input: `get_fact(Probe, _stdin=script)`."""
    assert "get_fact: ['argument']" in standard_input.notes


def test_verbose_runs_print_the_stdin_given_to_get_fact(standard_input):
    """bramble hands the probe's script over in a StringIO, which prints as an object only."""
    assert "get_fact with a buffer: ['buffer']" in standard_input.notes
    assert "_stdin=argument" in standard_input.stderr
    assert "_stdin=<_io.StringIO object at" in standard_input.stderr
    assert "_stdin=buffer" not in standard_input.stderr


def test_stdin_on_a_facts_own_command_is_ignored(standard_input):
    """The probe's script has to come with the call: the fact itself cannot bring it."""
    assert "fact's own StringCommand: []" in standard_input.notes


def test_a_yielded_command_reads_its_own_stdin(standard_input):
    """bramble's operations write text with `StringCommand(..., _stdin=text)`.

    Each line gets a newline when it has none, so the text always ends with one.
    """
    assert standard_input.code == 0
    assert standard_input.text("command") == "command's own\n"
    assert standard_input.text("no-newline-twice") == "line\n"
    assert standard_input.text("lines") == "one\ntwo\n"
    assert standard_input.text("buffer") == "one\ntwo\n"


def test_an_operations_stdin_reaches_all_its_commands_and_facts(standard_input):
    """bramble puts `_stdin` on the command that reads it, never on the operation."""
    assert 'fact in an operation: ["operation\'s"]' in standard_input.notes
    assert standard_input.text("operation-first") == "operation's\n"
    assert standard_input.text("operation-second") == "operation's\n"
    assert standard_input.text("operation-overridden") == "command's own\n"
    assert standard_input.text("shell") == "argument\n"


def test_run_shell_command_takes_stdin_and_prints_as_it_reads(standard_input):
    """bramble shows a long command's lines with `print_output=True`, without needing `-vvv`."""
    assert "run_shell_command: True ['nothing', 'shown']" in standard_input.notes
    assert "[@local] shown" in standard_input.stderr


def test_run_shell_command_inherits_nothing_from_its_operation(standard_input):
    """bramble passes `_sudo` and the like to `host.run_shell_command` each time."""
    assert "run_shell_command: True ['nothing', 'shown']" in standard_input.notes
