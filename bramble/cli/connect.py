"""`bramble connect`: what to paste into a client so that it uses a node's model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import own_models
from bramble.cli.inventory import chosen_host, loaded_inventory, refuse, tell_folder
from bramble.cli.options import AS_JSON, HOST

if TYPE_CHECKING:
    from bramble.inventory.load import Host

KEY = "BRAMBLE_API_KEY"
"""The variable of the environment in which examples look for a key."""

_SSH = """\
Nothing but {host} itself reaches this model (serving.expose is local). Open a way through SSH, and leave
it open:

    {tunnel}
"""
_KEY = """\
Key:       the one that `bramble key create NAME` showed; here it is in the variable {key}
"""
_ALSO = """\
           also {also}
"""
_TRUST = """\
Authority: {ca}, which the client must trust
"""
_TEXT = """\
Base URL:  {base}
Model:     {model}
{also}{key}{trust}
curl:

    curl {curl}{base}/chat/completions \\
      -H "Content-Type: application/json" \\
      -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "What is 2+2?"}}]}}'

Python (pip install openai):

    {env}from openai import OpenAI
    client = OpenAI(base_url="{base}", api_key={python_key})
    print(client.chat.completions.create(
        model="{model}", messages=[{{"role": "user", "content": "What is 2+2?"}}]
    ).choices[0].message.content)

Open WebUI:      Settings > Connections > OpenAI API: URL {base}{webui}
Home Assistant:  an integration for OpenAI-compatible servers (such as Extended OpenAI Conversation, from
                 HACS): base URL {base}, model {model}{webui}
"""


@click.command("connect")
@HOST
@AS_JSON
def connect(host: str, as_json: bool) -> None:
    """Print how clients use HOST's models: the address, their names, where the key goes.

    Of a host with a gateway these are the models of its nodes.

    \b
    bramble connect pi5-a
    """
    from bramble.documents.problems import shown

    inventory = loaded_inventory()
    chosen = chosen_host(inventory, host)
    serving, names = _offer(chosen)
    ssh: Any = chosen.settings["ssh"]
    base = f"{serving.url(ssh.address or host)}/v1"
    ca = inventory.folder / "tls" / "ca.crt"
    trusts = serving.expose == "tls" and ca.is_file()
    found = {
        "host": host,
        "expose": serving.expose,
        "base_url": base,
        "model": names[0],
        "models": names,
        "needs_key": serving.expose != "local",
        "authority": str(ca) if trusts else None,
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    tell_folder()
    if serving.expose == "local":
        click.echo(_SSH.format(host=host, tunnel=_tunnel(serving, ssh)))
    click.echo(_text(found, shown(ca) if trusts else None), nl=False)


def _offer(host: Host) -> tuple[Any, list[str]]:
    """Return the settings of what clients are to use, and the names of its models."""
    from bramble.outputs import GatewaySettings, ServingOutputs
    from bramble.registry import giving

    for part in host.settings.values():
        if isinstance(part, GatewaySettings):
            return part, [*part.names(host.prepared)]
    role = giving(ServingOutputs).name
    if role not in host.settings:
        refuse(f"{host.name} does not get the role {role}, so there is no model to use")
    return host.settings[role], own_models.names(host)


def _tunnel(serving: Any, ssh: Any) -> str:
    """Return ssh's command line for a port of this computer that leads to the server."""
    words = ["ssh", "-N", f"-L {serving.port}:127.0.0.1:{serving.port}"]
    words += [f"-p {ssh.port}"] if ssh.port else []
    words += [f"-i {ssh.key}"] if ssh.key else []
    return " ".join([*words, f"{ssh.user}@{ssh.address}" if ssh.user else ssh.address])


def _text(found: Any, ca: str | None) -> str:
    """Return the examples for people."""
    key = found["needs_key"]
    curl = f"--cacert {ca} " if ca else ""
    curl += f'-H "Authorization: Bearer ${KEY}" ' if key else ""
    env = f"import os\n    os.environ.setdefault('SSL_CERT_FILE', '{ca}')\n    " if ca else ""
    env = env or ("import os\n    " if key else "")
    return _TEXT.format(
        base=found["base_url"],
        model=found["model"],
        also=_ALSO.format(also=", ".join(found["models"][1:])) if found["models"][1:] else "",
        key=_KEY.format(key=KEY) if key else "",
        trust=_TRUST.format(ca=ca) if ca else "",
        curl=curl,
        env=env,
        python_key=f'os.environ["{KEY}"]' if key else '"none"',
        webui=", and the key" if key else "",
    )
