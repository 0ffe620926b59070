"""The way in: HAProxy judges what is to be written before it is, and the plan must be seen to answer."""

import grp
import os
import pwd
import stat
from types import SimpleNamespace

import pytest

from bramble.remote import serve_edge

PLAN = "0123456789ab"
HAPROXY = """\
#!/bin/sh
# Take a configuration only with all that it names, as the real one does.
[ "$1 $2 $3" = "-c -q -f" ] || exit 9
folder=${4%/*}
stat -c %a "$folder" >> "$LOG"
if grep -q nonsense "$4"; then echo "unknown keyword 'nonsense'" >&2; exit 1; fi
[ -f "$folder/keys.map" ] || { echo "no keys.map" >&2; exit 1; }
"""
SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> "$LOG"
case "$1" in
  is-active) [ -f "$STATE" ] ;;
  reload | restart) [ ! -f "$STATE.broken" ] || { echo "job failed" >&2; exit 1; } ; touch "$STATE" ;;
esac
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node with programs of its own in the place of HAProxy, systemctl, curl and journalctl."""
    tools, folder = tmp_path / "tools", tmp_path / "etc" / "edge"
    tools.mkdir()
    log, state, answer = tmp_path / "log", tmp_path / "state", tmp_path / "answer"
    log.touch()
    answer.write_text(f"{PLAN} ok\n200")
    programs = {
        "haproxy": HAPROXY,
        "systemctl": SYSTEMCTL,
        "curl": f'#!/bin/sh\ncat "{answer}"\n',
        "journalctl": "#!/bin/sh\necho its last words\n",
    }
    for name, text in programs.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setenv("STATE", str(state))
    monkeypatch.setattr(serve_edge, "PROGRAM", str(tools / "haproxy"))
    monkeypatch.setattr(serve_edge, "EVERY_S", 0.01)
    monkeypatch.setattr(serve_edge.atomic, "ETC", str(tmp_path))
    me = pwd.getpwuid(os.geteuid())
    own = grp.getgrgid(os.getegid())
    monkeypatch.setattr(serve_edge.grp, "getgrnam", lambda name: own)
    monkeypatch.setattr(serve_edge.pwd, "getpwnam", lambda name: me)
    return SimpleNamespace(
        folder=folder, log=log, state=state, answer=answer, unit=tmp_path / "unit"
    )


def query(node, config="global\n", changed=None, restart=False):
    texts = {
        str(node.folder / "haproxy.cfg"): (config, 0o644),
        str(node.folder / "keys.map"): ("hash name\n", 0o640),
        str(node.unit): ("[Unit]\n", 0o644),
    }
    files = [
        {"path": path, "text": text, "mode": mode, "owner": "root", "group": "haproxy"}
        for path, (text, mode) in texts.items()
    ]
    return {
        "files": files,
        "changed": [*texts] if changed is None else changed,
        "folder": str(node.folder),
        "unit": "bramble-edge.service",
        "restart": restart,
        "ask": "curl http://127.0.0.1:8081/health",
        "plan_id": PLAN,
        "deadline_s": 0.2,
    }


def orders(node):
    return [line for line in node.log.read_text().splitlines() if not line.isdecimal()]


def test_a_first_one_is_written_enabled_started_and_seen_to_answer(node):
    assert serve_edge.main(query(node)) == 0
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in node.folder.iterdir()}
    assert modes == {"haproxy.cfg": 0o644, "keys.map": 0o640}
    assert stat.S_IMODE(node.folder.stat().st_mode) == 0o750
    assert orders(node)[:2] == ["daemon-reload", "enable bramble-edge.service"]
    assert orders(node)[-1] == "restart bramble-edge.service"


def test_what_is_judged_lies_where_nobody_else_may_look_and_is_gone_after(node):
    assert serve_edge.main(query(node)) == 0
    assert node.log.read_text().splitlines()[0] == "700"
    assert [path.name for path in node.folder.parent.iterdir()] == ["edge"]


def test_a_configuration_alone_is_taken_up_without_a_restart(node):
    assert serve_edge.main(query(node)) == 0
    node.log.write_text("")
    config = str(node.folder / "haproxy.cfg")
    assert serve_edge.main(query(node, "global\n# more\n", [config])) == 0
    assert (node.folder / "haproxy.cfg").read_text() == "global\n# more\n"
    assert orders(node)[-1] == "reload bramble-edge.service"
    assert not any("restart" in order for order in orders(node))


def test_another_unit_is_a_restart(node):
    assert serve_edge.main(query(node)) == 0
    node.log.write_text("")
    assert serve_edge.main(query(node, changed=[str(node.unit)], restart=True)) == 0
    assert orders(node)[-1] == "restart bramble-edge.service"


def test_what_haproxy_refuses_is_not_written_and_nothing_is_started(node, capsys):
    assert serve_edge.main(query(node)) == 0
    node.log.write_text("")
    assert serve_edge.main(query(node, "nonsense\n")) == 1
    said = capsys.readouterr().err
    assert "unknown keyword 'nonsense'" in said
    assert "left as it was" in said
    assert (node.folder / "haproxy.cfg").read_text() == "global\n"
    assert orders(node) == []
    assert [path.name for path in node.folder.parent.iterdir()] == ["edge"]


def test_what_a_killed_run_left_is_removed_first(node):
    left = node.folder.parent / ".edge.bramble"
    left.mkdir(parents=True)
    (left / "edge.pem").write_text("a private key")
    assert serve_edge.main(query(node)) == 0
    assert not left.exists()


def test_a_link_in_the_place_of_a_file_is_told_and_nothing_is_written(node, tmp_path, capsys):
    node.folder.mkdir(parents=True)
    (node.folder / "keys.map").symlink_to(tmp_path / "elsewhere")
    assert serve_edge.main(query(node)) == 1
    assert "keys.map is a symbolic link" in capsys.readouterr().err
    assert not (node.folder / "haproxy.cfg").exists()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("answer", ["", "000000000000 ok\n200", "<html>"])
def test_one_that_does_not_answer_as_planned_is_told_with_its_last_words(node, capsys, answer):
    node.answer.write_text(answer)
    assert serve_edge.main(query(node)) == 1
    said = capsys.readouterr().err
    assert "did not answer as planned within 0.2 s" in said
    assert "its last words" in said


def test_a_unit_that_does_not_start_is_told_with_its_last_words(node, tmp_path, capsys):
    (tmp_path / "state.broken").touch()
    assert serve_edge.main(query(node)) == 1
    said = capsys.readouterr().err
    assert "systemctl restart bramble-edge.service: job failed" in said
    assert "its last words" in said


def test_a_file_that_this_run_does_not_have_is_judged_as_the_node_has_it(node):
    first = query(node)
    assert serve_edge.main(first) == 0
    keys = str(node.folder / "keys.map")
    without = {**first, "files": [one for one in first["files"] if one["path"] != keys]}
    assert serve_edge.main(without) == 1
    assert serve_edge.main({**without, "kept": [keys]}) == 0
    assert (node.folder / "keys.map").read_text() == "hash name\n"


def test_a_file_that_is_to_stay_and_is_not_there_changes_nothing(node, capsys):
    lost = str(node.folder / "nodes.map")
    assert serve_edge.main({**query(node), "kept": [lost]}) == 1
    assert "left as it was" in capsys.readouterr().err
    assert not node.folder.exists()


def test_what_is_awaited_is_seen_before_it_is_done(node, tmp_path, capsys):
    told = tmp_path / "told"
    awaited = {"command": f"cat {told}", "text": "asked{", "times": 2}
    told.write_text('asked{node="a"} 1\nasked{node="b"} 1\n')
    assert serve_edge.main({**query(node), "awaited": awaited}) == 0
    told.write_text('asked{node="a"} 1\n')
    assert serve_edge.main({**query(node), "awaited": awaited}) == 1
    assert "it did not ask each node within 0.2 s: asked{" in capsys.readouterr().err
