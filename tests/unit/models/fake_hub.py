"""A hub of models on loopback, in the shapes that huggingface.co answers in.

The headers are those of a HEAD of a file in LFS, as recorded in public threads (huggingface/hf-hub#33,
huggingface/huggingface.js#1023, ngxson/wllama#248): a redirect to a signed address on another host,
with X-Repo-Commit, X-Linked-Size and X-Linked-Etag on it. The errors and their X-Error-Code, and the
listing's `siblings`, are those that huggingface_hub 0.36 reads (utils/_http.py, hf_api.py).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

OLD, NEW = "a" * 64, "b" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "Toys/Toy-3B-GGUF"


@dataclass
class Repo:
    """A repository: its commit, and its files in LFS as (sha256, size)."""

    commit: str
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    gated: bool = False
    renamed_to: str | None = None


@dataclass
class FakeHub:
    """What the hub has and was asked."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    # A mirror that leaves X-Linked-Etag out, or anything that answers like no hub.
    header: bytes = b""
    without_etag: bool = False
    without_commit: bool = False
    status: int | None = None
    token: str = "hf_the_token"
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


@contextmanager
def hub() -> Iterator[FakeHub]:
    """A hub that is there while the block runs."""
    fake = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Handler,), {"fake": fake}))
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: pytest shows what a test prints."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        fake, path = self.fake, unquote(urlsplit(self.path).path)
        fake.asked.append((self.command, self.path))
        fake.tokens.append(self.headers.get("Authorization"))
        if fake.status:
            self._send(fake.status, {})
        elif path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._listing(name, revision)
        else:
            name, _, rest = path[1:].partition("/resolve/")
            self._file(name, *rest.split("/", 1))

    def _file(self, name: str, revision: str, file: str) -> None:
        repo = self.fake.repos.get(name)
        if repo is None:
            # What the hub says of what is not there to somebody whom it does not know.
            self._send(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"})
        elif repo.renamed_to:
            self._send(307, {"Location": f"/{repo.renamed_to}/resolve/{revision}/{file}"})
        elif revision not in ("main", repo.commit):
            self._send(404, {"X-Error-Code": "RevisionNotFound"})
        elif repo.gated and self.headers.get("Authorization") != f"Bearer {self.fake.token}":
            self._send(401, {"X-Error-Code": "GatedRepo", "X-Repo-Commit": repo.commit})
        elif file not in repo.files:
            self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
        elif self.command == "GET":
            self._start(repo.files[file][1])
        else:
            self._linked(repo, *repo.files[file])

    def _start(self, size: int) -> None:
        """The first bytes of a file: the hub itself would redirect to where they are."""
        body = self.fake.header[:size]
        self._send(206, {"Content-Range": f"bytes 0-{len(body) - 1}/{size}"}, body)

    def _linked(self, repo: Repo, sha256: str, size: int) -> None:
        headers = {
            "X-Repo-Commit": repo.commit,
            "X-Linked-Size": str(size),
            "X-Linked-Etag": f'"{sha256}"',
            "ETag": '"bb5ff7e7e9ae3ccb8bdea9d80e9bbf51"',
            "Location": "https://cdn.example.invalid/xet-bridge-us/x?Expires=1&Signature=y",
        }
        if self.fake.without_etag:
            del headers["X-Linked-Etag"]
        if self.fake.without_commit:
            del headers["X-Repo-Commit"]
        self._send(302, headers)

    def _listing(self, name: str, revision: str) -> None:
        repo = self.fake.repos[name]
        siblings = [
            {
                "rfilename": file,
                "size": size,
                "blobId": "3" * 40,
                "lfs": {"sha256": sha256, "size": size, "pointerSize": 135},
            }
            for file, (sha256, size) in repo.files.items()
        ]
        siblings.append({"rfilename": "README.md", "size": 5, "blobId": "4" * 40})
        body = json.dumps({"id": name, "sha": repo.commit, "siblings": siblings}).encode()
        self._send(200, {"Content-Type": "application/json"}, body)

    def _send(self, code: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
