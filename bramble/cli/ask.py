"""`bramble ask`: ask a node's model a question, and print its answer as it streams in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from bramble import strict_json
from bramble.cli import completing
from bramble.cli.connect import KEY
from bramble.cli.inventory import refuse
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    import http.client

    from bramble.inventory.load import Host

    Way = tuple[http.client.HTTPConnection, Mapping[str, str]]

# What reading an event may raise that is none of llama-server's.
ODD = (ValueError, LookupError, TypeError, AttributeError)
# The longest that an edge lets a request wait for its turn and its first word.
_SILENCE_S = 3600


@click.command("ask")
@click.argument("question")
@click.option(
    "--host",
    shell_complete=completing.hosts,
    help="Host to ask; default: the first that serves.",
)
@click.option("--model", metavar="NAME", help="Model to ask; default: the host's first.")
@click.option("--max-tokens", default=256, show_default=True, help="Maximum length of the answer.")
@click.option(
    "--direct",
    is_flag=True,
    help=f"Ask as a client of the network does, with the key in ${KEY}, and not over SSH.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/reference/json.md).")
def ask(
    question: str,
    host: str | None,
    model: str | None,
    max_tokens: int,
    direct: bool,
    as_json: bool,
) -> None:
    """Ask a node's model a QUESTION, over SSH.

    \b
    bramble ask "What is 2+2?"
    bramble ask --host pi5-a "Summarize: ..."
    bramble ask --host pi5-a --model qwen2.5-0.5b-instruct-q4_k_m "What is 2+2?"
    bramble ask --host pi5-a --direct "What is 2+2?"    # by serving.expose: the way that clients come
    """
    import http.client

    from bramble.cli import own_models
    from bramble.cli.inventory import chosen_host, loaded_inventory
    from bramble.documents.problems import unknown
    from bramble.inventory.headline import headline
    from bramble.outputs import ServingOutputs
    from bramble.registry import giving
    from bramble.ssh.client import SshError

    inventory, role = loaded_inventory(), giving(ServingOutputs).name
    tasks = {
        name: getattr(entry.settings[role], "task", "chat")
        for name, entry in inventory.hosts.items()
        if role in entry.settings
    }
    serve = [name for name, task in tasks.items() if task == "chat"]
    if host in tasks and host not in serve:
        refuse(f"{host} is for {tasks[host]} and answers no questions")
    if not serve:
        refuse(
            f"no host of the inventory gets the role {role} for chat, so there is no model to ask"
        )
    chosen = chosen_host(inventory, host or serve[0])
    if chosen.name not in serve:
        refuse(f"{chosen.name} does not get the role {role}; known: {', '.join(serve)}")
    names = own_models.names(chosen)
    if model is not None and model not in names:
        refuse(f"{chosen.name} has no model {model}; {unknown(model, names)}")
    name = model or names[0]
    click.echo(headline(inventory, [chosen.name]), err=True)
    serving: Any = chosen.settings[role]
    way = _direct(chosen, serving, inventory.folder) if direct else _over_ssh(chosen, serving)
    try:
        with way as server:
            words = []
            for word in answer(server, name, question, max_tokens):
                words.append(word)
                click.echo(sanitize(word, "\n\t") if not as_json else "", nl=False)
    except SshError as error:
        click.echo(sanitize(str(error)), err=True)
        raise click.exceptions.Exit(1) from None
    except (OSError, EOFError, http.client.HTTPException, *ODD) as error:
        said = str(error) or "the connection ended"
        click.echo(sanitize(f"{chosen.name}: no answer: {said}"), err=True)
        raise click.exceptions.Exit(1) from None
    text = "".join(words)
    report = {"host": chosen.name, "model": name, "question": question, "answer": text}
    click.echo(json.dumps(report) if as_json else "")


@contextmanager
def _over_ssh(host: Host, serving: Any) -> Iterator[Way]:
    """Reach the server on the node's own loopback."""
    from bramble.ssh import client as ssh

    section: Any = host.settings["ssh"]
    with ssh.connect(host.name, section) as client:
        yield ssh.http_connection(client, serving.port), {}


@contextmanager
def _direct(host: Host, serving: Any, folder: Path) -> Iterator[Way]:
    """Reach what serving.expose offers, with a client's key, or end the command."""
    import http.client
    import ssl

    from bramble.access.certificates import AUTHORITY, FOLDER

    if serving.expose == "local":
        refuse(f"{host.name}: serving.expose is local, so SSH is the only way: leave --direct out")
    if not (key := os.environ.get(KEY)):
        refuse(f"--direct needs the key of a client in ${KEY}: `bramble key create NAME` makes one")
    section: Any = host.settings["ssh"]
    url = urlsplit(serving.url(section.address or host.name))
    place, ca = (url.hostname or "", url.port), folder / FOLDER / AUTHORITY
    connection = http.client.HTTPConnection(*place, timeout=_SILENCE_S)
    if url.scheme == "https":
        trusted = ssl.create_default_context(cafile=ca if ca.is_file() else None)
        connection = http.client.HTTPSConnection(*place, timeout=_SILENCE_S, context=trusted)
    try:
        yield connection, {"Authorization": f"Bearer {key}"}
    finally:
        connection.close()


def answer(way: Way, model: str, question: str, max_tokens: int) -> Iterator[str]:
    """Yield the answer's pieces as llama-server streams them (server-sent events)."""
    connection, headers = way
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
    }
    headers = {"Content-Type": "application/json", **headers}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise ValueError(f"HTTP {response.status}: {response.read(500).decode(errors='replace')}")
    for line in response:
        data = line.decode().strip().removeprefix("data: ")
        if data == "[DONE]":
            return
        if data.startswith("{"):
            event = strict_json.loads(data)
            if "error" in event:
                raise ValueError(event["error"].get("message", data))
            choices = event.get("choices") or [{}]
            yield choices[0].get("delta", {}).get("content") or ""
    raise ValueError("the answer ended early")
