"""Whatever a node answers and a neighbour asks: it is used in its type, or told in words."""

import json
import socket
from contextlib import suppress
from types import SimpleNamespace

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from bramble.cli import model_files
from bramble.models.swarm import Swarm
from bramble.pyinfra import connection, file_server, models, peers, sharing, transfer
from bramble.pyinfra.boundary import Problem
from bramble.remote import pass_on
from bramble.report import clean
from bramble.steps import Shared
from tests.faults.fuzz import TEXTS, examples, mangled

pytestmark = pytest.mark.untrusted
OWN = "http://10.0.0.1:8000/AbC_d-9"
SHARED = Shared(
    sha256="a" * 64,
    path="/models/toy.gguf",
    size_bytes=7,
    there_bytes=0,
    wireless=False,
    sources=("http://hub/model.gguf",),
    addresses=(),
)
LISTED = {
    "folder": "/m",
    "free_bytes": 5,
    "models": [
        {"path": "/m/a.gguf", "size_bytes": 4, "sha256": "d" * 64, "what": "", "removable": True},
        {"path": "/m/b.gguf", "size_bytes": 4, "sha256": None, "what": "x", "removable": False},
    ],
}


class Host(SimpleNamespace):
    """A host that answers this, and what was said of it."""

    def __init__(self, **more):
        super().__init__(name="n1", logged=[], state=SimpleNamespace(failed_hosts=set()), **more)
        self.log = self.logged.append

    def is_told_plainly(self):
        return all(click.unstyle(line).isprintable() for line in self.logged)


def answering(patch, said):
    patch.setattr(connection, "run", lambda *_, **__: (True, json.dumps(said)))


@examples(150)
@given(mangled({"url": OWN}))
@example({"url": "file:///etc/shadow"})
@example({"url": "http://10.0.0.2:8000/AbC_d-9"})
@example({"url": "http://10.0.0.1:80@10.0.0.2/AbC"})
@example({"url": 7})
def test_what_a_node_passes_on_is_at_its_own_address(said):
    host, swarm = Host(), Swarm()
    with pytest.MonkeyPatch.context() as patch:
        answering(patch, said)
        patch.setattr(sharing, "address_of", lambda _host: "10.0.0.1")
        patch.setattr(peers, "_swarms", {SHARED.sha256: swarm})
        patch.setattr(peers, "_places", {})
        peers._swarm(host, SHARED, has=False)
        peers._start(host.name, swarm, SHARED)
    member = swarm.members[host.name]
    assert member.url is None or member.url.startswith("http://10.0.0.1:8000/")
    assert member.passes is (member.url is not None)
    assert host.is_told_plainly()


@pytest.mark.parametrize("said", [text for text in TEXTS if text.split()])
def test_a_nodes_own_address_is_one(said):
    answer = SimpleNamespace(stdout=f"10.0.0.9 50000 {said.split()[0]} 22 /")
    host = SimpleNamespace(run_shell_command=lambda *_, **__: (True, answer))
    with pytest.raises(sharing.SharingError):
        sharing.address_of(host)


@examples(150)
@given(mangled({"source": "here:80", "seconds": 1.5, "problems": ["no way"]}))
@example({"source": "here:80", "seconds": "1", "problems": []})
@example({"source": None, "seconds": 0.0, "problems": 7})
@example({})
def test_whatever_a_node_says_of_a_pull_it_pulled_or_is_sent_the_archive(said):
    host, stored = Host(), SimpleNamespace(mirror=None, key="abc", program="x", query={})
    entry = SimpleNamespace(path="/a", size=7, unpacked_size=9, sha256="a" * 64)
    report = SimpleNamespace(write=lambda *_, **__: None)
    with pytest.MonkeyPatch.context() as patch:
        answering(patch, said)
        patch.setattr(sharing, "url", lambda *_: "http://here:80/x")
        pulled, problem = transfer.pulled(host, stored, entry, report)
    assert (pulled in (True, False), problem) == (True, None)
    assert host.is_told_plainly()


@examples(150)
@given(mangled(LISTED))
@example({**LISTED, "free_bytes": "much"})
@example({**LISTED, "models": [{"path": "/m/a.gguf"}]})
@example({**LISTED, "models": 7})
@example({**LISTED, "models": [{**LISTED["models"][0], "what": None}]})
@example({**LISTED, "models": [{"path": "/m", "size_bytes": 4, "what": "", "removable": True}]})
@example({})
def test_whatever_a_node_says_of_its_models_is_listed_or_is_a_problem(capsys, said):
    events = []
    report = SimpleNamespace(write=lambda _event, **values: events.append(clean(values)))
    live = SimpleNamespace(deep=False)
    with pytest.MonkeyPatch.context() as patch:
        answering(patch, said)
        patch.setattr(models, "this_run", lambda: SimpleNamespace(report=report))
        done = models._look_through(Host(), {}, live)
    if isinstance(done, Problem):
        assert done.why.startswith("what the node tells of its models cannot be read: ")
        return
    model_files._print(events[0])
    shown = capsys.readouterr().out
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)


CONTENT = b"what is offered"
paths = some.text(max_size=10) | some.sampled_from(
    (*(text[:6000] for text in TEXTS), "/secret", "/", "/secret/..", "//secret", "/%73ecret")
)
requests = some.binary(max_size=100) | some.tuples(
    some.sampled_from(("GET", "HEAD", "POST", "get", "GET GET", "")),
    paths,
    some.sampled_from((" HTTP/1.1", " HTTP/1.0", " HTTP/9", "", " HTTP/" + "9" * 5000)),
    some.sampled_from(("Range: bytes=0-", "Range: bytes=" + "9" * 5000 + "-", "Range", ": :", "")),
).map(lambda parts: "{} {}{}\r\n{}\r\n\r\n".format(*parts).encode())


@pytest.fixture(params=["of this computer", "of a node"])
def server(request, tmp_path):
    """A server that offers one file under a name to this computer."""
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "peers").write_text('["127.0.0.1"]')
    if request.param == "of a node":
        made = pass_on.Server("127.0.0.1", str(tmp_path / "file"), None, str(tmp_path / "peers"))
        made.name = "/secret"
    else:
        made = file_server.Server("127.0.0.1")
        made.peers.add("127.0.0.1")
        made.offers["secret"] = str(tmp_path / "file")
    made.start()
    yield made
    made.shutdown()
    made.server_close()


def asked(server, request):
    """All that is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as made:
        said = b""
        with suppress(OSError):  # it closes what it has had enough of
            made.sendall(request)
            made.shutdown(socket.SHUT_WR)
            while more := made.recv(1 << 16):
                said += more
        return said


@examples(80)
@given(requests)
@example(b"GET\t/secret\r\n\r\n")
def test_whatever_a_neighbour_asks_it_gets_what_is_offered_or_nothing(server, capfd, request):
    said = asked(server, request)
    if CONTENT in said:
        method, path = request.split()[:2]
        assert (method, path.lstrip(b"/")) == (b"GET", b"secret")
    assert asked(server, b"GET /secret HTTP/1.1\r\n\r\n").endswith(CONTENT)
    assert capfd.readouterr() == ("", "")
