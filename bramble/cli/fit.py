"""`bramble fit`: whether a model fits a board, and how fast it can be there, before it is fetched."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import completing
from bramble.cli.inventory import refuse, tell_folder
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, number
from bramble.fit.verdict import BOARDS, Room
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.fit.memory import Request
    from bramble.fit.named import Found
    from bramble.fit.speed import Bandwidth, Claim, Speed
    from bramble.fit.together import Models
    from bramble.fit.verdict import Fit
    from bramble.models.geometry import Geometry


@dataclass(frozen=True)
class _There:
    """Where the model is to be served: the board's room and kind, and the host's settings."""

    room: Room
    kind: str
    request: Request | None = None
    measured: Bandwidth | None = None


@click.command("fit")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--board", type=click.Choice([*BOARDS]), help="The board, by its memory.")
@click.option(
    "--host",
    metavar="HOST",
    shell_complete=completing.hosts,
    help="Instead of a board: a host of the inventory, inspected over SSH, with its settings of "
    "serving.",
)
@click.option(
    "--memory-mib",
    type=click.IntRange(256, 1 << 20),
    metavar="N",
    help="Instead of a board: MemTotal of /proc/meminfo on the node, in MiB.",
)
@click.option(
    "--reserve-mib",
    type=click.IntRange(0, 1 << 20),
    metavar="N",
    help="Memory reserved for other programs on the node, such as an agent; default: the host's "
    "setting, or 0.",
)
@click.option(
    "--ctx",
    type=click.IntRange(128, 1 << 20),
    metavar="N",
    help="Context in tokens; default: the host's setting, or 2048, or less where the model was "
    "trained for less.",
)
@click.option(
    "--bandwidth",
    type=click.FloatRange(0.1, 1000),
    callback=number,
    metavar="GB_S",
    help="Memory's read bandwidth; default: what `bramble bench` measured on the host, else the "
    "published figure.",
)
@click.option(
    "--claim",
    type=click.FloatRange(0.001, 1e6),
    callback=number,
    metavar="TOKENS_PER_S",
    help="A claimed speed of generation, to judge.",
)
@ASK_SUDO_PASSWORD
@AS_JSON
def fit(
    model: str | None,
    board: str | None,
    host: str | None,
    memory_mib: int | None,
    reserve_mib: int | None,
    ctx: int | None,
    bandwidth: float | None,
    claim: float | None,
    as_json: bool,
) -> None:
    """Calculate whether MODEL fits a board, and how fast it can be there, before it is fetched.

    MODEL is MODEL:QUANT of models.yml or models.lock, or a part of it that no other has; a GGUF file, or
    its http(s) address, of which at most the first 16 MiB are read. Of most models of models.yml
    the dimensions come with bramble, for where no hub is reached. Without MODEL those that --host is to
    serve are judged, as many together as serving.models_at_once says.

    The answer is yes, tight or no, with what llama-server takes, the largest context that fits, the
    flags that this assumes, and the most tokens/s that the memory allows; or "cannot tell", where only
    an upper bound is known. zram and swap are not counted. A claimed speed is called impossible,
    unlikely, plausible or far below what is usual.

    Exit code 0 for yes and tight, 1 for no or an impossible claim, 2 for wrong usage or a model that
    cannot be read, 3 for "cannot tell".

    \b
    bramble fit qwen2.5-3b-instruct:q4_k_m --board pi4-4g
    bramble fit qwen2.5-7b --board pi5-8g
    bramble fit model.gguf --host pi5-a --ctx 8192
    bramble fit --host pi5-a
    bramble fit https://example.org/model.gguf --board pi4-8g --claim 3.8
    """
    from bramble.fit import named, speed, verdict
    from bramble.fit.together import Models, fit_together

    if sum(value is not None for value in (board, host, memory_mib)) != 1:
        refuse(f"Give --board ({', '.join(BOARDS)}), --host or --memory-mib, one of them.")
    read = _dimensions(model) if model else None
    models = Models({model: read.geometry}, 1) if model and read else _own(host, claim)
    found = next(iter(models.models.values()))
    for note in read.notes if read else ():
        click.echo(sanitize(note), err=True)
    if model and named.is_name(model) and not host:
        tell_folder()
    there = (
        _host(host, own=model is None)
        if host
        else _There(BOARDS[board] if board else Room(memory_mib or 0), "")
    )
    request = _request(found, there, ctx)
    room = there.room if reserve_mib is None else replace(there.room, others_mib=reserve_mib)
    one = len(models.models) == 1
    answer = verdict.fit(found, room, request) if one else fit_together(models, room, request)
    known = _bandwidth(board or there.kind, bandwidth, there.measured)
    fast = speed.speed(found, known, request) if known and one else None
    if claim is not None and fast is None:
        refuse("Nothing is known of this board's memory: give --bandwidth to judge a claim.")
    # A model that surely does not fit reads its weights from the disk.
    judged = speed.judge(claim, fast, answer.verdict != "no") if claim and fast else None
    if as_json:
        click.echo(json.dumps(_as_dict(answer, fast, judged), indent=2))
    else:
        click.echo(_text(answer, fast, judged))
    wrong = answer.verdict == "no" or (judged is not None and judged.verdict == "impossible")
    raise click.exceptions.Exit(1 if wrong else 3 if answer.verdict == "unknown" else 0)


def _own(host: str | None, claim: float | None) -> Models:
    """Return the dimensions of the models that a host is to serve, or end the command."""
    from bramble.cli import own_models
    from bramble.cli.inventory import chosen_host, loaded_inventory

    if host is None or claim is not None:
        refuse(
            "Name a MODEL; without one, --host alone judges the models that the host is to serve."
        )
    return own_models.measured(chosen_host(loaded_inventory(), host))


def _dimensions(model: str) -> Found:
    """Return the model's dimensions, or end the command with why they cannot be read."""
    from bramble.documents.problems import InventoryError
    from bramble.fit import named
    from bramble.models import source
    from bramble.models.gguf import GgufError
    from bramble.models.hub import ENDPOINT, Hub, HubError
    from bramble.project import folder
    from bramble.sanitize import sentence

    try:
        hub = Hub(os.environ.get("HF_ENDPOINT") or ENDPOINT, os.environ.get("HF_TOKEN"))
        return named.dimensions(model, folder(), hub)
    except InventoryError as error:
        refuse(str(error))
    except (GgufError, source.SourceError, HubError) as error:
        refuse(sentence(str(error)))


def _host(name: str, *, own: bool) -> _There:
    """Return a host of the inventory as one look over SSH shows it, without changing it.

    With its `own` models, what helps them is counted too.
    """
    from bramble.cli import driver, own_models
    from bramble.cli.inventory import chosen_host, loaded_inventory

    host = chosen_host(loaded_inventory(), name)
    outcome = driver.run("plan", [name], "-y", show=driver.be_quiet)
    plans = outcome.of("plan")
    if not plans:
        why = outcome.failed.get(name) or outcome.cut_off or f"see {outcome.log}"
        raise click.ClickException(f"{name} could not be looked at: {why}")
    board, serving = plans[0]["board"], host.settings.get("serving")
    others = getattr(serving, "reserve_mib", 0)
    room = Room(board["memory_mib"], board["cores"], board["repacks"], others)
    request: Request | None = own_models.request(host) if own else getattr(serving, "request", None)
    return _There(room, board["kind"], request, _kept(name, board["kind"], board["memory_mib"]))


def _kept(name: str, kind: str, memory_mib: int) -> Bandwidth | None:
    """Return the bandwidth that `bramble bench` measured last on this host, if it is the same board."""
    from bramble.bench import result, verdict
    from bramble.project import folder

    try:
        return verdict.latest_bandwidth(result.kept(folder(), name), kind, memory_mib)
    except ValueError as error:
        refuse(str(error))


def _request(model: Geometry, there: _There, ctx: int | None) -> Request:
    """Return how the model is served: by the host's settings, or by default."""
    from bramble.fit.verdict import request_for

    if there.request is None:
        return request_for(model, ctx)
    return replace(there.request, ctx=ctx) if ctx else there.request


def _bandwidth(kind: str, given: float | None, kept: Bandwidth | None) -> Bandwidth | None:
    """Return the memory's bandwidth: given, else measured, else published for its kind."""
    from bramble.fit import speed

    if given is not None:
        return speed.measured(given, kind=kind)
    return kept or speed.PUBLISHED.get(speed.family(kind))


def _as_dict(answer: Fit, fast: Speed | None, judged: Claim | None) -> dict[str, Any]:
    return {
        **asdict(answer),
        "speed": asdict(fast) if fast else None,
        "claim": asdict(judged) if judged else None,
    }


def _text(answer: Fit, fast: Speed | None, judged: Claim | None) -> str:
    most = "at most " if answer.doubt else ""
    rows = {
        "weights": answer.weights_mib,
        "keys and values": answer.kv_mib,
        "compute buffer": answer.compute_mib,
        "copies for later turns": answer.cache_mib,
        f"{most}in all": answer.total_mib,
        "available": answer.available_mib,
        "reserved for the rest": answer.reserve_mib,
    }
    lines = [answer.sentence, *(f"  {name:22} {mib:7} MiB" for name, mib in rows.items())]
    if answer.flags:
        lines.append(f"  {' '.join(answer.flags)}")
    lines += _speed_lines(fast, answer.verdict in ("yes", "tight")) if fast else []
    return "\n".join([*lines, *([judged.sentence] if judged else [])])


def _speed_lines(fast: Speed, fits: bool) -> list[str]:
    if fast.most is None or fast.usual is None:
        return ["Speed: so small a model may lie in the processor's caches, and no bound is known."]
    begin = "Speed" if fits else "Speed, if it fits"
    lines = [
        f"{begin}: at most {fast.most:g} tokens/s, {fast.most_full:g} with a full context: each "
        f"token reads {fast.bytes_per_token / 1e9:.2f} GB, and the memory gives "
        f"{fast.bound_gb_s:g} GB/s ({fast.bound_source}).",
        f"  usual: {fast.usual[0]:g} to {fast.usual[1]:g} tokens/s ({fast.usual_source})",
    ]
    if fast.prefill:
        low, high = fast.prefill
        lines.append(f"  of a prompt: {low:g} to {high:g} tokens/s ({fast.prefill_source})")
    return lines
