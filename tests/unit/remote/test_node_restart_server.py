"""A restart leaves everything as it is, and tells whether the server is well after it."""

from bramble.remote import restart_server
from tests.unit.remote.test_node_serve_release import NEW, UNIT, node

__all__ = ["node"]


def restart(node, **changes):
    query = {
        "unit": UNIT,
        "unit_file": str(node.unit_file),
        "url": node.server.url,
        "host": "127.0.0.1",
        "deadline_s": 1,
        "name": "toy",
        "further": [],
        "question": "What is 2+2?",
        "expect": "4",
        "dimensions": None,
    }
    return restart_server.main(query | changes)


def notes(node):
    return sorted(path.name for path in node.home.rglob("*.json"))


def test_a_server_is_restarted_and_its_answer_told(node, capsys):
    assert restart(node) == 0
    assert node.orders == [f"reset-failed {UNIT}", f"restart {UNIT}"]
    assert node.server.running == NEW
    assert ":: What is 2+2? 4\n" in capsys.readouterr().out
    # It is no gate: nothing is remembered.
    assert notes(node) == []


def test_a_wrong_answer_fails_and_sends_nothing_back(node, capsys):
    node.server.answers[NEW] = "it is 5"
    assert restart(node) == 1
    said = capsys.readouterr().out
    assert f"Last words of {UNIT}:\ncannot load the model" in said
    last = said.splitlines()[-1]
    assert last.startswith(f":: {UNIT} was restarted and is not well: it answered 'it is 5'")
    assert node.unit_file.read_text() == "new unit"
    assert (node.server.current(), notes(node)) == (NEW, [])


def test_a_server_that_does_not_come_back_is_told(node, capsys):
    node.server.healthy[NEW] = False
    assert restart(node, deadline_s=0.5) == 1
    assert "did not answer 200" in capsys.readouterr().out


def test_a_unit_that_systemd_does_not_start_is_told(node, capsys):
    node.failing = "restart"
    assert restart(node) == 1
    assert "failed to start" in capsys.readouterr().out.splitlines()[-1]


def test_each_of_several_models_has_to_answer(node, capsys):
    second = {"name": "second-f16", "expect": "5", "dimensions": None}
    assert restart(node, further=[second]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert "is not well: model second-f16: it answered '4' to 'What is 2+2?'" in last
    assert restart(node, further=[second | {"expect": "4"}]) == 0
