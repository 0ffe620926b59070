"""Whether a node is a container, by systemd's own word."""

import pytest

from bramble.node.container import container
from bramble.snapshot import Output, Snapshot, Unknown
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import DETECT, in_container, with_command

GOOD = good_look(node_plan())


def test_a_machine_is_none_and_a_container_has_a_kind():
    assert container(GOOD) is None
    assert container(in_container(GOOD)) == "systemd-nspawn"


@pytest.mark.parametrize(
    "look",
    [
        Snapshot(),
        with_command(GOOD, DETECT, None),
        with_command(GOOD, DETECT, Output(0, "none\n")),
        with_command(GOOD, DETECT, Output(0, "")),
        with_command(GOOD, DETECT, Output(1, "Failed to check for virtualization")),
        with_command(GOOD, DETECT, Unknown("no")),
    ],
)
def test_what_contradicts_itself_or_is_missing_is_unknown(look):
    assert isinstance(container(look), Unknown)
