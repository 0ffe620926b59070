"""A node's name: /etc/hosts first, and only in the place of the text that was seen."""

import hashlib
from types import SimpleNamespace

import pytest

from bramble.remote import set_hostname

BEFORE, AFTER = "127.0.1.1\traspberrypi\n", "127.0.1.1\tnode\n"


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node with a hosts file; `code` is what hostnamectl ends with."""
    made = SimpleNamespace(hosts=tmp_path / "hosts", orders=[], code=0)
    made.hosts.write_text(BEFORE)

    def run(argv, **options):
        made.orders.append((" ".join(argv), made.hosts.read_text()))
        return SimpleNamespace(returncode=made.code, stderr="Access denied\n")

    monkeypatch.setattr(set_hostname, "subprocess", SimpleNamespace(run=run))
    return made


def named(node, seen=BEFORE):
    was = hashlib.sha256(seen.encode()).hexdigest()
    query = {"name": "node", "path": str(node.hosts), "was_sha256": was, "hosts": AFTER}
    return set_hostname.main(query)


def test_the_name_resolves_before_it_is_set(node):
    assert named(node) == 0
    assert node.orders == [("hostnamectl set-hostname node", AFTER)]
    assert node.hosts.stat().st_mode & 0o777 == 0o644


def test_a_file_that_changed_since_is_left_alone(node, capsys):
    assert named(node, seen="other\n") == 1
    assert (node.hosts.read_text(), node.orders) == (BEFORE, [])
    assert "not as it was seen" in capsys.readouterr().err


def test_a_missing_file_is_said(node, capsys):
    node.hosts.unlink()
    assert named(node) == 1
    assert "was left as it was" in capsys.readouterr().err


def test_a_name_that_is_not_taken_is_said(node, capsys):
    node.code = 1
    assert named(node) == 1
    assert "hostnamectl set-hostname node: Access denied" in capsys.readouterr().err
