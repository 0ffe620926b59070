"""Whole plans, compared with the trees that somebody has looked at.

A case is a folder with `settings.yml` (its roles, and their settings as they come out of the layers)
and `board.yml` (what its node is); `expected/` is its tree
(bramble/testing/golden.py). `hosts.yml` has the settings of other hosts, where the plan is about them.
After a deliberate change:

    pytest tests/plans --regenerate
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bramble import registry
from bramble.access import certificates, keys
from bramble.board import Board
from bramble.models import lock as models_lock
from bramble.plan import File, NodePlan, look_at, make
from bramble.prepared import Prepared
from bramble.settings import Section
from bramble.testing.golden import SECRET, differences, on_disk, tree, write

HERE = Path(__file__).parent
KEY = "key-of-a-gateway-of-golden-plans-0123456789"
PROGRAMS = "usr/local/lib/bramble/"
CASES = sorted(path.parent.name for path in HERE.glob("*/settings.yml"))


def read(case: Path) -> tuple[dict[str, Section], tuple[registry.AnyRole, ...], Prepared]:
    """The settings of a case, its roles, and what lies beside them."""
    values = yaml.safe_load((case / "settings.yml").read_text())
    context = {"folder": Path("/inventory"), "host": case.name}
    roles = registry.in_order(registry.role(name) for name in values.pop("roles"))
    settings = {
        role.name: role.settings.model_validate(values.pop(role.name, {}), context=context)
        for role in roles
    }
    assert values == {}, "settings of a role that there is not"
    pems, authority = certificates.read(case)
    beside = Prepared(
        clients=keys.load(case),
        certificates=pems,
        authority=authority,
        models=models_lock.load(case),
        secret=lambda source: KEY,
        hosts=others(case, context) | {case.name: settings},
    )
    return settings, roles, beside


def others(case: Path, context: dict[str, object]) -> dict[str, dict[str, Section]]:
    """The settings of other hosts."""
    file, sections = case / "hosts.yml", registry.sections()
    hosts = yaml.safe_load(file.read_text()) if file.is_file() else {}
    return {
        host: {
            name: sections[name].model_validate(said, context=context)
            for name, said in values.items()
        }
        for host, values in hosts.items()
    }


def without_programs(files: dict[str, str]) -> dict[str, str]:
    """A tree without the programs of bramble/remote, which are no case's own."""
    return {path: text for path, text in files.items() if not path.startswith(PROGRAMS)}


def planned(case: Path) -> NodePlan:
    """The plan of a case; nothing of this machine is in it, not even its working directory."""
    settings, roles, beside = read(case)
    facts = yaml.safe_load((case / "board.yml").read_text())
    board = Board(**facts | {"cpu_features": frozenset(facts["cpu_features"].split())})
    return make(case.name, settings, board, roles, beside)


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_the_one_that_was_looked_at(case, request):
    folder, found = HERE / case / "expected", without_programs(tree(planned(HERE / case)))
    if request.config.getoption("--regenerate", default=False):
        write(folder, found)
    expected = on_disk(folder)
    if expected != found:
        reported = differences(expected, found) or "other files than expected, though empty ones"
        pytest.fail(f"{reported}\npytest tests/plans --regenerate, if it is meant", pytrace=False)


@pytest.mark.parametrize("case", CASES)
def test_every_package_of_a_plan_is_looked_for(case):
    """Else it would be missing at every look, and installed in every run."""
    settings, roles, beside = read(HERE / case)
    query = look_at(case, settings, roles, beside)
    assert {*planned(HERE / case).packages} <= {*query["packages"]}


@pytest.mark.parametrize("case", CASES)
def test_the_same_case_has_the_same_plan_wherever_it_is_made(case, monkeypatch, tmp_path):
    first = tree(planned(HERE / case))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tree(planned(HERE / case)) == first


def test_a_difference_is_shown_as_a_diff_and_a_missing_file_too():
    found = differences({"etc/a": "one\n", "etc/b": "b\n"}, {"etc/a": "two\n"})
    assert "--- expected/etc/a" in found
    assert "-one\n+two\n" in found
    assert "-b\n" in found


def test_regenerating_leaves_nothing_of_an_earlier_plan(tmp_path):
    write(tmp_path, {"etc/old": "x", "plan.yml": "y"})
    write(tmp_path, {"plan.yml": "z"})
    assert on_disk(tmp_path) == {"plan.yml": "z"}


def test_a_secrets_text_stands_in_no_tree():
    plan = planned(HERE / CASES[0])
    role = plan.roles["base"]
    secret = File(path="/etc/key", text="hunter2", mode=0o600, secret=True)
    spoiled = NodePlan(
        plan.host, plan.board, {**plan.roles, "base": replace(role, files=(secret,))}
    )
    found = tree(spoiled)
    assert found["etc/key"] == SECRET
    assert not any("hunter2" in text for text in found.values())


def test_what_differs_between_cases_is_why_they_are_there():
    """One engine for each processor, fewer compilers on a small board, the network, more models."""
    every = {case: planned(HERE / case) for case in CASES}
    plans = {case: plan for case, plan in every.items() if "engine" in plan.roles}
    assert {*every} - {*plans} == {"gateway"}
    assert every["gateway"].roles["gateway"].hosts == ("pi5-a", "pi5-b", "pi5-c")
    engines = {case: plan.roles["engine"] for case, plan in plans.items()}
    assert engines["pi4-4g"].release != engines["pi5-8g"].release
    assert engines["pi4-4g"].release == engines["pi4-1g"].release
    assert (engines["pi4-1g"].jobs, engines["pi4-4g"].jobs, engines["pi5-8g"].jobs) == (1, 4, 4)
    assert engines["git-source"].uploads == ()
    assert engines["pi5-8g"].options["GGML_NATIVE"] == "ON"
    crossed = engines["pi4-crossed"]
    assert crossed.options["GGML_CPU_ARM_ARCH"] == "armv8-a+crc;-mtune=cortex-a72"
    assert crossed.release != engines["pi4-4g"].release
    assert crossed.packages == ("libgomp1",)
    x86 = engines["mini-pc-amd64"].options
    assert (x86["GGML_NATIVE"], x86["GGML_AVX2"], x86["GGML_AVX512"]) == ("OFF", "ON", "OFF")
    governors = {case for case, plan in plans.items() if plan.roles["power"].governor}
    assert governors == {"pi5-8g", "pi5-trixie"}
    assert engines["pi5-trixie"].release != engines["pi5-8g"].release
    assert plans["pi5-trixie"].roles["storage"].logs.log2ram.repository is None
    watchdogs = {case: plan.roles["watchdog"].runtime_s for case, plan in plans.items()}
    assert (watchdogs["pi4-4g"], watchdogs["pi5-8g"]) == (15, 300)
    exposed = {case: plan.roles["serving"].edge.expose for case, plan in plans.items()}
    assert {case for case, how in exposed.items() if how == "local"} == {*plans} - {
        *("lan", "several", "tls")
    }
    assert (exposed["lan"], exposed["tls"]) == ("lan", "tls")
    assert {case for case, plan in plans.items() if plan.roles["model"].further} == {
        *("draft", "several")
    }
    for case in ("tls", "gateway"):
        texts = tree(every[case]).values()
        assert not any(secret in text for secret in ("PRIVATE KEY", KEY) for text in texts)
