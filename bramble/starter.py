"""A first project and inventory for real Pis, where every setting is a comment with its help."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from bramble.inventory.choice import Sections
from bramble.inventory.schema import fleet_schema, settings_schema
from bramble.models import catalogue as models
from bramble.project import ENTRY, INVENTORY, SHIPPED
from bramble.settings import Section, SshSettings
from bramble.starter_gateway import Gateway

_FLEET = """\
# yaml-language-server: $schema=fleet.schema.json
#
# The fleet. A setting may be given in four places; the later wins:
#   the built-in default, `settings:` below, groups/NAME.yml, and the host itself
#   (below, or in hosts/NAME.yml). `bramble config HOST` shows who set what.
# Mappings are merged, lists are replaced whole, null is "back to the default".

hosts:
{hosts}
settings:
  ssh:
{ssh}

# Everything else that can be set, with its default. Take away the `# ` of what you change, and
# of the names above it.

{settings}"""

_NO_HOSTS = """\
# One entry for each Pi: its name, and how to reach it. Take away the `# `.
  # pi5-a:
  #   groups: [pi5]
  #   ssh:
  #     address: 192.168.1.41
  # pi4-b:
  #   groups: [pi4]
  #   ssh:
  #     address: 192.168.1.42
"""

_GROUP = """\
# yaml-language-server: $schema=../settings.schema.json
#
# Settings of the hosts that list `{name}` under `groups`; named as under `settings:` in fleet.yml.
"""

_HOSTS_README = """\
NAME.yml here holds settings of the host NAME, when its entry in fleet.yml becomes too long.
Both are the same layer: a value may be in one of them only. The names are those under
`settings:` in fleet.yml; what belongs to one host (a serial number, an SSD) is at home here.
"""

_README = """\
# Our llama.cpp nodes

Made by `bramble init`; yours to change. Install bramble with pyinfra's command beside its own:
`pipx install --include-deps bramble`, or `uv tool install --with-executables-from pyinfra bramble`.

1. Name your Pis in `inventory/fleet.yml` (`bramble config HOST` shows what holds for one), and
   choose a model: `bramble model list`, `model.use` in `fleet.yml`, then `bramble model lock`.
2. `bramble trust HOST` lets a Pi's SSH key in.
3. `bramble plan HOST` shows what would land there, `bramble up` brings it there and checks it,
   `bramble verify` checks alone. With pyinfra alone:

       pyinfra inventory.py deploys/node.py --limit HOST

- `inventory/`: the fleet, its models and whom it trusts; without secrets, so keep it in git.
- `deploys/`: what `bramble` and pyinfra run; put operations of your own beside bramble's. Remove a
  file to have the one that comes with bramble again.
- `reports/`: a report and a log of each run; safe to remove.

Commands find this project from any folder in it; BRAMBLE_INVENTORY=DIR names another inventory.
"""

_IGNORED = """\
reports/
pyinfra-debug.log
__pycache__/
.venv/
# Private keys of certificates (bramble tls issue).
inventory/tls/*.key
inventory/tls/*.pem
"""

LEFT_ALONE = ("README.md", ".gitignore")
"""What a folder may have before it becomes a project."""

_BOARD = re.compile(r"pi[45](?!\d)")
"""How the name of a host begins that says which board it is, and so which of the groups is its own."""
_MODEL = re.compile(r"Raspberry Pi (?:Compute Module )?([45])(?:00)?\b")
_DEMO = "models/bramble-demo-q8_0.gguf"


def project() -> dict[str, str | bytes]:
    """Return the files of a project around its inventory, by their paths in it."""
    deploys = sorted((SHIPPED / "deploys").glob("*.py"))
    return {
        "README.md": _README,
        ".gitignore": _IGNORED,
        ENTRY: (SHIPPED / ENTRY).read_text(encoding="utf-8"),
        **{f"deploys/{file.name}": file.read_text(encoding="utf-8") for file in deploys},
    }


def example(sections: Sections, own: Mapping[str, str]) -> dict[str, str | bytes]:
    """Return the inventory of virtual Pis and their demo model, by their paths in a project.

    Files of `own` take the place of those that come with bramble.
    """
    names = ("fleet.yml", "groups/virtual.yml", "known_hosts", models.FILE)
    files = {name: (SHIPPED / INVENTORY / name).read_text(encoding="utf-8") for name in names}
    made = inside({**files, **schemas(sections), **own})
    return {**made, _DEMO: (SHIPPED / _DEMO).read_bytes()}


def inside(files: Mapping[str, str]) -> dict[str, str | bytes]:
    """Return an inventory's files by their paths in a project."""
    return {f"{INVENTORY}/{name}": text for name, text in files.items()}


def starter(
    sections: Sections,
    hosts: Mapping[str, Mapping[str, str | int]],
    user: str | None,
    key: str | None,
    gateway: Gateway | None = None,
) -> dict[str, str]:
    """Return the files of a new inventory by their paths in it."""
    fleet = _FLEET.format(
        hosts="".join(_host(*pair, gateway) for pair in hosts.items()) or _NO_HOSTS,
        ssh=_ssh(user, key),
        settings="\n".join(_commented(_sections(sections), 2)).rstrip() + "\n",
    )
    return {
        "fleet.yml": fleet,
        "groups/pi4.yml": _GROUP.format(name="pi4"),
        "groups/pi5.yml": _GROUP.format(name="pi5"),
        **(gateway.group_file() if gateway else {}),
        "hosts/README.md": _HOSTS_README,
        "known_hosts": "",
        models.FILE: models.shipped().read_text(encoding="utf-8"),
        **schemas(sections),
    }


def needed(sections: Sections) -> list[str]:
    """List the settings of every host that have no default."""
    return [
        f"{section}.{name}"
        for section, model in sections.items()
        if not model.on_request
        for name, field in model.model_fields.items()
        if field.is_required() or name in model.without_default
    ]


def schemas(sections: Sections) -> dict[str, str]:
    """Return the schema files that the first line of each YAML file points to."""
    return {
        "fleet.schema.json": json.dumps(fleet_schema(sections), indent=2) + "\n",
        "settings.schema.json": json.dumps(settings_schema(sections), indent=2) + "\n",
    }


def write(folder: Path, files: Mapping[str, str | bytes]) -> list[str]:
    """Write files below `folder` and return the names of those that were there and stay as they are.

    Raise FileExistsError before the first is written when one is there with another text, unless it is
    one of LEFT_ALONE.
    """
    made = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    there = {name for name in made if (folder / name).exists()}
    differing = [name for name in made if name in there and not _is(folder / name, made[name])]
    if wrong := [name for name in differing if name not in LEFT_ALONE]:
        raise FileExistsError(str(folder / wrong[0]))
    for name in made.keys() - there:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(made[name])
    return differing


def _is(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content


def board_of(name: str) -> str:
    """Return the group of the board that a host's name begins with; empty for another name."""
    found = _BOARD.match(name)
    return found[0] if found else ""


def board_in(model: str) -> str:
    """Return the group of the board that names itself so; empty for another one."""
    found = _MODEL.match(model)
    return f"pi{found[1]}" if found else ""


def _host(name: str, ssh: Mapping[str, str | int], gateway: Gateway | None) -> str:
    lines = "".join(f"      {key}: {json.dumps(value)}\n" for key, value in ssh.items())
    # Nothing has looked at the host yet, so its name decides.
    several = [*filter(None, [board_of(name)]), *(gateway.groups_of(name) if gateway else ())]
    groups = f"    groups: [{', '.join(several)}]\n" if several else ""
    own = gateway.settings_of(name) if gateway else ""
    return f"  {name}:\n{groups}    ssh:\n{lines}{own}"


def _ssh(user: str | None, key: str | None) -> str:
    given = {name: value for name, value in (("user", user), ("key", key)) if value}
    lines = [f"    {name}: {json.dumps(value)}" for name, value in given.items()]
    # An address is a host's own.
    rest = _options(SshSettings, 0, without=("address", *given))
    return "\n".join([*lines, *_commented(rest, 4)])


def _sections(sections: Sections) -> Iterator[str]:
    for name, model in sections.items():
        if model is not SshSettings:
            yield from _about(model.__doc__ or "", 0)
            yield f"{name}:"
            yield from _options(model, 2)
            yield ""


def _options(model: type[Section], indent: int, without: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name in without:
            continue
        yield from _about(_help(field), indent)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield f"{' ' * indent}{name}:"
            yield from _options(inner, indent + 2)
        else:
            yield f"{' ' * indent}{name}: {json.dumps(_shown(field), ensure_ascii=False)}"


def _help(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    example = field.examples[0] if field.examples else None
    needed = "Needed." if field.is_required() else ""
    parts = [needed, field.description or "", f"Unit: {unit}." if unit else ""]
    if example is not None and example != _shown(field):
        parts.append(f"For example {json.dumps(example, ensure_ascii=False)}.")
    return " ".join(filter(None, parts))


def _shown(field: FieldInfo) -> Any:
    """Return the default, or an example of what has none."""
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return field.examples[0] if field.examples else None
    return to_jsonable_python(default)


def _about(text: str, indent: int) -> Iterator[str]:
    for line in wrap(" ".join(text.split()), 92 - indent):
        yield f"{' ' * indent}# {line}"


def _commented(lines: Iterator[str], indent: int) -> Iterator[str]:
    for line in lines:
        yield f"{' ' * indent}# {line}".rstrip() if line else ""
