"""A hub of models (huggingface.co or a mirror of it), asked for what a lock needs.

`HEAD /REPO/resolve/REVISION/FILE` gives the commit (X-Repo-Commit), and of a file in LFS or Xet the
size and sha256 (X-Linked-Size, X-Linked-Etag), on the redirect to the content: that redirect leads
to another host and is not followed. Where a mirror leaves them out, or does not support HEAD,
`GET /api/models/REPO/revision/REVISION?blobs=true` has them; huggingface_hub's `model_info` asks it.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from bramble import strict_json
from bramble.models.catalogue import Place
from bramble.models.lock import Locked
from bramble.sanitize import number

if TYPE_CHECKING:
    import requests

ENDPOINT = "https://huggingface.co"
TIMEOUT_S = (10, 30)
CHUNK_BYTES, MOST_BYTES, ANSWER_S = 1 << 16, 16 << 20, 120
_HOPS = 5
# The answers of servers without HEAD.
_NO_HEAD = (405, 501)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubError(Exception):
    """The hub cannot say what a file is; the text says why and what to do."""


class HubUnreachable(Exception):
    """The hub does not answer at all; asking for the next file is no use."""


class _Bearer:
    """An auth that sends the token; without one, requests would send a password from ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Hub:
    """A hub at an endpoint; the token goes to that host alone, over TLS or to this computer."""

    def __init__(self, endpoint: str = ENDPOINT, token: str | None = None) -> None:
        self.endpoint = endpoint.rstrip("/")
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HubError(f"the hub's endpoint {endpoint!r} is no http(s) URL")
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._token = token if parts.scheme == "https" or here else None

    @property
    def auth(self) -> _Bearer:
        """The auth for requests to this hub: it sends the token where there is one."""
        return _Bearer(self._token)

    def resolve(self, place: Place) -> Locked:
        """Return a file's commit, size and sha256 now; raise HubError or HubUnreachable."""
        answer = self._ask("HEAD", path_of(place))
        if answer.status_code in _NO_HEAD:
            return self._of_listing(place, place.revision)
        if not answer.ok:
            raise HubError(self._refusal(answer, place))
        commit = answer.headers.get("X-Repo-Commit", "").lower()
        if not _COMMIT.fullmatch(commit):
            raise HubError(self._no_hub(answer, place))
        sha256 = _unquoted(answer.headers.get("X-Linked-Etag", ""))
        size = answer.headers.get("X-Linked-Size", "")
        if not _SHA256.fullmatch(sha256) or (number(size) or 0) < 1:
            return self._of_listing(place, commit)
        return _locked(place, commit, size, sha256)

    def _ask(self, method: str, path: str) -> requests.Response:
        """Send a request, following redirects only within the hub (a renamed repository).

        A redirect from http to https on the same host counts as within.
        """
        import requests  # a quarter of what a run with nothing to do would import

        url = f"{self.endpoint}{path}"
        try:
            for _ in range(_HOPS):
                answer = requests.request(
                    method,
                    url,
                    auth=self.auth,
                    headers={"Accept-Encoding": "identity", "User-Agent": "bramble"},
                    allow_redirects=False,
                    stream=True,
                    timeout=TIMEOUT_S,
                )
                to = urljoin(url, answer.headers.get("Location", ""))
                reported = "X-Linked-Etag" in answer.headers
                if not answer.is_redirect or reported or not _within(url, to):
                    return answer
                url = to
        except requests.RequestException as error:
            raise HubUnreachable(f"{self.endpoint} cannot be asked: {why(error)}") from None
        raise HubError(f"{self.endpoint} redirects in a circle: {path}")

    def _listing(self, repo: str, revision: str) -> tuple[str, Mapping[str, Mapping[str, Any]]]:
        """Return a repository's commit, and its files by name, with size and sha256 of those in LFS."""
        import requests

        path = f"/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
        answer = self._ask("GET", path)
        try:
            reported = strict_json.loads(_body(answer).decode()) if answer.ok else {}
            siblings = {
                str(one["rfilename"]): dict(one.get("lfs") or {})
                for one in reported.get("siblings", ())
            }
            return str(reported.get("sha", "")).lower(), siblings
        except requests.RequestException as error:
            raise HubUnreachable(f"{self.endpoint} ended its answer: {why(error)}") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise HubError(f"{self.endpoint} gives no list of {repo}'s files: {error!r}") from None

    def _of_listing(self, place: Place, revision: str) -> Locked:
        """Return a file's commit, size and sha256 from its repository's listing."""
        commit, files = self._listing(place.repo, revision)
        commit = commit if _COMMIT.fullmatch(commit) else revision
        lfs = files.get(place.file, {})
        sha256 = str(lfs.get("sha256") or lfs.get("oid") or "").removeprefix("sha256:").lower()
        size = str(lfs.get("size", ""))
        if not (
            _COMMIT.fullmatch(commit) and _SHA256.fullmatch(sha256) and (number(size) or 0) > 0
        ):
            raise HubError(
                f"{self.endpoint} gives no commit, size and sha256 of {place.file} in {place.repo}: the "
                "file is not in LFS, or the mirror does not know it; set model.name, model.url and "
                "model.sha256 of your own instead"
            )
        return _locked(place, commit, size, sha256)

    def _no_hub(self, answer: requests.Response, place: Place) -> str:
        """Say why an answer without a commit is not a hub's."""
        to = urlsplit(urljoin(answer.url, answer.headers.get("Location", "")))
        if answer.is_redirect and not _within(answer.url, to.geturl()):
            return (
                f"{self.endpoint} sends on to {to.scheme}://{to.netloc} and does not give the commit of "
                f"{place.repo} (X-Repo-Commit): set HF_ENDPOINT to the hub itself"
            )
        return (
            f"{self.endpoint} does not give the commit of {place.repo} (X-Repo-Commit): it is no hub of "
            "models, or something in between removes its headers; for a file of a plain web server set "
            "model.name, model.url and model.sha256"
        )

    def _refusal(self, answer: requests.Response, place: Place) -> str:
        """Say what an error answer means, and what to do."""
        said, code = answer.headers.get("X-Error-Code", ""), answer.status_code
        if said == "EntryNotFound":
            return self._no_such_file(place)
        if said == "RevisionNotFound":
            return f"{place.repo} has no revision {place.revision!r}; correct it in models.yml"
        token = "the token that was given does not open it" if self._token else "no token was given"
        if said == "GatedRepo":
            return (
                f"{place.repo} is gated, and {token}: accept its terms at "
                f"{self.endpoint}/{place.repo}, and give a token with HF_TOKEN or --token-file"
            )
        if said == "RepoNotFound" or code in (401, 404):
            return (
                f"{self.endpoint} has no repository {place.repo}, or a private one ({token}); "
                "correct models.yml, or give a token with HF_TOKEN or --token-file"
            )
        if code == 429:
            return f"{self.endpoint} refuses further requests for now; try again {later(answer)}"
        where = f"for {place.repo} {place.file}{_says(answer)}"
        if code == 403:
            return (
                f"{self.endpoint} answers 403 {answer.reason} {where}; {token}: see at "
                f"{self.endpoint}/{place.repo} whether you may read it, and give a token with "
                "HF_TOKEN or --token-file"
            )
        again = "; try again later" if code >= 500 else ""
        return f"{self.endpoint} answers {code} {answer.reason} {where}{again}"

    def _no_such_file(self, place: Place) -> str:
        _, files = self._listing(place.repo, place.revision)
        names = [name for name in files if name.lower().endswith(".gguf")]
        lower = {name.lower(): name for name in names}
        near = difflib.get_close_matches(place.file.lower(), lower, n=1)
        advice = (
            f"did you mean {lower[near[0]]}?"
            if near
            else f"it has: {', '.join(names) or 'no GGUF'}"
        )
        return f"{place.repo} has no file {place.file} at {place.revision}; {advice}"


def _body(answer: requests.Response) -> bytes:
    """Return an answer's content; raise ValueError for more, or slower, than any hub's list."""
    content, until_s = bytearray(), time.monotonic() + ANSWER_S
    for chunk in answer.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > MOST_BYTES or time.monotonic() > until_s:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB, or longer than {ANSWER_S} s")
    return bytes(content)


def _locked(place: Place, commit: str, size: str, sha256: str) -> Locked:
    return Locked(
        repo=place.repo, revision=commit, file=place.file, size_bytes=int(size), sha256=sha256
    )


def _unquoted(etag: str) -> str:
    """Return an ETag without the quotes and the weakness mark that mirrors add."""
    return etag.strip().removeprefix("W/").strip('"').lower()


def _within(url: str, to: str) -> bool:
    """Return whether a redirect stays on the hub, with TLS where the request had it."""
    before, after = urlsplit(url), urlsplit(to)
    if before.scheme == "https" and after.scheme != "https":
        return False
    upgraded = before.scheme != after.scheme and before.hostname == after.hostname
    return upgraded or before.netloc == after.netloc


def later(answer: requests.Response) -> str:
    """Return when to ask again, from Retry-After where the answer has it."""
    seconds = number(answer.headers.get("Retry-After", ""))
    if seconds and 0 < seconds <= 86400:
        return f"in {seconds} s"
    return "in five minutes"


def _says(answer: requests.Response) -> str:
    """Return the hub's own error message, where it sent one."""
    said = answer.headers.get("X-Error-Message", "").strip()
    return f' ("{said[:200]}")' if said else ""


def path_of(place: Place) -> str:
    """Return the path at which a hub serves the file."""
    return f"/{place.repo}/resolve/{quote(place.revision, safe='')}/{quote(place.file)}"


def why(error: requests.RequestException) -> str:
    """Return the cause in a few words; requests wraps it several times."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    inner = getattr(error.args[0] if error.args else None, "reason", error)
    return str(inner).rpartition("object at ")[2].partition(">: ")[2] or str(inner)
