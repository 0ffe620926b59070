"""`bramble ask`: ask a node's model a question, and print its answer as it streams in."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import click

from bramble import strict_json
from bramble.sanitize import sanitize

# What reading an event may raise that is none of llama-server's.
ODD = (ValueError, LookupError, TypeError, AttributeError)


@click.command("ask")
@click.argument("question")
@click.option("--host", help="Host to ask; default: the first that serves.")
@click.option("--max-tokens", default=256, show_default=True, help="Maximum length of the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/reference/json.md).")
def ask(question: str, host: str | None, max_tokens: int, as_json: bool) -> None:
    """Ask a node's model a QUESTION, over SSH.

    \b
    bramble ask "What is 2+2?"
    bramble ask --host pi5-a "Summarize: ..."
    """
    from bramble.cli.inventory import chosen_host, loaded_inventory, refuse
    from bramble.inventory.headline import headline
    from bramble.outputs import ServingOutputs
    from bramble.registry import giving
    from bramble.ssh.client import SshError, connect

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
    click.echo(headline(inventory, [chosen.name]), err=True)
    ssh: Any = chosen.settings["ssh"]
    serving: Any = chosen.settings[role]
    try:
        with connect(chosen.name, ssh) as client:
            words = []
            for word in answer(client, serving.port, question, max_tokens):
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
    report = {"host": chosen.name, "question": question, "answer": text}
    click.echo(json.dumps(report) if as_json else "")


def answer(client: Any, port: int, question: str, max_tokens: int) -> Iterator[str]:
    """Yield the answer's pieces as llama-server streams them (server-sent events)."""
    from bramble.ssh.client import http_connection

    connection = http_connection(client, port)
    body = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
    }
    headers = {"Content-Type": "application/json"}
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
