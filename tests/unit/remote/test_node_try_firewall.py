"""A table on trial: nothing is loaded without a way back, and nothing is on the disk unconfirmed."""

import pytest

from bramble.remote import try_firewall

NFT = """\
#!/bin/sh
# Keeps the table in a file; refuses what has "nonsense" in it.
echo "nft $@" >> "$HERE/log"
case "$1 $2" in
  "list table") [ -f "$HERE/table" ] || exit 1; cat "$HERE/table" ;;
  "-s list") [ -f "$HERE/table" ] || exit 1; cat "$HERE/table" ;;
  "-c -f") ! grep -q nonsense "$3" ;;
  "-f "*) if grep -q late "$2"; then exit 1; fi; tail -n +3 "$2" > "$HERE/table" ;;
esac
"""
SYSTEMCTL = '#!/bin/sh\necho "systemctl $@" >> "$HERE/log"\n'
SYSTEMD_RUN = '#!/bin/sh\necho "systemd-run $@" >> "$HERE/log"\n[ ! -f "$HERE/no-timer" ]\n'
HEAD = "table inet bramble\ndelete table inet bramble\n"


class Node:
    def __init__(self, here):
        self.here = here
        self.etc = here / "etc" / "bramble"
        self.table = here / "table"
        self.query = {
            "rules": str(self.etc / "firewall.nft"),
            "rules_text": f"{HEAD}new\n",
            "unit": "bramble-firewall.service",
            "unit_file": str(here / "unit"),
            "unit_text": "[Unit]\n",
            "listed": str(self.etc / "firewall.listed"),
            "undo_after_s": 60,
        }

    def said(self):
        return (self.here / "log").read_text()

    def files(self):
        return sorted(path.name for path in self.etc.glob("*")) if self.etc.exists() else []


@pytest.fixture
def node(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("nft", NFT), ("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr(try_firewall, "FOLDER", str(tmp_path / "run" / "firewall"))
    monkeypatch.setattr(try_firewall.atomic, "ETC", str(tmp_path))
    # As main puts root's folders first, whose programs would be this computer's own.
    monkeypatch.setattr(try_firewall.os, "environ", Environment(try_firewall.os.environ))
    return Node(tmp_path)


class Environment(dict):
    """An environment whose PATH stays as the test set it."""

    def __setitem__(self, name, value):
        if name != "PATH":
            super().__setitem__(name, value)


def test_a_trial_arms_the_way_back_before_it_loads_anything(node):
    node.table.write_text("old\n")
    assert try_firewall.main(node.query) == 0
    said = node.said()
    assert said.index("systemd-run") < said.index(f"nft -f {try_firewall.FOLDER}/rules.nft")
    assert "--on-active=60" in said
    assert node.table.read_text() == "new\n"
    assert (node.here / "run/firewall/undo.nft").read_text() == f"{HEAD}old\n"
    assert node.files() == []


def test_a_confirmed_one_is_written_with_its_unit_and_how_the_kernel_lists_it(node):
    assert try_firewall.main(node.query) == 0
    assert try_firewall.main(node.query | {"confirm": True}) == 0
    assert node.files() == ["firewall.listed", "firewall.nft"]
    assert (node.etc / "firewall.listed").read_text() == "new\n"
    assert (node.here / "unit").read_text() == "[Unit]\n"
    assert "systemctl stop bramble-firewall-undo.timer" in node.said()
    assert "systemctl enable bramble-firewall.service" in node.said()
    assert not (node.here / "run/firewall").exists()


def test_one_that_was_taken_back_meanwhile_is_not_confirmed(node, capsys):
    assert try_firewall.main(node.query | {"confirm": True}) == 1
    assert "taken back before it could be confirmed" in capsys.readouterr().err
    assert node.files() == []


@pytest.mark.parametrize("old", ["old\n", None])
def test_what_is_taken_back_is_what_was_there_before(node, old):
    if old:
        node.table.write_text(old)
    assert try_firewall.main(node.query) == 0
    assert try_firewall.main({"take_back": True}) == 0
    assert node.table.read_text() == (old or "")
    assert not (node.here / "run/firewall").exists()
    assert try_firewall.main({"take_back": True}) == 0


def test_rules_that_nft_refuses_are_never_loaded_and_no_timer_is_left(node, capsys):
    node.table.write_text("old\n")
    assert try_firewall.main(node.query | {"rules_text": "nonsense"}) == 1
    assert "nft -c -f" in capsys.readouterr().err
    assert node.table.read_text() == "old\n"
    assert "systemd-run" not in node.said()
    assert not (node.here / "run/firewall").exists()


def test_without_a_timer_nothing_is_loaded(node, capsys):
    (node.here / "no-timer").touch()
    node.table.write_text("old\n")
    assert try_firewall.main(node.query) == 1
    assert "systemd-run" in capsys.readouterr().err
    assert node.table.read_text() == "old\n"


def test_rules_that_cannot_be_loaded_after_all_leave_what_was_there(node):
    node.table.write_text("old\n")
    assert try_firewall.main(node.query | {"rules_text": f"{HEAD}late\n"}) == 1
    assert node.table.read_text() == "old\n"
    assert not (node.here / "run/firewall").exists()


def test_an_earlier_trial_is_taken_back_before_the_next(node):
    node.table.write_text("old\n")
    assert try_firewall.main(node.query) == 0
    assert try_firewall.main(node.query | {"rules_text": f"{HEAD}newer\n"}) == 0
    assert (node.here / "run/firewall/undo.nft").read_text() == f"{HEAD}old\n"
    assert node.table.read_text() == "newer\n"
