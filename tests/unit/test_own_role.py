"""A role of a person's own: the how-to's, word for word, and what is said of one that is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bramble import registry
from bramble.cli import main
from bramble.documents.problems import InventoryError
from bramble.fleet import load
from bramble.plan import make
from bramble.project import folder
from bramble.testing import golden
from bramble.testing.roles import PI5, planned

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-role.md"
FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.(?:py|yml))\n")
ENVIRONMENT = {
    **{name: text for name, text in os.environ.items() if not name.startswith("BRAMBLE")},
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


def said(language):
    """The blocks of the how-to in a language."""
    return [text for found, text in FENCED.findall(PAGE.read_text()) if found == language]


def forget():
    """Have roles loaded again, as another process would."""
    registry._all.cache_clear()
    for name in [name for name in sys.modules if name.startswith("bramble_roles_")]:
        del sys.modules[name]


def bramble(*words):
    forget()
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return done.stdout


def run_tests(place):
    """What pytest says of the project's tests."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=place,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one host, which is all that the commands here go by."""
    monkeypatch.delenv("BRAMBLE_INVENTORY", raising=False)
    place = tmp_path / "my-fleet"
    bramble("init", str(place), "--host", "pi5-a=192.168.1.41")
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def exporter(project):
    """The same with the role that the how-to makes."""
    bramble("role", "new", "exporter", "--package", "prometheus-node-exporter")
    blocks = [*said("python"), *said("yaml")]
    for text in blocks:
        name = NAMED.match(text)[1]
        file = project / name
        assert file.is_file(), f"{name}: `bramble init` and `role new` wrote none"
        if file.suffix == ".yml":
            text = file.read_text().replace("settings:\n", f"{text.partition('settings:')[2]}")
            text = re.sub(r"^\n  node:", "settings:\n  node:", text, count=1, flags=re.MULTILINE)
        file.write_text(text)
    assert len(blocks) == 6
    forget()
    yield project
    forget()


def test_the_how_tos_role_passes_its_own_test_and_has_the_plan_that_is_shown(exporter):
    tree = exporter / "tests/plans/exporter"
    assert "If that is meant: BRAMBLE_REGENERATE=yes pytest" in golden.compare(
        planned("exporter"), tree
    )
    tree.mkdir(parents=True)
    (tree / "plan.yml").write_text(said("text")[0])
    code, out = run_tests(exporter)
    assert (code, "5 passed" in out) == (0, True), out


def test_its_test_tells_of_a_fault_that_is_planted_in_it(exporter):
    golden.write(exporter / "tests/plans/exporter", golden.tree(planned("exporter")))
    changed(exporter, "checks.py", "answer.status == 200", "True")
    changed(exporter, "plan.py", "start=(UNIT,)", "restart=(UNIT,)")
    code, out = run_tests(exporter)
    failed = re.findall(r"^FAILED \S+::(\w+)", out, re.MULTILINE)
    assert code == 1
    assert failed == [
        "test_the_plan_is_the_one_that_was_looked_at",
        "test_an_exporter_that_was_stopped_is_found_and_started",
    ]


def test_a_tree_is_written_where_that_is_asked_for(exporter, monkeypatch):
    monkeypatch.setenv(golden.VARIABLE, "yes")
    assert golden.compare(planned("exporter"), exporter / "made") == ""
    assert (exporter / "made/plan.yml").read_text() == said("text")[0]


def test_its_settings_are_the_inventorys(exporter):
    assert "exporter.enabled" in bramble("config", "pi5-a")
    assert '"exporter"' in bramble("schema")
    file = exporter / "inventory/fleet.yml"
    text = file.read_text()
    file.write_text(text.replace("settings:\n", "settings:\n  exporter: {enabled: 1}\n"))
    line = file.read_text().splitlines().index("  exporter: {enabled: 1}") + 1
    done = CliRunner().invoke(main, ["config", "pi5-a"])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"inventory/fleet.yml:{line}: exporter.enabled: found 1")


def test_it_is_planned_checked_and_listed_like_ours(exporter):
    host = load(folder()).hosts["pi5-a"]
    plan = make("pi5-a", host.settings, PI5, registry.roles_of(host.settings), host.prepared)
    assert list(plan.roles) == ["base", "exporter"]
    assert "prometheus-node-exporter" in plan.packages
    assert "exporter.exporter_answers (stop)" in bramble("checks")
    assert "| `exporter.exporter_answers` | stop |" in bramble("role", "show", "exporter")
    listed = bramble("role", "list").splitlines()
    (own,) = [line for line in listed if line.endswith("(yours)")]
    assert own.split(maxsplit=1)[0] == "exporter"
    assert " Figures of the machine for Prometheus" in own
    assert listed[0].startswith("base ")


def test_only_this_project_has_it(exporter, tmp_path, monkeypatch):
    assert registry.own() == ("exporter",)
    other = tmp_path / "other"
    bramble("init", str(other), "--host", "pi4-b=192.168.1.42")
    monkeypatch.chdir(other)
    assert registry.own() == ()
    assert "exporter" not in registry.sections()


def test_a_new_role_is_whole_and_its_test_passes(project):
    bramble("role", "new", "fan_club")
    code, out = run_tests(project)
    assert (code, "5 passed" in out) == (0, True), out
    assert "fan_club.service_runs (stop)" in bramble("checks")
    again = CliRunner().invoke(main, ["role", "new", "fan_club"])
    assert (again.exit_code, again.stderr[:46]) == (
        2,
        "there is a role or a section 'fan_club' alread",
    )


@pytest.mark.parametrize("name", ["Exporter", "node-exporter", "1st", "base", "ssh"])
def test_a_name_that_no_role_can_have_is_refused(project, name):
    done = CliRunner().invoke(main, ["role", "new", name])
    assert done.exit_code == 2
    assert not (project / "roles").exists()


WRONG = {
    "a syntax error": ("plan.py", "def plan(:\n", "roles/exporter/plan.py:1: SyntaxError: "),
    "what it raises": ("plan.py", "\n1 / 0\n", "roles/exporter/plan.py:2: ZeroDivisionError: "),
    "no such import": ("plan.py", "import nonsense_x\n", "plan.py:1: ModuleNotFoundError: No mod"),
    "no role": ("role.py", "ROLE = 1\n", "role.py: ROLE must be a Role with name='exporter'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_role_that_cannot_be_loaded_is_told_by_its_file_and_line(exporter, case):
    name, text, reported = WRONG[case]
    (exporter / "roles/exporter" / name).write_text(text)
    for words in (
        ["config", "pi5-a"],
        ["checks"],
        ["role", "list"],
        ["revert", "base"],
        ["schema"],
    ):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2, done.output
        assert reported in done.stderr


def changed(place, name, before, after):
    file = place / "roles/exporter" / name
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    forget()


def test_a_role_that_needs_one_that_there_is_not_is_told(exporter):
    changed(exporter, "settings.py", '("base",)', '("bass",)')
    with pytest.raises(
        InventoryError, match="roles/exporter: needs role 'bass'; did you mean 'base'"
    ):
        registry.roles()


def test_a_folder_of_another_name_than_its_role_or_of_one_of_ours_is_told(exporter):
    (exporter / "roles/exporter").rename(exporter / "roles/watchdog")
    with pytest.raises(
        InventoryError, match="roles/watchdog: there is a role or a section 'watchdog'"
    ):
        registry.roles()
    (exporter / "roles/watchdog").rename(exporter / "roles/exporters")
    forget()
    with pytest.raises(InventoryError, match="ROLE must be a Role with name='exporters'"):
        registry.roles()


def test_a_folder_of_roles_that_are_another_tools_is_left_alone(project):
    (project / "roles/nginx/tasks").mkdir(parents=True)
    assert registry.own() == ()


def packaged(exporter, tmp_path, monkeypatch, name="exporter"):
    """The role in an installed package, and in the project no more."""
    place = tmp_path / "site"
    (place / "our_roles").mkdir(parents=True)
    (place / "our_roles/__init__.py").write_text("")
    (exporter / "roles/exporter").rename(place / "our_roles/exporter")
    info = place / "our_roles-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-roles\nVersion: 1.0\n")
    (value,) = re.findall(r'exporter = "(.+)"', said("toml")[0])
    (info / "entry_points.txt").write_text(f"[bramble.roles]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(place))
    forget()


def test_a_role_of_an_installed_package_is_one_too(exporter, tmp_path, monkeypatch):
    packaged(exporter, tmp_path, monkeypatch)
    assert registry.own() == ("exporter",)
    assert "exporter.enabled" in bramble("config", "pi5-a")


def test_an_installed_role_of_another_name_is_told_with_its_package(
    exporter, tmp_path, monkeypatch
):
    packaged(exporter, tmp_path, monkeypatch, name="base")
    with pytest.raises(
        InventoryError, match=r"package our-roles: our_roles\.exporter\.role:ROLE must be"
    ):
        registry.roles()
