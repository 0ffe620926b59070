"""Real HAProxies with planned files, and nodes that answer when a test lets them."""

import contextlib
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bramble import remote
from bramble.access import keys
from bramble.remote import balancer
from bramble.roles.gateway.states import states
from bramble.roles.gateway.wanted import CHECKED, FOLDER, PLACE, STATES, STATUS
from bramble.snapshot import Output, Snapshot
from tests.unit import gateways

HAPROXY = shutil.which("haproxy")
LAPTOP = keys.PREFIX + "laptop-of-a-test-0123456789abcdefghi"
CHAT = "/v1/chat/completions"
LONGEST_S = 60


def eventually(condition, what):
    """Wait for a condition."""
    end = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Server(ThreadingHTTPServer):
    """A server whose clients may leave."""

    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing."""


class Node:
    """A node that knows the gateway's key, and answers at once or when it is let."""

    def __init__(self, names=("small",), certificate=None):
        self.key = gateways.KEY
        self.names, self.lock, self.open = names, threading.Lock(), threading.Event()
        self.open.set()
        self.now = self.most = self.answered = self.left = 0
        self.fails: int | None = None
        self.says, self.heads = "2+2 is 4", []
        self.port, self.tls, self.certificate = 0, certificate is not None, certificate
        self.begin()

    def begin(self):
        """Listen, at the port of before where there was one."""
        self.server = Server(("127.0.0.1", self.port), self.handler())
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def end(self):
        self.open.set()
        self.server.shutdown()
        self.server.server_close()

    def handler(node):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                """Say nothing."""

            def say(self, status, value):
                body = json.dumps(value, separators=(",", ":")).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def knows(self):
                known = node.key is None or self.headers["Authorization"] == f"Bearer {node.key}"
                if not known:
                    self.say(401, {})
                return known

            def do_GET(self):
                if self.path == "/health":
                    self.say(node.fails or 200, {})
                elif self.knows():
                    self.say(200, {"data": [{"id": name} for name in node.names]})

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                if not self.knows():
                    return
                if node.fails is not None:
                    node.answered += 1
                    self.close_connection = True
                    return self.say(node.fails, {}) if node.fails else None
                with node.lock:
                    node.heads.append({k.lower(): v for k, v in self.headers.items()})
                    node.now += 1
                    node.most = max(node.most, node.now)
                left = False
                while not node.open.wait(0.02) and not left:
                    left = self.is_left()
                with node.lock:
                    node.now -= 1
                    node.left += left
                    node.answered += not left
                if not left:
                    self.say(200, {"choices": [{"message": {"content": node.says}}]})

            def is_left(self):
                """Whether whoever asked has closed the connection."""
                try:
                    return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
                except BlockingIOError:
                    return False
                except OSError:
                    return True

        return Handler


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def here(text, place, folder):
    """A planned text with the sockets and notes of a host in one folder of this computer."""
    runtime = place.figures.rpartition("/")[0]
    for path in (FOLDER, runtime, place.folder):
        text = text.replace(f"{path}/", f"{folder}/")
    own = f'"user": "{pwd.getpwuid(os.geteuid()).pw_name}"'
    return text.replace(FOLDER, str(folder)).replace('"user": "haproxy"', own)


class Proxy:
    """HAProxy with the files of a planned way in."""

    def __init__(self, folder, edge):
        self.folder, self.edge = folder, edge
        for file in edge.files:
            text = here(file.text, edge.place, folder)
            (folder / file.path.rpartition("/")[2]).write_text(text)
        self.config = folder / "haproxy.cfg"
        self.log = (folder / "log").open("wb")
        self.process = self.started()

    def started(self):
        """The process as systemd has it: it is started once it says so."""
        place = self.folder / "notify"
        place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(place))
            told.settimeout(LONGEST_S)
            process = subprocess.Popen(
                [HAPROXY, "-Ws", "-f", str(self.config)],
                stdout=self.log,
                stderr=self.log,
                env=os.environ | {"NOTIFY_SOCKET": str(place)},
            )
            while b"READY=1" not in told.recv(4096):
                pass
        return process

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LONGEST_S)
        self.log.close()

    def figures(self, path):
        """What it tells by its socket, None where there is none yet."""
        try:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.connect(str(self.folder / "figures.sock"))
                asking.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                with asking.makefile("rb") as said:
                    return said.read().decode().partition("\r\n\r\n")[2]
        except OSError:
            return None

    def figure(self, name, scope="backend"):
        """The sum of a figure."""
        said = self.figures(f"/metrics?scope={scope}") or ""
        lines = [line for line in said.splitlines() if line.startswith(f"haproxy_{name}{{")]
        return sum(float(line.split()[-1]) for line in lines)


class Edge(Proxy):
    """A node's own way in, before a model that is a Node."""

    names, tls = ("small",), False

    def __init__(self, folder, name, model, **more):
        self.port = free_port()
        edge = {"port": self.port, "requests_per_minute": 100_000, **more}
        host = gateways.node(1, slots=1, port=model.port, edge=edge)
        folder.mkdir()
        plan = gateways.plan(gateways.inventory(folder, {name: host}), name=name)
        super().__init__(folder, plan.roles["serving"].edge)


class Run:
    """A run that has a node taken out of a gateway, by the program that it starts there."""

    def __init__(self, folder, node):
        query = {"plan": str(folder / "questions.json"), "node": node, "why": "a test takes it out"}
        line = shlex.split(remote.command_line("lease_node", query))
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(line, text=True, **how)

    def told(self):
        """What the gateway tells next."""
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def says(self, word):
        """Tell the gateway, and return what that tells then."""
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.told()

    def goes(self):
        """Be gone without a word."""
        self.process.stdin.close()
        self.process.wait(LONGEST_S)
        self.process.stdout.close()


class Gateway(Proxy):
    """A gateway before these nodes, each of which has one slot."""

    def __init__(
        self, folder, nodes, authority=None, known=gateways.CLIENTS, serving=None, **settings
    ):
        self.port, hosts = free_port(), {}
        keys.write(folder, known)
        for name, node in nodes.items():
            expose, edge = "tls" if node.tls else "lan", {"port": node.port}
            own = {"expose": expose, "slots": 1, "edge": edge, **(serving or {})}
            hosts[name] = gateways.node(1, node.names[0], **own)
            hosts[name]["ssh"] = {"address": "127.0.0.1", "port": 2200 + len(hosts)}
        gateways.inventory(folder, hosts, {"port": self.port, "at_once": 100} | settings)
        plan = gateways.plan(folder, authority=authority, clients=known).roles["gateway"]
        for file in plan.asking:
            (folder / file.path.rpartition("/")[2]).write_text(here(file.text, PLACE, folder))
        super().__init__(folder, plan.edge)
        asked = "it has not been asked yet"
        eventually(lambda: asked not in (self.nodes() or {"": asked}).values(), "it has asked all")

    def nodes(self):
        """The state of each node, as the host's checks have it; None while nothing is told."""
        said = self.figures("/metrics?scope=server")
        # As the command does that the host asks by.
        told = re.findall(rf"^(?:{STATUS}|{CHECKED}).* 1$", said or "", re.MULTILINE)
        look = Snapshot(commands={STATES: Output(0, "".join(f"{line}\n" for line in told))})
        return {node: state for (_, node), state in states(look).items()} if told else None

    def runs(self, name, code=0):
        """Run a program of the gateway's host as its unit does; return what it said."""
        words = [sys.executable, "-I", str(self.folder / f"{name}.py")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def asked(self):
        """How each node answered when the host asked them all now, in one word."""
        self.runs("ask_nodes")
        return {one["node"]: one["answer"] for one in self.state()["nodes"]}

    def takes_out(self, node):
        """A run that has a node taken out."""
        return Run(self.folder, node)

    def state(self):
        """What the host wrote down when it asked."""
        return json.loads((self.folder / "state.json").read_text())

    def drained(self):
        """Who is drained, and why, as the host tells."""
        return {one["node"]: one["why"] for one in self.state()["drained"]}

    def reload(self):
        """Reload it as its unit does; return once another process answers."""
        self.runs("keep_drained")
        before = self.worker()
        self.process.send_signal(signal.SIGUSR2)
        eventually(lambda: self.worker() not in (before, None), "it is new")

    def restart(self):
        """End it and start it anew."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LONGEST_S)
        self.process = self.started()

    def worker(self):
        """Which process answers at the admin socket; None where none does."""
        try:
            said = balancer.told(str(self.folder / "admin.sock"), "show info")
        except balancer.BalancerError:
            return None
        found = re.search(r"^Pid: (\d+)$", said, re.MULTILINE)
        return found and found[1]

    def tell(self, command):
        """What it answers to an operator's command."""
        return balancer.told(str(self.folder / "admin.sock"), command)

    def waiting(self):
        """How many requests wait."""
        return self.figure("backend_current_queue")

    def ask(self, body=None, key=LAPTOP, method="POST", path=CHAT, text=None, **more):
        """The status, the heads and the value of an answer; `text` is a body as it is to be sent."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_S)
        heads = {"Authorization": f"Bearer {key}"} if key else {}
        heads |= more
        with contextlib.closing(connection):
            sent = None if method == "GET" else json.dumps(asking() if body is None else body)
            sent = sent if text is None else text
            connection.request(method, path, sent, heads)
            answer = connection.getresponse()
            said = answer.read().decode()
            is_json = answer.headers["Content-Type"] == "application/json"
            return answer.status, answer.headers, json.loads(said) if is_json else said


def asking(text="What is 2+2?", **more):
    return {"messages": [{"role": "user", "content": text}], "model": "small", **more}


def answering(gateway, count=8):
    """The nodes that answer clients."""
    asked = (gateway.ask(asking(f"question {n}")) for n in range(count))
    return {heads["x-bramble-node"] for status, heads, _ in asked if status == 200}
