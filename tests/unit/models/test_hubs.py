"""Hubs and mirrors as they really answer: each a server on loopback that says what its test scripts."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
from fake_hub import COMMIT, OLD, REPO

from bramble.models.catalogue import Place
from bramble.models.hub import Hub, HubError

FILE = "toy q4 (v2)/toy-3b Q4_K_M.gguf"
PATH = f"/{REPO}/resolve/main/toy%20q4%20%28v2%29/toy-3b%20Q4_K_M.gguf"
API = f"/api/models/{REPO}/revision/main?blobs=true"
LINKED = {"X-Repo-Commit": COMMIT, "X-Linked-Size": "77", "X-Linked-Etag": f'"{OLD}"'}
AWAY = {"Location": "https://cas-bridge.example.invalid/xet/x?Signature=y"}


def listing(**lfs):
    """What `GET /api/models/...?blobs=true` answers."""
    return {
        "sha": COMMIT,
        "siblings": [
            {"rfilename": "README.md", "size": 5},
            {"rfilename": FILE, "size": 77, "lfs": {"size": 77, **lfs}},
        ],
    }


@contextmanager
def scripted(script):
    """A server that answers (method, path) as the script says: a code, headers, a body."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format, *args):
            """Keep quiet: pytest shows what a test prints."""

        def answer(self):
            asked.append((self.command, self.path, self.headers.get("Authorization")))
            code, headers, body = script.get((self.command, self.path), (404, {}, b""))
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_json(value):
    return (200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def resolved(script, token=None):
    with scripted(script) as (url, _):
        return Hub(url, token).resolve(Place(REPO, "main", FILE))


@pytest.mark.parametrize(
    "headers",
    [
        LINKED,
        LINKED | {"X-Linked-Etag": f'W/"{OLD}"'},
        LINKED | {"X-Linked-Etag": OLD},
        LINKED | {"X-Linked-Etag": f' "{OLD.upper()}" ', "X-Repo-Commit": COMMIT.upper()},
        LINKED | {"X-Xet-Hash": "c" * 64, "Link": "<https://x.invalid>; rel=xet-auth"},
    ],
)
def test_the_hubs_redirect_tells_what_the_file_is_and_is_not_followed(headers):
    found = resolved({("HEAD", PATH): (302, headers | AWAY, b"")})
    assert (found.revision, found.size_bytes, found.sha256) == (COMMIT, 77, OLD)
    assert found.file == FILE
    assert found.url("https://hub.invalid").endswith(PATH.replace("main", COMMIT))


def test_a_file_that_a_mirror_gives_at_once_is_found_in_its_listing():
    script = {
        ("HEAD", PATH): (200, {"X-Repo-Commit": COMMIT, "ETag": f'"{OLD[:32]}"'}, b""),
        ("GET", API.replace("main", COMMIT)): as_json(listing(sha256=OLD)),
    }
    assert resolved(script).sha256 == OLD


@pytest.mark.parametrize("code", [405, 501])
@pytest.mark.parametrize("lfs", [{"sha256": OLD}, {"oid": f"sha256:{OLD}"}])
def test_a_mirror_that_takes_no_head_is_asked_for_its_listing(code, lfs):
    script = {("HEAD", PATH): (code, {"Allow": "GET"}, b""), ("GET", API): as_json(listing(**lfs))}
    found = resolved(script)
    assert (found.revision, found.sha256, found.size_bytes) == (COMMIT, OLD, 77)


def test_redirects_within_the_hub_are_followed_relative_or_not():
    with scripted(script := {}) as (url, asked):
        script["HEAD", PATH] = (307, {"Location": "/cache/one two.gguf?a=b"}, b"")
        script["HEAD", "/cache/one%20two.gguf?a=b"] = (308, {"Location": f"{url}/last"}, b"")
        script["HEAD", "/last"] = (302, LINKED | AWAY, b"")
        assert Hub(url, "hf_token").resolve(Place(REPO, "main", FILE)).sha256 == OLD
        assert {token for _, _, token in asked} == {"Bearer hf_token"}


def test_a_mirror_that_sends_on_to_another_host_is_told_and_the_token_stays_here():
    with (
        scripted({("HEAD", PATH): (302, LINKED | AWAY, b"")}) as (other, asked),
        scripted(script := {}) as (url, _),
    ):
        other = other.replace("127.0.0.1", "localhost")
        script["HEAD", PATH] = (308, {"Location": f"{other}{PATH}"}, b"")
        with pytest.raises(HubError, match=f"sends on to {other} .* set HF_ENDPOINT"):
            Hub(url, "hf_token").resolve(Place(REPO, "main", FILE))
        assert asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (429, {"Retry-After": "120"}, b""),
            "refuses further requests for now; try again in 120 s",
        ),
        ((429, {"Retry-After": "soon"}, b""), "try again in five minutes"),
        ((429, {}, b""), "try again in five minutes"),
        ((403, {"X-Error-Code": "GatedRepo"}, b""), "is gated, and no token was given"),
        ((403, {}, b""), "answers 403 Forbidden .* no token was given: see at"),
        (
            (403, {"X-Error-Message": "Access to this resource is disabled."}, b""),
            r'\("Access to this resource is disabled."\)',
        ),
        ((401, {}, b""), "has no repository .* or a private one"),
        ((404, {}, b""), "has no repository"),
        ((404, {"X-Error-Code": "EntryNotFound"}, b""), "has no file"),
        ((503, {}, b""), "answers 503 .*; try again later"),
        (
            (200, {"Content-Type": "text/html"}, b""),
            "for a file of a plain web server set model.name",
        ),
        ((200, {"X-Repo-Commit": COMMIT}, b""), "gives no commit, size and sha256"),
        ((405, {}, b""), "gives no commit, size and sha256"),
    ],
)
def test_what_an_answer_means_is_said_with_what_to_do(answer, said):
    with pytest.raises(HubError, match=said):
        resolved({("HEAD", PATH): answer})


def test_a_listing_without_a_sha256_is_told():
    script = {("HEAD", PATH): (405, {}, b""), ("GET", API): as_json(listing())}
    with pytest.raises(HubError, match="gives no commit, size and sha256"):
        resolved(script)


def test_the_name_of_the_file_reaches_the_server_as_it_is():
    with scripted({("HEAD", PATH): (302, LINKED | AWAY, b"")}) as (url, asked):
        Hub(url).resolve(Place(REPO, "main", FILE))
        assert unquote(asked[0][1]) == f"/{REPO}/resolve/main/{FILE}"
