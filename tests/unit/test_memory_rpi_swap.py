"""rpi-swap, which Trixie's images have: it is told what to make, by the setting, and nothing else."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bramble.roles.memory import rpi_swap
from bramble.roles.memory.plan import conflict
from bramble.roles.memory.settings import Settings
from bramble.system.parse import SwapMaker
from tests.unit.good_node import PI5, good_look, node_plan
from tests.unit.looks import plain, with_file
from tests.unit.roles.memory import good
from tests.unit.test_memory_role import USE_ZRAM, WRITE, due, steps

TRIXIE = replace(PI5, codename="trixie")
# As its generator names itself in the unit of the swap that it makes.
ZRAM_OF_RPI = SwapMaker("dev-zram0.swap", "/etc/rpi/swap.conf", "What=/dev/zram0")
FILE_OF_RPI = SwapMaker("var-swap.swap", "/etc/rpi/swap.conf", "What=/var/swap")
WRITEBACK = SwapMaker(
    "rpi-zram-writeback.service",
    "/usr/lib/systemd/system/rpi-zram-writeback.service",
    "ExecStart=/bin/sh -c 'echo idle > /sys/block/zram0/writeback'",
)
OURS = good.MAKERS


def plan_of(use):
    return node_plan(TRIXIE, memory={"rpi_swap": use})


@pytest.mark.parametrize(
    ("board", "zram", "algorithm"),
    [(PI5, {}, "lzo-rle"), (TRIXIE, {}, "zstd"), (TRIXIE, {"algorithm": "lz4"}, "lz4")],
)
def test_zram_is_compressed_by_what_the_releases_kernels_have(board, zram, algorithm):
    plan = node_plan(board, memory={"zram": zram}).roles["memory"]
    (conf,) = [file.text for file in plan.files if "zram-generator" in file.path]
    assert (plan.algorithm, f"compression-algorithm = {algorithm}\n" in conf) == (algorithm, True)


def after(use, *makers, backing="none\n"):
    """A node on which the plan was carried out, and what its boot makes besides our own."""
    plan = plan_of(use)
    look = good_look(plan)
    look = replace(
        look,
        packages={**look.packages, rpi_swap.PACKAGE: "1.2.1"},
        swap_makers=(*makers, *OURS[-1:]),
    )
    look = with_file(look, f"{good.BLOCK}/backing_dev", plain(backing))
    return with_file(look, rpi_swap.CONF, plain(rpi_swap.conf(use).text)), plan


@pytest.mark.parametrize(
    ("use", "line"), [("replace", "\nMechanism=none\n"), ("zram", "\nMechanism=zram\n")]
)
def test_it_is_told_what_to_make(use, line):
    assert line in rpi_swap.conf(use).text
    assert rpi_swap.CONF.startswith("/etc/rpi/swap.conf.d/")


def test_where_it_is_left_its_mechanism_is_its_own():
    assert "Mechanism" not in rpi_swap.conf("leave").text


@pytest.mark.parametrize("use", rpi_swap.MECHANISMS)
def test_a_fresh_node_of_trixie_is_told_and_its_zram_made_anew(use):
    look, plan = after(use, ZRAM_OF_RPI, WRITEBACK, backing="/dev/loop0\n")
    look = with_file(look, rpi_swap.CONF, None)
    assert conflict(plan.roles["memory"], look) is None
    found = due(look, plan)
    assert set(found) == {WRITE, USE_ZRAM}
    assert rpi_swap.CONF in steps(look, plan)[WRITE].writes


@pytest.mark.parametrize(
    ("use", "makers", "backing"),
    [
        ("replace", OURS[:1], "none\n"),
        ("zram", [ZRAM_OF_RPI], "none\n"),
        ("leave", [ZRAM_OF_RPI, WRITEBACK], "/dev/loop0\n"),
    ],
)
def test_once_it_makes_what_it_may_nothing_is_left_to_do(use, makers, backing):
    look, plan = after(use, *makers, backing=backing)
    assert due(look, plan) == {}


@pytest.mark.parametrize(
    ("use", "maker", "why"),
    [
        ("replace", ZRAM_OF_RPI, "rpi-swap makes dev-zram0.swap"),
        ("replace", FILE_OF_RPI, "rpi-swap makes var-swap.swap"),
        ("zram", FILE_OF_RPI, "rpi-swap makes var-swap.swap"),
        ("zram", WRITEBACK, "rpi-swap makes rpi-zram-writeback.service"),
    ],
)
def test_what_it_is_not_to_make_is_ended(use, maker, why):
    look, plan = after(use, maker)
    assert due(look, plan) == {USE_ZRAM: why}
    query = steps(look, plan)[USE_ZRAM].query
    assert (query["ends"], query["stale"]) == (
        list(rpi_swap.WRITEBACK_UNITS),
        [rpi_swap.MADE_AT_BOOT],
    )


def test_what_it_is_told_anew_is_put_in_force_even_where_all_is_right_for_now():
    look, plan = after("replace", *OURS[:1])
    found = due(with_file(look, rpi_swap.CONF, None), plan)
    assert found[USE_ZRAM] == "rpi-swap is told otherwise"


def test_the_file_that_is_left_to_it_is_not_ended():
    look, plan = after("leave", ZRAM_OF_RPI)
    look = replace(look, swaps=())
    query = steps(look, plan)[USE_ZRAM].query
    assert (query["ends"], query["stale"]) == ([], [])


def test_a_node_without_it_is_told_nothing():
    look, plan = after("replace", *OURS[:1])
    look = replace(look, packages={**look.packages, rpi_swap.PACKAGE: None})
    look = with_file(look, rpi_swap.CONF, None)
    assert due(look, plan) == {}


def test_taken_back_it_is_told_nothing_more_and_keeps_zram_generator():
    look, plan = after("replace", *OURS[:1])
    back = steps(look, plan, "revert")
    assert rpi_swap.CONF in back["Remove memory's files"].query["paths"]
    assert back["Remove zram-generator"].why is None
    assert back["Bring back what was retired"].query["start"] == ["dev-zram0.swap"]


@pytest.mark.parametrize("use", ["zram", "leave"])
def test_its_zram_has_its_own_priority(use):
    with pytest.raises(ValidationError, match="rpi-swap's zram has priority 100"):
        Settings.model_validate({"rpi_swap": use, "zram": {"priority": 50}})
    assert Settings.model_validate({"rpi_swap": "replace", "zram": {"priority": 50}})


def test_its_units_are_known_by_their_source_and_by_their_names():
    assert rpi_swap.makes(ZRAM_OF_RPI)
    assert rpi_swap.makes(WRITEBACK)
    assert not any(map(rpi_swap.makes, OURS))
    own = SwapMaker("rpi-memory.service", "/usr/local/bin/memory", "modprobe zram")
    assert not rpi_swap.makes(own)
    assert conflict(plan_of("replace").roles["memory"], after("replace", own)[0])
