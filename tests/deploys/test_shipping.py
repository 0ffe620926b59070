"""One host of many builds what all need, the others get it from the store, by whatever way there is."""

import hashlib
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyinfra.connectors.ssh import SSHConnector

from bramble.llama import store
from bramble.pyinfra import connection, delivery, patience, releases, sharing, transfer
from bramble.remote import pack_release
from bramble.steps import Step, Stored
from tests.deploys.fake_hosts import FakeHost, at_once
from tests.unit.remote.bad_neighbours import asking_without_an_end, peak_kib

WAIT_S = 20


@dataclass
class Fleet:
    """Hosts that build, pack and install in folders of this computer, and what they were asked."""

    folder: Path
    fails: set[str] = field(default_factory=set)
    no_pack: set[str] = field(default_factory=set)
    no_place: set[str] = field(default_factory=set)
    no_room: set[str] = field(default_factory=set)
    no_pull: set[str] = field(default_factory=set)
    before_building: Callable[[str], None] = lambda name: None
    asked: list[tuple[str, str]] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    state: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(failed_hosts=set()))

    def host(self, name):
        return Host(name, self)

    def step(self, name, otherwise=None, why="release abc is not there"):
        stored = Stored("abc", "install_release", {"release": "abc"}, "/remote", otherwise)
        return Step("Install", why, "build_engine", {}, stored=stored, detached=True)

    def deliver(self, *names, otherwise=None):
        """What came of the step on each of these hosts, all at once."""
        return at_once(
            names,
            lambda name: delivery.deliver(self.host(name), self.step(name, otherwise), self),
        )

    def write(self, event, **values):
        self.events.append((event, values["host"], values.get("state") or values.get("way")))

    def happened(self, event):
        return [(host, what) for kind, host, what in self.events if kind == event]

    def build(self, name):
        """What build_engine leaves."""
        (self.folder / name / "abc" / "bin").mkdir(parents=True)
        (self.folder / name / "abc" / "bin" / "llama-server").write_bytes(b"program")
        sums = {"llama-server": hashlib.sha256(b"program").hexdigest()}
        manifest = {"release": "abc", "binaries": sums, "built_at": "2026-01-01"}
        (self.folder / name / "abc" / "manifest.json").write_text(json.dumps(manifest))

    def run(self, host, program, query, timeout_s, *, live=False):
        self.asked.append((host.name, program))
        if program == "pack_release":
            return self.pack(host.name, query)
        if program == "receive" and host.name in self.no_place:
            return False, "/var/tmp has 3 MiB free and 0 are to be sent"
        if program == "install_release":
            way = None if host.name in self.no_pull else "here"
            return True, json.dumps({"source": way, "seconds": 0.1, "problems": ["no way"]})
        return True, ""

    def pack(self, name, query):
        path = self.folder / name / ".abc.packed"
        if name in self.no_pack:
            return False, "the disk is full"
        pack_release.pack(str(self.folder / name / query["release"]), str(path))
        return True, json.dumps({"path": str(path), "sha256": store.sha256(path)})

    def follow(self, host, step):
        self.asked.append((host.name, step.program))
        if step.program == "build_engine":
            self.before_building(host.name)
            if host.name in self.fails:
                return False, "no compiler"
            self.build(host.name)
        return True, ""


class Host(FakeHost):
    """One that files go to and come from."""

    def get_file(self, remote, local):
        local.write(Path(remote).read_bytes())

    def put_file(self, local, remote):
        assert Path(local).exists()
        self.fleet.asked.append((self.name, "put_file"))
        if self.name in self.fleet.no_room:
            raise OSError("Failure")


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "store"))
    fleet = Fleet(tmp_path)
    monkeypatch.setattr(connection, "run", fleet.run)
    monkeypatch.setattr(connection, "follow", fleet.follow)
    monkeypatch.setattr(sharing, "url", lambda host, path: f"http://here/{path.name}")
    monkeypatch.setattr(releases, "_fleets", {})
    monkeypatch.setattr(patience, "ASK_EVERY_S", 0.01)
    return fleet


NAMES = ("n1", "n2", "n3", "n4")


def test_one_of_many_hosts_builds_and_the_others_pull(fleet):
    assert fleet.deliver(*NAMES) == dict.fromkeys(NAMES)
    (begun, done) = fleet.happened("build")
    assert (begun[1], done) == ("begun", (begun[0], "done"))
    others = [(name, "pulled") for name in NAMES if name != begun[0]]
    assert sorted(fleet.happened("transfer")) == others
    assert f"[{begun[0]}] building release abc for all that need it" in fleet.logged
    waiting = [line for line in fleet.logged if "waiting for release abc" in line]
    assert len(waiting) <= len(others)


def test_what_is_stored_is_not_built_again(fleet):
    fleet.deliver("n1")
    fleet.events.clear()
    assert fleet.deliver("n2", "n3") == {"n2": None, "n3": None}
    assert fleet.happened("build") == []
    assert not (store.folder() / "abc.building").exists()


def test_where_the_builder_fails_the_next_one_builds(fleet):
    failed = []

    def first_fails(name):
        if not failed:
            failed.append(name)
            fleet.fails.add(name)

    fleet.before_building = first_fails
    problems = fleet.deliver(*NAMES)
    assert {name for name, problem in problems.items() if problem} == set(failed)
    assert [what for _, what in fleet.happened("build")] == ["begun", "failed", "begun", "done"]


def test_where_no_host_can_build_each_says_why(fleet):
    fleet.fails.update(NAMES)
    assert fleet.deliver(*NAMES) == dict.fromkeys(NAMES, "no compiler")
    assert len(fleet.happened("build")) == 2 * len(NAMES)
    assert store.entries() == ()


def test_what_cannot_be_brought_into_the_store_still_serves_its_builder(fleet):
    fleet.no_pack.add("n1")
    assert fleet.deliver("n1") == {"n1": None}
    assert any(
        "cannot be fetched into the store: the disk is full" in line for line in fleet.logged
    )
    assert fleet.deliver("n2") == {"n2": None}
    assert [host for host, what in fleet.happened("build") if what == "done"] == ["n1", "n2"]


def test_a_host_that_has_the_release_gives_it_to_the_others(fleet):
    fleet.build("n1")
    releases.expect(fleet.host("n1"), fleet.step("n1", why=None))
    releases.expect(fleet.host("n2"), fleet.step("n2"))
    assert fleet.deliver("n2") == {"n2": None}
    assert fleet.happened("build") == []
    assert fleet.asked[:2] == [("n1", "pack_release"), ("n1", "remove_files")]


def test_a_host_that_lost_its_release_or_failed_is_not_relied_on(fleet):
    fleet.build("n1")
    (fleet.folder / "n1" / "abc" / "bin" / "llama-server").write_bytes(b"altered")
    for name in ("n1", "n3"):
        releases.expect(fleet.host(name), fleet.step(name, why=None))
    fleet.state.failed_hosts.add(fleet.host("n3"))
    assert fleet.deliver("n2") == {"n2": None}
    assert fleet.happened("build") == [("n2", "begun"), ("n2", "done")]
    assert any(
        "n1 cannot give it: bin/llama-server of release abc" in line for line in fleet.logged
    )
    assert ("n3", "pack_release") not in fleet.asked


def test_a_release_that_nodes_must_not_build_is_taken_from_one_that_has_it_or_refused(fleet):
    assert fleet.deliver("n2", otherwise="run bramble engine build") == {
        "n2": "run bramble engine build"
    }
    fleet.build("n1")
    releases.expect(fleet.host("n1"), fleet.step("n1", why=None))
    assert fleet.deliver("n2", otherwise="run bramble engine build") == {"n2": None}
    assert fleet.happened("build") == []


def left_by_a_killed_run(builder):
    with store.turn("abc") as turn:
        turn.give_to(builder)


def test_a_later_run_goes_back_to_the_host_that_was_building(fleet):
    left_by_a_killed_run("n3")
    for name in NAMES:
        releases.expect(fleet.host(name), fleet.step(name))
    assert fleet.deliver(*NAMES) == dict.fromkeys(NAMES)
    assert fleet.happened("build") == [("n3", "begun"), ("n3", "done")]


@pytest.mark.parametrize("why_not", ["not in this run", "failed before"])
def test_a_builder_that_is_not_here_is_not_waited_for(fleet, why_not):
    left_by_a_killed_run("n3")
    releases.expect(fleet.host("n1"), fleet.step("n1"))
    if why_not == "failed before":
        releases.expect(fleet.host("n3"), fleet.step("n3"))
        fleet.state.failed_hosts.add(fleet.host("n3"))
    assert fleet.deliver("n1") == {"n1": None}
    assert fleet.happened("build") == [("n1", "begun"), ("n1", "done")]


def test_a_builder_that_does_not_come_is_not_waited_for_long(fleet, monkeypatch):
    monkeypatch.setattr(releases, "COMES_FIRST_S", 0.2)
    left_by_a_killed_run("n3")
    releases.expect(fleet.host("n3"), fleet.step("n3"))
    assert fleet.deliver("n1") == {"n1": None}
    assert fleet.happened("build") == [("n1", "begun"), ("n1", "done")]


def test_another_run_s_build_is_waited_for_and_not_for_ever(fleet):
    with store.turn("abc") as turn:
        turn.give_to("elsewhere")
        step = fleet.step("n1")
        problem = delivery.deliver(
            fleet.host("n1"), Step(**{**vars(step), "timeout_s": 0.1}), fleet
        )
        assert problem == "elsewhere did not build it within 0 h"
        assert "waiting for release abc, which elsewhere makes" in fleet.logged[0]


@pytest.mark.parametrize("reason", ["no pull", "no server"])
def test_a_node_that_cannot_pull_is_sent_the_archive(fleet, monkeypatch, reason):
    fleet.deliver("n1")
    fleet.no_pull.add("n2")
    if reason == "no server":

        def refuse(host, path):
            raise sharing.SharingError("it is reached through another host")

        monkeypatch.setattr(sharing, "url", refuse)
    assert fleet.deliver("n2") == {"n2": None}
    assert fleet.happened("transfer") == [("n2", "sent")]
    assert fleet.asked[-3:] == [("n2", "receive"), ("n2", "put_file"), ("n2", "install_release")]
    words = "it cannot pull: it is reached" if reason == "no server" else "not pulled: no way"
    assert any(words in line for line in fleet.logged)


def test_a_mirror_is_tried_first_and_without_a_server_of_ours(fleet, monkeypatch):
    fleet.deliver("n1")
    entry = store.find("abc")
    stored = Stored("abc", "install_release", {}, "/remote", None, "http://mirror/engine/")
    queries = []

    def run(host, program, query, timeout_s):
        queries.append(query)
        return True, json.dumps({"source": "mirror", "seconds": 0.1, "problems": []})

    monkeypatch.setattr(connection, "run", run)
    assert transfer.pulled(fleet.host("n2"), stored, entry, fleet) == (True, None)
    mirror = {"url": f"http://mirror/engine/{entry.sha256}.tar.gz", "direct": False}
    ours = {"url": f"http://here/{entry.sha256}.tar.gz", "direct": True}
    assert queries[0]["sources"] == [mirror, ours]


def test_what_cannot_be_installed_is_not_sent_again(fleet, monkeypatch):
    fleet.deliver("n1")
    monkeypatch.setattr(connection, "run", lambda *a: (False, "the disk is full\n"))
    assert fleet.deliver("n2") == {"n2": "the disk is full"}
    assert ("n2", "put_file") not in fleet.asked


def test_an_altered_store_is_told_and_nothing_is_built(fleet):
    fleet.deliver("n1")
    entry = store.find("abc")
    entry.path.write_bytes(b"altered")
    problem = fleet.deliver("n2")["n2"]
    assert "was altered" in problem
    assert fleet.happened("build") == [("n1", "begun"), ("n1", "done")]


@pytest.mark.parametrize("lack", ["no_place", "no_room"])
def test_a_file_that_cannot_be_sent_leaves_nothing_on_the_node_and_is_told(fleet, lack):
    fleet.deliver("n1")
    fleet.no_pull.add("n2")
    getattr(fleet, lack).add("n2")
    problem = fleet.deliver("n2")["n2"]
    if lack == "no_place":
        assert "cannot be sent: /var/tmp has 3 MiB free" in problem
        assert ("n2", "put_file") not in fleet.asked
    else:
        assert "could not be sent to" in problem
        assert fleet.asked[-1] == ("n2", "remove_files")


NODES = ("127.0.0.1",)


@pytest.fixture
def server():
    """A file server of its own process on the loopback."""
    server = sharing.Server("127.0.0.1")
    yield server
    server.process.communicate()
    assert server.process.returncode == 0


def get(server, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{name}", timeout=5) as answer:
        return answer.read()


def test_the_file_server_gives_what_is_offered_and_nothing_else(server, tmp_path):
    file = tmp_path / "archive.tar.gz"
    file.write_bytes(b"x" * 3_000_000)
    name = server.offer(file, NODES)
    assert server.offer(file, NODES) == name
    token, _, last = name.partition("/")
    assert (len(token), last) == (22, "archive.tar.gz")
    assert get(server, name) == file.read_bytes()
    for other in (last, f"{token}/", f"{token}/../{last}", str(file), ""):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(server, other)


def test_the_file_server_gives_a_file_from_any_byte_on(server, tmp_path):
    file = tmp_path / "archive"
    file.write_bytes(b"0123456789")
    url = f"http://127.0.0.1:{server.port}/{server.offer(file, NODES)}"
    asked = urllib.request.Request(url, headers={"Range": "bytes=4-"})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        assert (answer.status, answer.read()) == (206, b"456789")
        assert answer.headers["Content-Range"] == "bytes 4-9/10"
    asked = urllib.request.Request(url, headers={"Range": "bytes=10-"})
    with pytest.raises(urllib.error.HTTPError, match="416") as refused:
        urllib.request.urlopen(asked, timeout=5)
    assert refused.value.headers["Content-Range"] == "bytes */10"


def test_many_nodes_pull_at_once_even_when_one_stands_still(server, tmp_path):
    file = tmp_path / "archive"
    file.write_bytes(bytes(8_000_000))
    name = server.offer(file, NODES)
    stalled = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{name}", timeout=5)
    found = []
    threads = [threading.Thread(target=lambda: found.append(get(server, name))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    stalled.close()
    assert [len(data) for data in found] == [8_000_000] * 8


def test_a_file_server_lets_in_those_alone_that_something_was_offered_to(server, tmp_path):
    file = tmp_path / "archive"
    file.write_bytes(b"x")
    name = server.offer(file, ["127.0.0.7"])
    with pytest.raises((OSError, http.client.HTTPException)):
        get(server, name)
    assert server.offer(file, NODES) == name
    assert get(server, name) == b"x"


def test_neighbours_that_ask_without_an_end_take_no_memory_of_this_computer(server, tmp_path):
    file = tmp_path / "archive"
    file.write_bytes(b"x")
    neighbours = [f"127.0.0.{n}" for n in range(2, 42)]
    name = server.offer(file, [*NODES, *neighbours])
    before = peak_kib(server.process.pid)
    with asking_without_an_end(int(server.port), neighbours * 3):
        assert get(server, name) == b"x"
        assert peak_kib(server.process.pid) - before < 16 * 1024


def test_an_address_that_is_not_this_computer_s_is_no_server_s():
    server = sharing.Server("192.0.2.1")
    assert server.port == ""
    server.process.communicate()


def test_a_server_that_ended_is_told(tmp_path):
    server = sharing.Server("127.0.0.1")
    server.process.kill()
    server.process.wait()
    with pytest.raises(OSError, match=r"file server|Broken pipe"):
        server.offer(tmp_path / "archive", NODES)


class Ssh(SSHConnector):
    """A connection of which only the addresses matter."""

    def __init__(self, ours, theirs):
        ends = {"getsockname": lambda: (ours, 50000), "getpeername": lambda: (ours, 22)}
        sock = SimpleNamespace(**ends) if ours else object()
        transport = SimpleNamespace(sock=sock)
        self.client = SimpleNamespace(get_transport=lambda: transport)
        self.theirs = theirs

    def said(self, command, **options):
        if isinstance(self.theirs, Exception):
            raise self.theirs
        return bool(self.theirs), SimpleNamespace(stdout=self.theirs)


def reached(ours, theirs):
    """A host that we reach from `ours`, and that sees us as `theirs`."""
    connector = Ssh(ours, theirs)
    return SimpleNamespace(connector=connector, run_shell_command=connector.said)


@pytest.fixture
def servers(monkeypatch):
    """The servers that were started, ended again."""
    found = {}
    monkeypatch.setattr(sharing, "_servers", found)
    yield found
    for server in found.values():
        server.process.communicate()


@pytest.mark.parametrize(
    "theirs",
    [
        "127.0.0.1 50000 127.0.0.1 22 / 127.0.0.9",
        "Welcome!\n10.0.2.2 50000 10.0.2.15 22 /",
        "2001:db8::1 5 2001:db8::2 22 / 10.0.0.1 2001:db8::2",
    ],
)
def test_a_node_is_told_the_address_at_which_it_sees_this_computer(servers, tmp_path, theirs):
    (tmp_path / "a").write_bytes(b"archive")
    found = sharing.url(reached("127.0.0.1", theirs), tmp_path / "a")
    seen = theirs.splitlines()[-1].split()[0]
    host, _, rest = found.removeprefix("http://").rpartition(":")
    assert host == (f"[{seen}]" if ":" in seen else seen)
    assert get(servers["127.0.0.1"], rest.partition("/")[2]) == b"archive"
    assert sharing.url(reached("127.0.0.1", theirs), tmp_path / "a") == found


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (reached(None, "10.0.0.1"), "reached through another host"),
        (reached("127.0.0.1", ""), "does not say from where"),
        (reached("127.0.0.1", TimeoutError()), "the connection failed: TimeoutError"),
        (reached("192.0.2.1", "192.0.2.1"), r"cannot serve files on 192\.0\.2\.1"),
        (SimpleNamespace(connector=None), "not reached over SSH"),
    ],
)
def test_why_a_node_cannot_pull_is_said(servers, tmp_path, host, why):
    with pytest.raises(sharing.SharingError, match=why):
        sharing.url(host, tmp_path / "a")


def test_a_server_that_was_killed_is_replaced(servers, tmp_path):
    host = reached("127.0.0.1", "127.0.0.1")
    sharing.url(host, tmp_path / "a")
    ended = servers["127.0.0.1"]
    ended.process.kill()
    ended.process.wait()
    with pytest.raises(sharing.SharingError, match="cannot serve files"):
        sharing.url(host, tmp_path / "b")
    assert sharing.url(host, tmp_path / "b").endswith("/b")
    ended.process.stdout.close()
