"""Imports run one way, as design.md says, and importing anything of ours does nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bramble
from bramble import registry, roles
from bramble.remote import program

ROOT = Path(bramble.__file__).parents[1]
FILES = sorted([*ROOT.glob("bramble/**/*.py"), *ROOT.glob("roles/**/*.py")])
MODULES = [file for file in FILES if not file.is_symlink()]
ROLES = sorted(path.parent.name for path in ROOT.glob("roles/*/role.py"))
DEPLOYS = sorted(ROOT.glob("deploys/*.py"))
SHOWN_TO_PYINFRA = (ROOT / "bramble/deploys.py", ROOT / "bramble/facts.py")


@cache
def imports(file: Path) -> tuple[str, ...]:
    """Every module that a file names in an import, in functions and conditions too."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(file: Path) -> str:
    """What a file is imported as: roles/ is linked into the package."""
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return f"bramble.{name}" if within(name, "roles") else name


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def below(folder: str) -> list[Path]:
    return [file for file in MODULES if file.is_relative_to(ROOT / folder)]


def forbidden(files: list[Path], *packages: str) -> list[str]:
    """Each import of the packages in the files, as `file: module`."""
    return [
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imports(file)
        if within(name, *packages)
    ]


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 50
    assert len(DEPLOYS) >= 3


def stands_on(part_of):
    """What each part of bramble imports of the others, by a function that names a module's part.

    Imports within functions, and for types alone, count too.
    """
    names = {dotted(file) for file in MODULES}
    found = {}
    for file in MODULES:
        part = found.setdefault(part_of(dotted(file)), set())
        for name in imports(file):
            if within(name, "bramble"):
                part.add(part_of(name if name in names else name.rpartition(".")[0]))
    return {part: others - {part} for part, others in found.items()}


def test_no_two_modules_stand_on_each_other():
    found = stands_on(lambda module: module)
    assert sum(map(len, found.values())) > 500
    TopologicalSorter(found).prepare()


def test_no_two_folders_stand_on_each_other():
    """A module at the top of bramble is a part by itself."""
    found = stands_on(lambda module: ".".join(module.split(".")[:2]))
    assert found["bramble.inventory"] >= {"bramble.documents", "bramble.prepared"}
    TopologicalSorter(found).prepare()


def test_deploys_import_the_operations_and_nothing_else():
    for file in DEPLOYS:
        names = imports(file)
        assert names, file
        assert all(within(name, "bramble.pyinfra", "bramble.deploys") for name in names), file


def test_only_the_operations_import_pyinfra():
    ours = {*below("bramble/pyinfra"), *SHOWN_TO_PYINFRA}
    assert forbidden([*ours], "pyinfra", "pyinfra_cli") != []
    others = [file for file in MODULES if file not in ours]
    assert forbidden(others, "pyinfra", "pyinfra_cli") == []


def test_only_the_deploys_import_the_operations():
    ours = {*below("bramble/pyinfra"), *SHOWN_TO_PYINFRA}
    others = [file for file in MODULES if file not in ours]
    assert forbidden(others, "bramble.pyinfra", "bramble.deploys", "bramble.facts") == []


def test_a_role_imports_nothing_of_another_role_but_what_it_gives():
    for name in ROLES:
        others = [f"bramble.roles.{other}" for other in ROLES if other != name]
        found = forbidden(below(f"roles/{name}"), *others)
        assert [line for line in found if line.split(".")[-2] != "outputs"] == []


def test_roles_import_the_engine_pydantic_and_the_standard_library_only():
    allowed = {"bramble", "pydantic", *sys.stdlib_module_names}
    for file in below("roles"):
        found = {name.split(".")[0] for name in imports(file)}
        assert found <= allowed, file


def test_every_folder_is_a_role():
    assert sorted(role.name for role in registry.roles()) == ROLES


def test_the_engine_knows_no_role():
    assert forbidden(below("bramble"), "bramble.roles") == []


def test_containers_and_machines_know_nothing_of_each_other():
    container, machine = "bramble.virtual.container", "bramble.virtual.machine"
    assert forbidden(below("bramble/virtual/container"), machine) == []
    assert forbidden(below("bramble/virtual/machine"), container) == []


def test_one_module_picks_a_kind_of_virtual_pi():
    shared = sorted((ROOT / "bramble/virtual").glob("*.py"))
    found = forbidden(shared, "bramble.virtual.container", "bramble.virtual.machine")
    assert {line.split(":")[0] for line in found} == {"bramble/virtual/kinds.py"}


def test_programs_for_nodes_import_the_standard_library_only():
    programs = [file for file in below("bramble/remote") if file.name != "__init__.py"]
    assert len(programs) >= 10
    for file in programs:
        found = {name.split(".")[0] for name in imports(file) if not within(name, "bramble.remote")}
        assert found <= sys.stdlib_module_names, file


def test_what_programs_for_nodes_import_of_each_other_goes_with_them():
    """Each is sent alone, so its text must have all of them in it."""
    needed = {
        file.stem: [n.rpartition(".")[2] for n in imports(file) if within(n, "bramble.remote")]
        for file in below("bramble/remote")
    }
    assert {"atomic", "download", "owned", "settle"} <= {*needed["fetch_model"]}
    for name, others in needed.items():
        text = "" if name == "__init__" else program(name, {})
        assert "from bramble" not in text
        assert [other for other in others if text.count(f"types.ModuleType('{other}')") != 1] == []


@pytest.mark.parametrize(
    "pure",
    [
        *("snapshot", "board", "plan", "steps", "checks", "llama/releases", "models/gguf"),
        *("figures", "reporting/results", "reporting/text", "reporting/json_text", "reporting/tap"),
        *("reporting/junit", "reporting/nagios", "reporting/prometheus", "reporting/csv_text"),
        *("reporting/charts", "reporting/html"),
        *("system/parse", "firmware/config_txt", "models/geometry", "fit/memory", "fit/verdict"),
        *("cluster/memory", "cluster/layers", "cluster/network", "cluster/speed", "cluster/points"),
        *("cluster/shapes", "cluster/boards", "cluster/ways", "cluster/plan", "cluster/told"),
        "cluster/refit",
    ],
)
def test_what_decides_is_pure(pure):
    """No process, no network, no clock and no file in what plans and checks are made of."""
    file = ROOT / "bramble" / f"{pure}.py"
    impure = ("subprocess", "socket", "os", "time", "paramiko", "urllib", "http", "shutil")
    assert forbidden([file], *impure) == []


def test_plans_and_checks_of_roles_are_pure_too():
    pure = ("plan.py", "checks.py", "cmdline.py", "eeprom.py")
    files = [file for file in below("roles") if file.name in pure]
    impure = ("subprocess", "socket", "os", "time", "paramiko", "urllib", "http", "shutil")
    assert forbidden(files, *impure) == []


def test_the_roles_are_those_of_this_repository():
    assert roles.__file__ is not None
    assert Path(roles.__file__).resolve().parent == ROOT / "roles"


# Runs in a Python of its own, so that nothing is imported yet: what is done meanwhile is written down.
IMPORT_ALL = """
import importlib, os, sys
sys.path.insert(0, sys.argv[1])
# These are others' affair, and not all of them import quietly.
import click, jinja2, paramiko, pydantic, requests, rich, yaml
import pyinfra.api, pyinfra.connectors.ssh, pyinfra.context
quiet = ("subprocess.Popen", "socket.connect", "socket.bind", "os.mkdir", "os.remove", "os.rename",
         "os.system", "os.fork", "os.kill", "os.chmod", "shutil.rmtree", "os.putenv")
done = []
def note(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event in quiet or writes:
        done.append((event, str(arguments)))
sys.addaudithook(note)
for name in sys.argv[2:]:
    importlib.import_module(name)
    assert not pyinfra.context.ctx_host.isset(), name
    assert not pyinfra.context.ctx_state.isset(), name
    assert not done, (name, done)
print(len(sys.argv) - 2)
"""


def test_importing_any_of_our_modules_does_nothing(tmp_path):
    names = [dotted(file) for file in MODULES]
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_ALL, str(ROOT), *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(names)}\n"
    assert list(tmp_path.iterdir()) == []
