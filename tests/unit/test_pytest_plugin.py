"""`pytest --hosts=NAME`: the checks and a project's own tests on its hosts, over a stand-in of ssh."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

pytest_plugins = "pytester"

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/how-to/check-with-pytest.md"
LOOK = json.loads((HERE / "recorded/probe.container-bookworm-amd64.json").read_text())
FLEET = """\
settings:
  node: {roles: [base]}
  ssh: {connect_timeout_s: 7, known_hosts: known_hosts}
hosts:
  pi5-a: {ssh: {address: 192.0.2.1}}
  pi5-gone: {ssh: {address: 192.0.2.2}}
"""
SSH = f"""\
#!{sys.executable}
import subprocess, sys
*options, name, command = sys.argv[1:]
with open({{calls!r}}, "a") as file:
    file.write(" ".join(["look" if "BRAMBLE_END" in command else "run", *options, name, "\\n"]))
if name == "pi5-gone":
    print("ssh: connect to host 192.0.2.2 port 22: No route to host", file=sys.stderr)
    sys.exit(255)
if "BRAMBLE_END" in command:
    print({{look!r}})
else:
    sys.exit(subprocess.run(["sh", "-c", command]).returncode)
"""
IMPORTED = """\
import sys
import pytest
pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]])
print("imported:", *sorted(n for n in sys.modules if n.startswith("bramble")))
"""


def the_pages_test():
    """The example of the how-to."""
    (text,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture
def project(pytester, monkeypatch):
    """A project of two hosts, of which one answers; pytest runs in its folder."""
    for name in [name for name in os.environ if name.startswith("BRAMBLE")]:
        monkeypatch.delenv(name)
    pytester.mkdir("inventory").joinpath("fleet.yml").write_text(FLEET)
    (pytester.path / "inventory/known_hosts").touch()
    (pytester.path / "inventory.py").touch()
    program = pytester.mkdir("bin") / "ssh"
    calls = str(pytester.path / "calls")
    program.write_text(SSH.format(calls=calls, look=json.dumps(LOOK)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return pytester


def ran(project, *words):
    return project.runpytest_subprocess("-p", "no:cacheprovider", *words)


def test_the_checks_run_beside_the_projects_own_tests(project):
    project.makepyfile(test_hosts=the_pages_test())
    done = ran(project, "-v", "--strict-markers", "--hosts=pi5-a", "-k", "hosts or supported")
    done.stdout.fnmatch_lines(
        [
            "preflight::test_preflight[[]base.system_is_supported-ssh://pi5-a[]] PASSED*",
            "test_hosts.py::test_our_script_can_run[[]ssh://pi5-a[]] PASSED*",
            "test_hosts.py::test_no_role_brings_a_compiler[[]ssh://pi5-a[]] PASSED*",
        ]
    )
    done.assert_outcomes(passed=3, deselected=12)
    calls = (project.path / "calls").read_text().splitlines()
    assert all("ConnectTimeout=7" in call for call in calls)
    assert sum(call.startswith("look") for call in calls) == 1


def test_a_host_that_fails_does_not_hold_up_the_others(project):
    done = ran(project, "--hosts=all", "-m", "preflight", "-k", "supported or clock_is_right")
    done.assert_outcomes(passed=1, failed=1, errors=2)
    done.stdout.fnmatch_lines(
        [
            "pi5-gone cannot be reached: ssh: connect to host 192.0.2.2 port 22: No route to host",
            "wanted *, got *",
        ]
    )


ASKING = """\
#!/bin/sh
# As sudo 1.9.13 says it without a terminal.
echo "sudo: a terminal is required to read the password; either use the -S option to read from \
standard input or configure an askpass helper" >&2
echo "sudo: a password is required" >&2
exit 1
"""


def test_a_host_whose_sudo_asks_is_told_with_what_to_do(project):
    (project.path / "bin" / "ssh").write_text(ASKING)
    done = ran(project, "--hosts=pi5-a", "-m", "preflight", "-k", "supported")
    done.assert_outcomes(errors=1, deselected=12)
    said = "sudo: a password is required; pytest gives it no password: set base.passwordless_sudo *"
    done.stdout.fnmatch_lines([said])
    assert "import" not in done.stdout.str(), "the whole program"


def test_the_workers_of_xdist_know_the_hosts_too(project):
    done = ran(project, "-n", "2", "--hosts=pi5-a", "-k", "supported or packages_are_installed")
    done.assert_outcomes(passed=2)


def test_an_inventory_that_is_named_is_found_from_anywhere(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inventory = project.path / "inventory"
    done = ran(project, f"--inventory={inventory}", "--hosts=pi5-a", "-k", "supported", tmp_path)
    done.assert_outcomes(passed=1, deselected=12)


def test_names_that_are_no_hosts_are_refused_with_those_that_were_meant(project):
    done = ran(project, "--hosts=pi5-b,pi5-gone,gone")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        [
            "ERROR: --hosts: there is no host 'pi5-b'; did you mean 'pi5-a'?",
            "--hosts: there is no host 'gone'; did you mean 'pi5-gone'?",
            f"Inventory {project.path}/inventory; testinfra's own: ssh://NAME",
        ]
    )


@pytest.mark.parametrize("hosts", ["all", "vpi-199"])
def test_virtual_pis_that_are_not_up_are_not_waited_for(project, monkeypatch, hosts):
    monkeypatch.setenv("BRAMBLE_STATE", str(project.path))
    virtual = "node: {virtual: true, roles: [base]}, ssh: {address: 10.77.0.209}"
    (project.path / "inventory/fleet.yml").write_text(f"hosts: {{vpi-199: {{{virtual}}}}}\n")
    done = ran(project, f"--hosts={hosts}")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --hosts: vpi-199 is a virtual Pi that is not up: *"])


def test_what_is_wrong_with_an_inventory_is_said(project):
    (project.path / "inventory/fleet.yml").write_text("host: {}\n")
    done = ran(project, "--hosts=pi5-a")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: *fleet.yml*"])
    alone = ran(project, "--inventory=inventory")
    alone.stderr.fnmatch_lines(["ERROR: --inventory needs hosts of the inventory: *"])


def test_a_run_that_names_no_hosts_imports_nothing_and_skips_tests_of_nodes(project):
    project.makepyfile(test_plain="def test_plain(): pass", test_of_a_node="def test(plan): pass")
    done = project.run(sys.executable, "-c", IMPORTED)
    done.stdout.fnmatch_lines(
        [
            "1 passed, 1 skipped *",
            "imported: bramble bramble.testing bramble.testing.plugin",
        ]
    )


def test_without_a_project_hosts_are_testinfras(project, tmp_path, monkeypatch):
    (project.path / "inventory/fleet.yml").unlink()
    project.makepyfile("def test_the_backend(host): print(host.backend.get_pytest_id())")
    ran(project, "-s", "--hosts=ssh://web").stdout.fnmatch_lines(["*ssh://web*"])
    ran(project, "-s", "--hosts=web").stdout.fnmatch_lines(["*paramiko://web*"])
