"""What the service and its model are right now, as systemd, the kernel and the server itself say."""

import contextlib
import glob
import hashlib
import json
import os
import re
import subprocess
from urllib.parse import quote

from bramble.remote import ask, exposition, local_http

TIMEOUT_S = 10
NONSENSE = (OSError, ValueError, LookupError, TypeError, AttributeError)
# llama-server's own figures, by the names under which they are passed on.
PASSED_ON = {
    "llamacpp:prompt_tokens_total": "bramble_server_prompt_tokens_total",
    "llamacpp:prompt_seconds_total": "bramble_server_prompt_seconds_total",
    "llamacpp:tokens_predicted_total": "bramble_server_predicted_tokens_total",
    "llamacpp:tokens_predicted_seconds_total": "bramble_server_predicted_seconds_total",
    "llamacpp:requests_processing": "bramble_server_requests_processing",
    "llamacpp:requests_deferred": "bramble_server_requests_deferred",
}
BUSY = ("llamacpp:requests_processing", "llamacpp:requests_deferred")
STATUS = re.compile(r"^(Vm\w+):\s+(\d+) kB$", re.MULTILINE)


def unit(name):
    """Return a unit's state, restarts and process; nothing where systemd does not say."""
    words = ["systemctl", "show", "-p", "ActiveState,NRestarts,MainPID", name]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines())


def memory_bytes(pid, proc="/proc"):
    """Return the memory of a process and its children by the names of /proc/PID/status.

    A router's models are in its children. Nothing is returned where the process is gone.
    """
    total = memory_of(pid, proc)
    for child in children(pid, proc) if total else ():
        for name, size in memory_of(child, proc).items():
            total[name] = total.get(name, 0) + size
    return total


def memory_of(pid, proc):
    """Return the memory of one process in the same way."""
    try:
        with open(f"{proc}/{int(pid)}/status", encoding="utf-8") as file:
            return {name: int(kib) * 1024 for name, kib in STATUS.findall(file.read())}
    except (OSError, ValueError):
        return {}


def children(pid, proc):
    """Return the processes that this one started."""
    found, wanted = [], f"PPid:\t{int(pid)}\n"
    for path in glob.glob(f"{proc}/[0-9]*/status"):
        # A process may end at any moment.
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
            if wanted in file.read():
                found.append(os.path.basename(os.path.dirname(path)))
    return found


def got(url):
    """Return the text that the server answers; None where it does not answer 200."""
    try:
        status, body = local_http.exchange(url, TIMEOUT_S)
    except (OSError, ValueError):
        return None
    return body.decode("utf-8", "replace") if status == 200 else None


def props(url):
    """Return what the server tells of itself; nothing where it does not."""
    try:
        said = json.loads(got(f"{url}/props") or "null")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def build(said):
    """Return the build in what the server told; None where it is none."""
    found = said.get("build_info")
    return found if isinstance(found, str) else None


def figures(url, name=None):
    """Return llama-server's own metrics by their names; nothing where it tells none.

    Those of one of a router's models are by its name; a model that is not loaded is not loaded for it.
    """
    which = "" if name is None else f"?model={quote(name, safe='')}&autoload=false"
    return exposition.samples(got(f"{url}/metrics{which}") or "")


def model(path):
    """Return the sha256 that the model was verified with, None where its file is not as it was then."""
    try:
        with open(f"{path}.json", encoding="utf-8") as file:
            stamp = json.load(file)
        status = os.stat(path)
        same = (stamp["size"], stamp["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        return stamp["sha256"] if same else None
    except NONSENSE:
        return None


def states(url):
    """Return the state of each model of a router ("loaded", "sleeping", "failed" and so on) by its name.

    That is asked of the router itself, so no model is loaded for it; none where it does not tell.
    """
    try:
        listed = json.loads(got(f"{url}/models") or "null")["data"]
        return {
            one["id"]: "failed" if one["status"].get("failed") else str(one["status"]["value"])
            for one in listed
        }
    except NONSENSE:
        return {}


def awake_of(wanted, said, models):
    """Return the names of the models that are loaded and do not sleep.

    Whoever watches loads none and wakes none: their memory was given up.
    """
    if wanted["further"]:
        return [name for name, state in models.items() if state == "loaded"]
    return [] if said.get("is_sleeping") else [wanted["model_name"]]


def known_answer(server, now_s):
    """Ask the question, and return what came: right or not, how fast, when."""
    query = {key: server[key] for key in ("url", "question", "max_tokens")}
    query["name"] = server["model_name"]
    try:
        reply = ask.ask({**query, "timeout_s": server["deadline_s"]})
        answer, speed = reply["answer"].strip(), float(reply["tokens_per_second"] or 0)
    except NONSENSE as error:
        return {"at_s": now_s, "right": False, "tokens_per_second": None, "said": _words(error)}
    expect = server["expect"]
    right = bool(answer) and (expect is None or expect in answer)
    return {"at_s": now_s, "right": right, "tokens_per_second": speed, "said": answer[:200]}


def _words(error):
    return f"{type(error).__name__}: {error}"[:200]


def differing(files, perhaps):
    """Return which files, with the sha256 of each, are not as planned, and which cannot be read.

    Those that are `perhaps` on this node need not be there.
    """
    wrong, hidden = [], []
    for path, sha256 in {**files, **perhaps}.items():
        try:
            with open(path, "rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            same = path in perhaps
        except OSError:
            hidden.append(path)
            continue
        if not same:
            wrong.append(path)
    return wrong, hidden
