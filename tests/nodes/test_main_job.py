"""The main job on virtual Pis: a fresh one becomes a node that answers, and stays one."""

import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bramble import registry, report, virtual
from bramble.fit import memory
from bramble.llama import arguments, store
from bramble.models import gguf, lock
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.virtual import lifecycle, source
from bramble.virtual.model import GATEWAY, address_of
from tests.installed import install
from tests.nodes.fleet import (
    BIN,
    MAIN_JOB_TIMEOUT_S,
    ROLES,
    ROOT,
    SKIPPED,
    Fleet,
    as_json,
    wait_until,
)
from tests.shapes.models import all_shapes
from tests.unit.remote.scripted_server import Whole, serving

pytestmark = pytest.mark.nodes

NODE, SECOND = "vpi-121", "vpi-122"
CHECKS = [f"{role.name}.{c.name}" for role in ROLES for c in role.checks]
WELL = {name: "skip" if name in SKIPPED else "pass" for name in CHECKS}
# Of a run with nothing to do.
MOST_PACKETS = 40
MOST_COMMANDS = 6


@pytest.fixture
def on(virtual_pis):
    """A command on a node as root: on(name, command) is what it printed."""
    return lambda name, command: virtual_pis.said(name, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture(
    scope="module",
    params=[
        "bookworm",
        pytest.param("trixie", marks=[pytest.mark.thorough, pytest.mark.trixie]),
    ],
)
def fleet(request, virtual_pis, tmp_path_factory):
    """One fresh virtual Pi, provisioned by the real deploy with the shipped settings."""
    source.fetch(print)
    virtual_pis.up(NODE, release=request.param, on_progress=print)
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    fleet.release = request.param
    fleet.write([NODE])
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    fleet.first_run = (fleet.statuses(NODE), done.stdout)
    return fleet


def test_the_deploy_ends_with_every_check_passing(fleet):
    statuses, _ = fleet.first_run
    assert statuses == WELL


def test_long_steps_show_progress_as_plain_lines(fleet):
    _, output = fleet.first_run
    assert f"[{NODE}] compiling llama-server" in output
    assert f"[{NODE}] checking the sha256" in output
    assert "\r" not in output


def test_a_second_run_reports_no_change(fleet):
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (end,) = fleet.events("end")
    assert (end["changed"], end["failed"]) == ([], [])
    hosts, success, error, no_change = done.stdout.split("Grand total")[1].split()[:4]
    assert (success, error) == ("-", "-")
    assert hosts == no_change


def test_a_run_with_nothing_to_do_needs_few_remote_commands(fleet, tmp_path):
    count = tmp_path / "count"
    script = Path(__file__).with_name("counted_pyinfra.py")
    done = fleet.run(
        [sys.executable, script, "inventory.py", "deploys/node.py", "-y"], BRAMBLE_COUNT=str(count)
    )
    assert done.returncode == 0, done.stdout
    counted = Counter(tuple(line.split()) for line in count.read_text().splitlines())
    assert 1 <= counted[NODE, "command"] <= MOST_COMMANDS
    assert counted[NODE, "operation"] == 0
    assert 1 <= counted["all", "packet"] <= MOST_PACKETS


STOCK = """
from pyinfra.operations import files

from bramble.deploys import base, engine, serving, verify

base()
files.link(name="Not bramble's", path="/opt/bramble/engine/current", present=False)
"""


def test_what_an_operation_that_is_not_brambles_changed_is_seen_by_roles_and_checks(
    fleet, on, tmp_path
):
    deploy = tmp_path / "stock.py"
    deploy.write_text(STOCK + "engine()\nserving()\nverify()\n")
    done = fleet.run([BIN / "pyinfra", "inventory.py", deploy, "-y"])
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NODE)["engine.release_is_current"] == "pass"
    deploy.write_text(STOCK + "verify()\n")
    done = fleet.run([BIN / "pyinfra", "inventory.py", deploy, "-y"])
    assert done.returncode == 1, done.stdout
    assert fleet.statuses(NODE)["engine.release_is_current"] == "fail"
    (end,) = fleet.events("end")
    assert (end["changed"], end["failed"]) == ([NODE], [NODE])
    assert fleet.pyinfra("node", "-y").returncode == 0


def test_the_example_of_roles_among_stock_operations_does_what_its_page_says(fleet, on, tmp_path):
    page = (ROOT / "docs/how-to/mix-with-pyinfra.md").read_text()
    mixed, own = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    (tmp_path / "mixed.py").write_text(mixed.replace("deploys/own.py", str(tmp_path / "own.py")))
    (tmp_path / "own.py").write_text(own)

    def deployed():
        done = fleet.run([BIN / "pyinfra", "inventory.py", tmp_path / "mixed.py", "-y"])
        assert done.returncode == 0, done.stdout
        assert f"{NODE} runs Linux {on(NODE, 'uname -r')}" in done.stdout
        assert "fail" not in fleet.statuses(NODE).values()

    served = "cat /var/log/served-again 2>/dev/null | wc -l"
    deployed()
    assert (on(NODE, "cat /etc/motd"), on(NODE, served)) == (
        "Ask the homelab team before you touch it.",
        "0",
    )
    fleet.write([NODE], {NODE: {"serving": {"ctx_tokens": 256}}})
    deployed()
    assert on(NODE, served) == "1"
    fleet.write([NODE])
    assert fleet.pyinfra("node", "-y").returncode == 0


def test_a_dry_run_changes_nothing_and_says_what_would(fleet, on):
    fleet.write([NODE], {NODE: {"serving": {"ctx_tokens": 256}}})
    before = on(NODE, "sha256sum /etc/systemd/system/llama-server.service")
    done = fleet.pyinfra("node", "--dry", "--diff")
    assert done.returncode == 0, done.stdout
    assert "-    --ctx-size 512" in done.stdout
    assert "+    --ctx-size 256" in done.stdout
    assert on(NODE, "sha256sum /etc/systemd/system/llama-server.service") == before
    fleet.write([NODE])


def test_plan_shows_what_would_land(fleet):
    done = fleet.bramble("plan", NODE, "--json")
    assert done.returncode == 0, done.stdout
    (plan,) = as_json(done)["plans"]
    assert plan["host"] == NODE
    assert {step["why"] for step in plan["steps"]} == {None}
    assert "/etc/systemd/system/llama-server.service" in {file["path"] for file in plan["files"]}


def test_an_installed_bramble_does_all_of_it_in_a_project_of_its_own(fleet, on, tmp_path):
    """No checkout is on its import path, and no variable names an inventory."""
    installed = install(tmp_path / "installed")
    here = tmp_path / "fleet"
    host = f"{NODE}={address_of(NODE)}"
    made = installed.run("bramble", "init", here, "--host", host, "--user", "pi", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    shipped = installed.package / "shipped"
    settings = (shipped / "inventory" / "groups" / "virtual.yml").read_text()
    own = here / "inventory" / "hosts" / f"{NODE}.yml"
    own.write_text(settings.replace("../models/", f"{shipped}/models/"))

    def run(command, *words, cwd=here):
        done = installed.run(command, *words, cwd=cwd, **{store.VARIABLE: str(fleet.store)})
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Inventory {here}/inventory" in done.stderr or words[0] == "checks"
        return done.stdout

    assert f"{shipped}/models/bramble-demo-q8_0.gguf" in run("bramble", "config", NODE)
    assert (
        json.loads(run("bramble", "plan", NODE, "--json", cwd=own.parent))["plans"][0]["host"]
        == NODE
    )
    demo = shipped / "models" / "bramble-demo-q8_0.gguf"
    assert json.loads(run("bramble", "fit", demo, "--host", NODE, "--json"))["verdict"] == "yes"
    every = [check for role in registry.roles() for check in role.checks]
    assert len(json.loads(run("bramble", "checks", "--json"))) == len(every)
    on(NODE, "systemctl stop llama-server")
    (up,) = json.loads(run("bramble", "up", "--json", cwd=own.parent))["hosts"]
    assert (up["state"], up["steps"]) == ("changed", ["Run the service"])
    run("pyinfra", "inventory.py", "deploys/node.py", "-y")
    assert run("bramble", "ask", "What is 2+2?", cwd=here / "deploys") == "4\n"
    reports = sorted((here / "reports").glob("*.jsonl"))
    assert [file.stem.rpartition("-")[2] for file in reports[:3]] == ["plan", "plan", "node"]
    (end,) = [event for event in report.read(reports[-1]) if event["event"] == "end"]
    assert (end["changed"], end["failed"]) == ([], [])


def test_ask_streams_the_right_answer(fleet):
    done = fleet.bramble("ask", "--host", NODE, "What is 2+2?")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "4"


ORACLES = (
    ("llama-3.2-1b-q4_k_m", 2048),
    ("qwen2.5-3b-q8_0", 32768),
    ("llama-3.1-8b-pruned-q4_k_m", 8192),
    ("gemma-3-1b-q4_k_m", 8192),
    ("qwen3.5-2b-q4_k_s", 4096),
    ("qwen3-30b-a3b-q4_k_m", 2048),
)


@pytest.mark.parametrize(("name", "ctx"), ORACLES)
def test_the_planner_says_what_the_built_llama_fit_params_says(fleet, on, virtual_pis, name, ctx):
    """Sparse files of real dimensions: what tests/unit/test_fit.py holds recorded, from this build."""
    shape = all_shapes()[name]
    header, size = shape.header(), len(shape.header()) + shape.data_bytes
    argv = virtual.ssh_argv(
        lifecycle.running(NODE), f"cat >shape.gguf && truncate -s {size} shape.gguf"
    )
    subprocess.run(argv, input=header, check=True, timeout=60)
    said = virtual_pis.said(
        NODE,
        f"/opt/bramble/engine/current/bin/llama-fit-params -m shape.gguf -c {ctx} -np 1 -ub 128 "
        "-ctk f16 -ctv f16 --no-repack --fit-print on 2>/dev/null; rm shape.gguf",
    )
    host, *truth = said.splitlines()[-1].split()
    assert host == "Host"
    request = memory.Request(ctx=ctx)
    found = geometry(gguf.read(header))
    total = (
        found.weights.file_bytes
        + memory.kv_bytes(found, request)
        + memory.compute_bytes(found, request)
    ) / (1 << 20)
    expected = sum(map(int, truth))
    assert abs(total - expected) <= 0.03 * expected
    assert total > expected - 64


def test_the_arguments_that_bramble_knows_are_those_of_the_built_server(fleet, on):
    said = on(NODE, "/opt/bramble/engine/current/bin/llama-server --help 2>/dev/null")
    known = arguments.known()
    found = arguments.of_help(said, known.commit, known.version)
    assert found.arguments == known.arguments
    assert found.chat_templates == known.chat_templates


def test_fit_asks_the_node_for_its_memory(fleet, on):
    model = ROOT / "models" / "bramble-demo-q8_0.gguf"
    done = fleet.bramble("fit", model, "--host", NODE, "--json")
    assert done.returncode == 0, done.stdout
    answer = as_json(done)
    reported = int(on(NODE, "grep MemTotal /proc/meminfo").split()[1]) // 1024
    assert answer["available_mib"] + answer["reserve_mib"] == reported
    assert answer["flags"][:2] == ["-c", "512"]


def test_a_model_that_does_not_fit_is_refused_before_anything_is_fetched(fleet, on):
    header = all_shapes()["llama-3.1-8b-q4_k_m"].header()
    small = all_shapes()["llama-3.2-1b-q4_k_m"].header()
    total = int(on(NODE, "grep MemTotal /proc/meminfo").split()[1]) // 1024
    with serving(b"never read", GATEWAY) as server:
        locked = {
            use: lock.Locked(
                repo="a/b",
                revision="1" * 40,
                file="c.gguf",
                size_bytes=gguf.read(header).file_bytes,
                sha256="2" * 64,
                fit=dims_of(geometry(gguf.read(data))),
            )
            for use, data in (("big:q4_k_m", header), ("small:q4_k_m", small))
        }
        lock.write(fleet.folder, locked)
        own = {
            "model": {
                **dict.fromkeys(("name", "path", "sha256")),
                "use": "big:q4_k_m",
                "endpoint": server.url.rpartition("/")[0],
            },
            "serving": {"reserve_mib": total - 3000},
        }
        fleet.write([NODE], {NODE: own})
        try:
            planned = fleet.bramble("plan", NODE)
            done = fleet.pyinfra("node", "-y")
        finally:
            (fleet.folder / "models.lock").unlink()
            fleet.write([NODE])
        assert server.ranges == []
    for said in (planned, done):
        assert said.returncode == 1, said.stdout
        assert "big-q4_k_m does not fit, so nothing is fetched" in said.stdout
        assert "the model takes 4" in said.stdout
        assert "The nearest locked model that fits is small:q4_k_m" in said.stdout
    assert fleet.events("step") == []
    assert fleet.verify()[0] == 0


def test_verify_passes_and_exits_with_0(fleet):
    code, results = fleet.verify()
    assert code == 0
    assert {check: results[NODE, check]["status"] for check in CHECKS} == WELL


@pytest.mark.parametrize("options", [[], [f"--hosts={NODE}"]])
def test_the_checks_run_as_pytest_through_testinfra(fleet, options):
    done = fleet.run([BIN / "pytest", "-q", "-p", "no:cacheprovider", "tests/preflight", *options])
    assert done.returncode == 0, done.stdout
    assert f"{len(CHECKS) - len(SKIPPED)} passed, {len(SKIPPED)} skipped" in done.stdout


def test_a_fault_fails_its_pytest_test_and_no_other(fleet, on):
    on(NODE, "systemctl disable -q llama-server")
    done = fleet.run([BIN / "pytest", "-q", "-p", "no:cacheprovider", "tests/preflight"])
    on(NODE, "systemctl enable -q llama-server")
    assert done.returncode == 1
    assert f"1 failed, {len(CHECKS) - len(SKIPPED) - 1} passed" in done.stdout
    assert "serving.unit_is_enabled" in done.stdout


UNIT_FILE = "/etc/systemd/system/llama-server.service"
RESTART = "systemctl daemon-reload; systemctl restart llama-server"
# What somebody may do to a node, in groups that are found by one look and mended by one deploy: each
# fault with the checks that find it, and words that they must find.
FAULTS = {
    "stopped": [
        (
            "systemctl stop llama-server",
            {
                "serving.unit_is_active": "inactive (dead)",
                "serving.health_is_ok": "nothing listens",
                "serving.model_answers": "refused",
                "serving.sandbox_holds_the_process": "no process",
                "serving.process_runs_the_plan": "no process",
            },
        ),
        ("systemctl disable -q llama-server", {"serving.unit_is_enabled": "disabled"}),
        (
            "echo quiet >>/boot/firmware/cmdline.txt",
            {"boot.cmdline_txt_is_one_line": "2 lines"},
        ),
        ("rm /opt/bramble/engine/good.json", {"serving.release_passed_the_gate": "none"}),
    ],
    "another release and another model": [
        (
            "ln -sfn releases/none /opt/bramble/engine/current",
            {"engine.release_is_current": "releases/none"},
        ),
        (
            "f=$(ls /var/lib/bramble/models/*.gguf); printf x | dd of=$f bs=1 seek=90000 "
            "conv=notrunc status=none",
            {"model.model_is_the_pinned_one": "has sha256"},
        ),
    ],
    "another server": [
        (
            "rm /opt/bramble/engine/current/smoke.json",
            {"engine.release_has_what_was_planned": "no smoke test is recorded"},
        ),
        (
            "cp -p /opt/bramble/engine/current/bin/llama-server /root/other; "
            "printf x >>/root/other; mv /root/other /opt/bramble/engine/current/bin/llama-server; "
            "systemctl restart llama-server",
            {
                "serving.build_is_the_running_one": "llama-server sha256",
                "engine.release_is_whole": "llama-server of release",
            },
        ),
    ],
    "the unit edited and restarted, and lines of the next boot": [
        (
            "sed -i 's/--ctx-size 512/--ctx-size 256/; s/ProtectHome=yes/ProtectHome=no/; "
            "s/OOMScoreAdjust=500/OOMScoreAdjust=-900/; s/Restart=on-failure/Restart=no/; "
            "s/--load-mode mmap/--load-mode mmap+mlock/' "
            f"{UNIT_FILE}; {RESTART}",
            {
                "serving.files_are_as_written": "`Restart=no`",
                "serving.process_runs_the_plan": "--ctx-size is 256, planned 512",
                "serving.unit_is_loaded_as_written": "ProtectHome is no, planned yes",
                "serving.sandbox_holds_the_process": "it sees /home",
            },
        ),
        (
            "sed -i 's/ cgroup_enable=memory//' /boot/firmware/cmdline.txt",
            {"boot.lines_are_as_written": "cgroup_enable=memory"},
        ),
        (
            "sed -i s/volatile/persistent/ /etc/systemd/journald.conf.d/99-bramble.conf",
            {"storage.files_are_as_written": "`Storage=persistent`"},
        ),
        (
            "rm /etc/systemd/system.conf.d/99-bramble-watchdog.conf",
            {"watchdog.files_are_as_written": "is not there"},
        ),
        (
            "rm /etc/sysusers.d/bramble-build.conf",
            {"engine.files_are_as_written": "is not there"},
        ),
        (
            "echo X11Forwarding no >/etc/ssh/sshd_config.d/00-bramble.conf",
            {"base.files_are_as_written": "00-bramble.conf is there"},
        ),
        (
            "echo '[Service]' >/etc/systemd/system/bramble-governor.service",
            {"power.files_are_as_written": "bramble-governor.service is there"},
        ),
    ],
    "a drop-in, another program and hands of the service's user": [
        (
            f"mkdir -p {UNIT_FILE}.d; printf '[Service]\\nNoNewPrivileges=no\\nProtectSystem=no\\n"
            "Environment=LLAMA_ARG_N_PREDICT=7 LLAMA_API_KEY=hunter2\\n' "
            f">{UNIT_FILE}.d/mine.conf; {RESTART}",
            {
                "serving.unit_is_loaded_as_written": "mine.conf changes it",
                "serving.process_runs_the_plan": "LLAMA_API_KEY is in its environment",
                "serving.sandbox_holds_the_process": "it may write to the file system",
            },
        ),
        (
            "echo '#!/bin/sh' >/opt/bramble/engine/current/bin/llama-bench",
            {"engine.release_is_whole": "llama-bench of release"},
        ),
        (
            "chmod 777 /opt/bramble/engine/releases",
            {"engine.releases_belong_to_root": "releases may be written by others"},
        ),
        (
            "usermod --shell /bin/sh bramble-build",
            {"engine.build_user_cannot_log_in": "with /bin/sh and no password"},
        ),
        (
            "chown llama /var/lib/bramble/models",
            {"model.model_belongs_to_root": "models/. belongs to llama"},
        ),
    ],
    "restored, and not restarted": [
        (
            f"cp -p {UNIT_FILE} /root/unit; sed -i s/ProtectHome=yes/ProtectHome=no/ {UNIT_FILE}; "
            f"{RESTART}; cp -p /root/unit {UNIT_FILE}",
            {
                "serving.unit_is_loaded_as_written": "ProtectHome is no, planned yes",
                "serving.sandbox_holds_the_process": "it sees /home",
            },
        ),
    ],
}


@pytest.mark.parametrize("group", FAULTS)
def test_planted_faults_are_found_and_mended(fleet, on, group):
    for fault, _ in FAULTS[group]:
        on(NODE, fault)
    code, results = fleet.verify()
    assert code == 1
    for _, checks in FAULTS[group]:
        for check, words in checks.items():
            found = results[NODE, check]
            assert (found["status"], words in found["got"]) == ("fail", True), found
            assert found["remedy"]
    assert "hunter2" not in str(results)
    mended = fleet.pyinfra("node", "-y")
    assert mended.returncode == 0, mended.stdout
    assert fleet.verify()[0] == 0


def test_a_smaller_context_than_the_planned_one_is_found_and_mended(fleet, on):
    unit = "/etc/systemd/system/llama-server.service"
    on(NODE, f"sed -i 's/--ctx-size 512/--ctx-size 256/' {unit}; systemctl daemon-reload")
    on(
        NODE,
        "systemctl restart llama-server; until curl -sf 127.0.0.1:8080/health; do sleep 0.1; done",
    )
    found = fleet.verify()[1][NODE, "serving.context_is_as_planned"]
    assert (found["status"], found["got"]) == ("warn", "256 tokens")
    assert fleet.pyinfra("node", "-y").returncode == 0
    assert fleet.verify()[0] == 0


def test_what_is_somebody_elses_is_told_with_who_it_is_and_left(fleet, on):
    on(NODE, "mkdir -p /etc/llama.cpp; touch /etc/llama.cpp/config.ini")
    on(
        NODE,
        "systemd-run -q --unit mine /opt/bramble/engine/current/bin/llama-server --host 0.0.0.0 "
        "--port 9999 --model /var/lib/bramble/models/*.gguf",
    )
    wait_until(lambda: "9999" in on(NODE, "ss -Hltn"), 60, "the other server")
    code, results = fleet.verify()
    stray, other = (
        results[NODE, f"serving.{name}"]
        for name in ("no_stray_configuration", "no_other_server_runs")
    )
    assert (code, stray["status"], other["status"]) == (1, "warn", "fail")
    assert "of root (/opt/bramble/engine/" in other["got"]
    assert other["got"].endswith("mine.service), listening on 0.0.0.0:9999")
    assert "end it" in other["remedy"]
    on(NODE, "rm -r /etc/llama.cpp; systemctl stop mine")
    assert fleet.verify()[0] == 0


@pytest.fixture
def board(on):
    """What the node's vcgencmd says from now on, as recorded on a real board at the end."""
    place = "/usr/lib/virtual-pi/current/vcgencmd"
    on(NODE, f"cp -r {place} /root/vcgencmd")

    def says(bits, degrees):
        on(
            NODE,
            f'echo throttled={bits} >{place}/get_throttled; echo "temp={degrees}\'C" >{place}/t',
        )
        on(NODE, f"mv {place}/t {place}/measure_temp")

    yield says
    on(NODE, f"rm -r {place}; mv /root/vcgencmd {place}")


def test_a_board_that_is_hot_is_measured_once_it_is_cool(fleet, on, board, tmp_path):
    on(NODE, "rm /opt/bramble/engine/good.json")
    board("0xe0008", 84.5)
    with (tmp_path / "log").open("w") as log:
        process = fleet.start_pyinfra("node", "-y", stdout=log)
    said = tmp_path / "log"
    wait_until(lambda: "waiting for 65 °C" in said.read_text(), 300, "the wait")
    assert on(NODE, "ls /opt/bramble/engine/good.json 2>&1; true").endswith(
        "No such file or directory"
    )
    board("0xe0000", 55)  # the marks of what was stay until the next boot
    assert process.wait(timeout=300) == 0
    assert "held back by heat while it computed (soft temperature limit)" in said.read_text()
    assert "is good with bramble-demo" in said.read_text()


def test_undervoltage_fails_the_gate_and_no_command_says_that_all_is_well(fleet, on, board):
    on(NODE, "rm /opt/bramble/engine/good.json")
    board("0x50005", 50)
    done = fleet.bramble("upgrade", NODE)
    assert done.returncode == 1
    assert "the supply did not hold its voltage while it computed (undervoltage)" in done.stdout
    board("0x0", 50)
    assert fleet.bramble("upgrade", NODE).returncode == 0
    board("0x1", 50)
    done = fleet.bramble("upgrade", NODE)
    assert done.returncode == 1
    assert (
        "power.voltage_is_enough: fail: wanted no undervoltage, got undervoltage now" in done.stdout
    )
    board("0x0", 50)


def test_what_a_role_set_is_taken_back_and_brought_again(fleet, on):
    models = on(NODE, "ls /var/lib/bramble/models")
    done = fleet.bramble("revert", "engine", NODE)
    assert done.returncode == 0, done.stdout
    assert "serving depends on engine" in done.stdout
    assert on(NODE, "systemctl show -p LoadState --value llama-server") == "not-found"
    assert on(NODE, "pgrep llama-server || echo none") == "none"
    assert on(NODE, "ls /var/lib/bramble/models") == models
    code, results = fleet.verify()
    assert code == 1
    assert results[NODE, "serving.unit_is_active"]["status"] == "fail"
    again = fleet.bramble("revert", "engine", NODE)
    assert f"{NODE}: nothing to revert" in again.stdout
    brought = fleet.pyinfra("node", "-y")
    assert brought.returncode == 0, brought.stdout
    assert "compiling" not in brought.stdout
    assert fleet.statuses(NODE) == WELL


def test_the_service_is_back_after_a_reboot(fleet, virtual_pis):
    virtual_pis.reboot(NODE)
    wait_until(lambda: fleet.verify()[0] == 0, 120, "every check passing again")


def test_a_deploy_that_reboots_a_serving_node_ends_with_its_answer(fleet, on, virtual_pis):
    on(NODE, "sed -i 's/ psi=1//' /boot/firmware/cmdline.txt")
    virtual_pis.reboot(NODE)
    _, results = fleet.verify()
    assert results[NODE, "boot.kernel_has_its_parameters"]["status"] == "fail"
    before = virtual_pis.boot_id(NODE)
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert virtual_pis.boot_id(NODE) != before
    steps = [event["step"] for event in fleet.events("step")]
    assert steps[:2] == ["Set the kernel's parameters", "Reboot"]
    # The service may have come up before the look after the reboot, or not.
    assert set(steps[2:]) <= {"Run the service"}
    assert fleet.statuses(NODE) == WELL


def test_a_failing_host_does_not_stop_the_other_and_is_named(fleet):
    fleet.write([NODE, "vpi-199"])
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 1
    (end,) = fleet.events("end")
    assert end["failed"] == ["vpi-199"]
    assert fleet.statuses(NODE) == WELL
    code, results = fleet.verify()
    assert code == 1
    assert results["vpi-199", "ssh.reachable"]["status"] == "fail"
    assert "does not answer" in results["vpi-199", "ssh.reachable"]["got"]
    fleet.write([NODE])


OTHER = {"bookworm": "trixie", "trixie": "bookworm"}


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("forky", "bookworm or trixie is supported. Flash Raspberry Pi OS Lite"),
        (None, "is of {}: an upgrade to another release was begun and not finished"),
    ],
)
def test_an_unsupported_release_is_refused_in_a_sentence(fleet, on, to, why):
    codename = to or OTHER[fleet.release]
    on(NODE, f"sed -i s/{fleet.release}/{codename}/ /usr/lib/os-release")
    try:
        done = fleet.pyinfra("node", "-y")
    finally:
        on(NODE, f"sed -i s/{codename}/{fleet.release}/ /usr/lib/os-release")
    assert done.returncode == 1
    assert why.format(fleet.release) in done.stdout
    assert fleet.events("step") == []


def test_a_clone_of_a_node_needs_no_change(fleet, virtual_pis):
    virtual_pis.up(SECOND, clone_of=NODE)
    fleet.write([NODE, SECOND])
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (end,) = fleet.events("end")
    assert end["changed"] == []
    fleet.write([NODE])
    virtual_pis.down(SECOND)


def test_a_wrong_key_is_refused_before_any_connection(fleet):
    file = fleet.folder / "fleet.yml"
    good = file.read_text(encoding="utf-8")
    file.write_text(
        good.replace("settings: {}", "settings: {serving: {prot: 1}}"), encoding="utf-8"
    )
    done = fleet.pyinfra("node", "-y")
    file.write_text(good, encoding="utf-8")
    assert done.returncode == 2
    assert "prot" in done.stdout
    assert "'port'" in done.stdout
    assert "Connecting" not in done.stdout


def test_a_host_whose_key_is_not_known_is_refused_until_it_is_trusted(fleet, on):
    known_hosts = fleet.folder / "known_hosts"
    own = {"ssh": {"address": address_of(NODE), "known_hosts": str(known_hosts)}}
    fleet.write([NODE], {NODE: own})
    code, results = fleet.verify()
    assert code == 1
    assert results[NODE, "ssh.reachable"]["got"].endswith(f"run `bramble trust {NODE}` first")
    assert fleet.bramble("trust", NODE, "--fingerprint", "SHA256:other").returncode == 1
    assert not known_hosts.exists()
    shown = on(NODE, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert fleet.bramble("trust", NODE, "--fingerprint", shown).returncode == 0
    assert fleet.verify()[0] == 0
    fleet.write([NODE])


def test_a_model_comes_by_url_through_a_connection_that_breaks(fleet, on):
    model = (ROOT / "models" / "bramble-demo-f16.gguf").read_bytes()
    with serving(model, GATEWAY) as server:
        server.script = [Whole(cut_after=1_000_000), Whole(cut_after=700_000)]
        by_url = {
            "name": "by-url",
            "path": None,
            "url": server.url,
            "sha256": hashlib.sha256(model).hexdigest(),
        }
        fleet.write([NODE], {NODE: {"model": by_url}})
        done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert f"[{NODE}] the connection ended early; resuming at 0 MiB" in done.stdout
    assert server.ranges == [None, "bytes=1000000-", "bytes=1700000-"]
    assert server.sent_bytes == len(model)
    assert fleet.statuses(NODE)["model.model_is_the_pinned_one"] == "pass"
    fleet.write([NODE])
    assert fleet.pyinfra("node", "-y").returncode == 0


def test_a_node_that_vanishes_in_a_long_step_ends_the_run_and_not_its_work(fleet, on, virtual_pis):
    model = (ROOT / "models" / "bramble-demo-f16.gguf").read_bytes()
    link = f"vb-{NODE}"
    with serving(model, GATEWAY) as server:
        server.script = [Whole(cut_after=1_000_000, stall=True)]
        by_url = {
            "name": "stalls",
            "path": None,
            "url": server.url,
            "sha256": hashlib.sha256(model).hexdigest(),
        }
        fleet.write([NODE], {NODE: {"model": by_url}})
        process = fleet.start_pyinfra("node", "-y")
        wait_until(lambda: server.sent_bytes, 60, "the download")
        subprocess.run(["ip", "link", "set", link, "down"], check=True)
        # Without keepalives of our own the run would never end; this is a bound, not a measure.
        assert process.wait(timeout=120) == 1
        subprocess.run(["ip", "link", "set", link, "up"], check=True)
        wait_until(lambda: virtual_pis.boot_id(NODE), 60, "the node being back")
        (end,) = fleet.events("end")
        assert end["failed"] == [NODE]
        assert "active" in on(NODE, "systemctl list-units --plain --no-legend 'bramble-fetch-*'")
    fleet.write([NODE])
    on(NODE, "systemctl stop 'bramble-fetch-*'")
    assert fleet.pyinfra("node", "-y").returncode == 0


def test_try_goes_from_nothing_to_the_answer(virtual_pis):
    if "vpi-1" not in {node.name for node in virtual.nodes()}:  # else it is somebody's
        virtual_pis.names.append("vpi-1")
    done = subprocess.run(
        [BIN / "bramble", "try"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MAIN_JOB_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == ["What is 2+2?", "4"]


def test_an_option_that_llama_cpp_lacks_stops_the_build_and_not_the_service(fleet, on):
    fleet.write([NODE], {NODE: {"engine": {"options": {"GGML_OPENMPP": "OFF"}}}})
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 1
    assert "llama.cpp has no option GGML_OPENMPP; did you mean GGML_OPENMP?" in done.stdout
    fleet.write([NODE])
    assert fleet.verify()[0] == 0


def test_the_running_unit_is_hardened(fleet, on):
    said = on(NODE, "systemd-analyze security --no-pager --threshold=15 llama-server.service")
    assert "Overall exposure level for llama-server.service" in said
