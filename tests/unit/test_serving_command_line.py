"""The exact command line of llama-server, setting by setting."""

from tests.unit.good_node import node_plan


def command_line(**settings):
    """The command line of a node whose serving has these settings."""
    return node_plan(serving=settings).roles["serving"].argv


def test_a_batch_is_one_micro_batch():
    argv = command_line(ubatch_tokens=64)
    assert [word for word in argv if "batch" in word] == ["--batch-size 64", "--ubatch-size 64"]
