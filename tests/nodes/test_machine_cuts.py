"""The first deploy of an emulated Pi 4, interrupted four times, and cut at any instant of its writes."""

import os
import random

import pytest

from bramble.virtual import source
from tests.nodes import disks, recorded
from tests.nodes.machines import BOARD, Crossed, provision

pytestmark = [pytest.mark.nodes, pytest.mark.machine, pytest.mark.thorough]

NAME = "vpm-93"
CUTS = 4
INSTANTS = 400
"""How many power cuts are made of what was recorded."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    source.fetch(print)
    fleet = Crossed(tmp_path_factory.mktemp("fleet"), machine=NAME)
    fleet.name()
    fleet.build("cortex-a72")
    return fleet


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Where it is recorded what the machine gives its boot card."""
    folder = tmp_path_factory.mktemp("recording")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", recorded.install(folder, os.environ["PATH"]))
        yield folder


@pytest.fixture(scope="module")
def provisioned(fleet, recording, virtual_pis, tmp_path_factory):
    """The machine after power cuts and reboots, and a run that was not interrupted."""
    virtual_pis.up(NAME, **BOARD)
    yield provision(fleet, virtual_pis, tmp_path_factory.mktemp("disks"), CUTS)
    virtual_pis.down(NAME)


@pytest.mark.fault("F3")
def test_each_power_cut_leaves_clean_file_systems_and_whole_files(provisioned, record_property):
    wrong, half = judged(provisioned, provisioned.left)
    record_property("kill_points", len(provisioned.left))
    record_property("half_written", len(half))
    record_property("bricked", len(wrong))
    assert len(provisioned.left) == CUTS // 2
    assert (wrong, half) == ([], [])


@pytest.mark.fault("F22")
def test_a_reboot_in_the_middle_hangs_no_run_and_the_next_one_converges(
    provisioned, record_property
):
    record_property("kill_points", provisioned.reboots)
    record_property("hangs", 0)
    assert provisioned.reboots == CUTS // 2


@pytest.mark.fault("F3", "F22")
def test_after_all_of_that_another_run_changes_nothing(provisioned, fleet):
    assert "compiling" not in provisioned.said
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (end,) = fleet.events("end")
    assert (end["changed"], end["failed"]) == ([], [])


@pytest.mark.fault("F3", "F4")
def test_a_power_cut_at_any_instant_leaves_clean_file_systems_and_whole_files(
    provisioned, recording, tmp_path, record_property
):
    """All that the machine wrote since it was new: what any power cut may have left of that."""
    wrong, half, cuts = [], [], 0
    image = tmp_path / "card.img"
    for when, card in recorded.power_cuts(recording, image, INSTANTS, random.Random(0)):
        cuts += 1
        found = judged(provisioned, [disks.read(card, when, tmp_path)])
        wrong += found[0]
        half += found[1]
    recorded.stop(recording)
    record_property("kill_points", cuts)
    record_property("half_written", len(half))
    record_property("bricked", len(wrong))
    assert cuts > INSTANTS // 2
    assert (wrong, half) == ([], [])


def judged(provisioned, left):
    """What is wrong with disks that were left, and which of their files are neither old nor new."""
    trees = provisioned.first, provisioned.last, provisioned.sent
    wrong = [problem for one in left for problem in one.problems]
    return wrong, [problem for one in left for problem in disks.half_written(one, *trees)]
