"""A new role among bramble's own fails its own tests alone, and none once it has what is asked of it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    *(".*", "*.egg-info", "__pycache__", "build", "reports", "site", "bramble-try")
)
FOLDERS = "test_every_role_has_a_folder_that_shows_it_on_a_good_node_and_spoils_it"
# What goes by the roles that are registered, and what goes by those that a good node has.
REGISTERED = (
    f"tests/unit/test_checks.py::{FOLDERS}",
    *(f"tests/unit/test_{name}.py" for name in ("registry", "settings", "docs", "imports")),
    "tests/plans",
    # It imports every module, for seconds, and names none.
    "--deselect=tests/unit/test_imports.py::test_importing_any_of_our_modules_does_nothing",
)
SHOWN = tuple(
    f"tests/unit/test_{name}.py"
    for name in ("newrole_role", "checks", "owned", "steps", "registry", "docs")
)
FAILED = re.compile(r"^(?:FAILED|ERROR) \S+/(\S+?\.py(?:::.*?)?)(?: - .*)?$", re.MULTILINE)
# What a role fails that is nothing but its folder below roles/.
ASKED = {
    f"test_checks.py::{FOLDERS}[newrole]",
    "test_registry.py::test_every_role_of_ours_has_a_deploy_and_a_line_in_deploys_node_py[newrole]",
}
# What it fails until `make docs`.
STALE = {
    *("test_every_setting_stands_in_the_reference", "test_every_check_stands_in_the_reference"),
    *(
        f"test_a_generated_page_is_what_the_code_makes[reference/{page}.md]"
        for page in ("settings", "checks", "files")
    ),
}


def run(place, *words):
    """What Python says in a checkout, whose bramble it imports."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("BRAMBLE")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env={**kept, "PYTHONPATH": str(place), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def bramble(place, *words):
    done = run(place, "-c", "from bramble.cli import main; main()", *words)
    assert done.returncode == 0, done.stderr


def suite(place, *words):
    """What fails in a checkout, and all that pytest said."""
    done = run(place, "-m", "pytest", "-q", "--tb=short", *words)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {*FAILED.findall(done.stdout)}, done.stdout


@pytest.fixture
def checkout(tmp_path):
    """A copy of this repository."""
    place = tmp_path / "bramble"
    shutil.copytree(ROOT, place, symlinks=True, ignore=LEFT_OUT)
    return place


def wired(place):
    """Give the new role its deploy, and its line in the deploy of a node."""
    deploys, node = place / "bramble/deploys.py", place / "deploys/node.py"
    one = '@deploy(NAME)\ndef watchdog() -> OperationMeta:\n    """Arm the hardware watchdog;'
    assert one in deploys.read_text()
    more = one.replace("watchdog() ", "newrole() ").replace("Arm the hardware watchdog", "Run it")
    call = (
        ' return the operation\'s meta."""\n    return run.execute(run.accepted(), "newrole")\n\n\n'
    )
    deploys.write_text(deploys.read_text().replace(one, f"{more}{call}{one}"))
    text = node.read_text().replace("    model,\n", "    model,\n    newrole,\n")
    node.write_text(text.replace("\nfirewall()\n", "\nfirewall()\nnewrole()\n"))


def test_a_new_role_fails_its_own_tests_alone_and_none_when_it_is_whole(checkout, tmp_path):
    bramble(checkout, "role", "new", "newrole")
    folder = checkout / "tests/unit/roles/newrole"
    folder.rename(tmp_path / "kept")
    failed, said = suite(checkout, *REGISTERED)
    assert failed == ASKED | {f"test_docs.py::{name}" for name in STALE}, said
    assert "there is no tests/unit/roles/newrole/good.py" in said

    (tmp_path / "kept").rename(folder)
    wired(checkout)
    assert run(checkout, "docs/generate.py").returncode == 0
    failed, said = suite(checkout, *SHOWN)
    assert failed == set(), said
