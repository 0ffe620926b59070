"""`bramble model pull`: fetch models to this computer, from which deploys copy them to hosts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bramble import computer
from bramble.cli import hub
from bramble.cli.inventory import refuse, tell_folder

if TYPE_CHECKING:
    from bramble.models.lock import Locked


@click.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@hub.asks
def pull(names: tuple[str, ...], endpoint: str | None, token_file: Path | None) -> None:
    """Fetch locked models NAMEs (MODEL:QUANT) to this computer, resumed and verified.

    One node of a deploy reads the model from here, and the nodes copy it from each other: for gated
    models, as no node gets a token, and for nodes that do not reach the hub. The files lie in
    ~/.cache/bramble/models (BRAMBLE_MODELS); remove there what is not needed any more.

    \b
    HF_TOKEN_PATH=~/.cache/huggingface/token bramble model pull my-gated-model:q4_k_m
    """
    from bramble.models import cache
    from bramble.models.hub import ENDPOINT

    entries = {name: _locked(name) for name in names}
    tell_folder()
    token = hub.token_of(token_file)
    for name, entry in entries.items():
        if cache.find(entry.sha256):
            click.echo(f"{name}: {cache.place(entry.sha256)} is there already")
            continue
        click.echo(f"{name}: {entry.size_bytes / 1e9:.2f} GB", err=True)
        cache.folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        code = _fetch(entry, cache.place(entry.sha256), entry.url(endpoint or ENDPOINT), token)
        if code:
            raise click.exceptions.Exit(1)
        click.echo(f"{name}: {cache.place(entry.sha256)}")


def _locked(name: str) -> Locked:
    """Return a name's entry of the lock, or end the command with why there is none."""
    from bramble.documents.problems import InventoryError, unknown
    from bramble.models import lock
    from bramble.project import folder

    try:
        locked = lock.load(folder())
    except InventoryError as error:
        refuse(str(error))
    if name not in locked:
        refuse(
            f"{name} is not in {lock.FILE}: {unknown(name, locked)}; `bramble model lock` pins it"
        )
    return locked[name]


def _fetch(entry: Locked, path: Path, url: str, token: str | None) -> int:
    """Run the nodes' own program here; the token is in its standard input, which no other user sees."""
    from bramble import remote
    from bramble.remote import follow

    parts = urlsplit(url)
    is_private = parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")
    source = {"url": url, "name": url, "direct": False, "token": token if is_private else None}
    query = {
        "path": str(path),
        "sha256": entry.sha256,
        "size_bytes": entry.size_bytes,
        "upload": None,
        "sources": [source],
    }
    progress = follow.Progress()
    with subprocess.Popen(
        [sys.executable, "-Iu", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # Ctrl-C must not reach the program
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(remote.program("fetch_model", query))
        process.stdin.close()
        try:
            for line in process.stdout:
                reported = follow.condensed(line, progress)
                if reported:
                    click.echo(reported, err=True)
        except KeyboardInterrupt:
            process.terminate()
            click.echo("Stopped. The same command continues from there.", err=True)
            return 1
        code = process.wait()
    if code < 0:
        click.echo(
            f"The fetch {computer.ended(code)}. The same command continues from there.",
            err=True,
        )
    return code
