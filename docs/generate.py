"""Write the generated pages of docs/reference/ from the settings, checks, commands and plans.

`make docs` runs this; tests/unit/test_docs.py fails when a page is not what this makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from bramble import registry
from bramble.board import Board
from bramble.checks import checks_of
from bramble.cli import main as command
from bramble.inventory.wording import allowed, schema_at
from bramble.plan import NodePlan, look_at, make
from bramble.settings import Section, Ssh
from bramble.snapshot import FileState, Output, Snapshot
from bramble.steps import Step
from bramble.system.parse import Disk

HERE = Path(__file__).parent
NOTICE = "<!-- Written by docs/generate.py (`make docs`): change the code, not this page. -->\n"

# A node to show files of: what has no default is set, and what writes a file only when it is.
HOST = "pi5-a"
BOARD = Board(
    model="Raspberry Pi 5 Model B Rev 1.0",
    kind="pi5",
    architecture="arm64",
    codename="bookworm",
    cpu_part="0xd0b",
    cpu_features=frozenset(),
    cores=4,
    memory_mib=8063,
    page_size=16384,
)
BLANK = Disk(
    path="/dev/sda",
    kind="disk",
    transport="usb",
    size_bytes=500_000_000_000,
    fstype=None,
    label=None,
    uuid=None,
    mountpoints=(),
    model=None,
    serial=None,
    read_only=False,
)
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "ssh": {"address": "192.168.1.41"},
    "boot": {"config": {"NAME": "VALUE"}, "eeprom": {"update": True}},
    "storage": {"log2ram": "on"},
    "model": {"name": "NAME", "url": "https://example.org/model.gguf", "sha256": "0" * 64},
}

# What the programs of bramble/remote/ write besides whole files of the plan: the query's key that
# names the path, what is added to it, and what lies there.
WRITTEN: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "apt_install": (),
    "set_clock": (),
    "set_hostname": (("path", "", "the line of 127.0.1.1, with `base.hostname` only"),),
    "try_ssh": (),
    "systemd": (),
    "remove_files": (),
    "command": (),
    "reexec": (),
    "reboot": (),
    "refuse": (),
    "receive": (),
    "log_room": (),
    "apt_source": (
        ("keyring", "", "the key of log2ram's repository, with `storage.log2ram` only"),
    ),
    "format_disk": (("note", "", "while the disk is being formatted"),),
    "edit_fstab": (
        ("path", "", "edited in place: our line below a comment of ours, options that lines lack"),
        ("path", ".bak", "its text before the last change"),
    ),
    "mount_disk": (("folder", "", "where the SSD is mounted"),),
    "edit_boot": (
        ("path", "", "edited in place: its other tokens or lines stay"),
        ("path", ".bak", "its text before the last change"),
    ),
    "stage_eeprom": (
        ("defaults", "", "the line `FIRMWARE_RELEASE_STATUS`, with `boot.eeprom.update` only"),
        ("staged", "", "written by rpi-eeprom-update, taken by the bootloader at the next boot"),
    ),
    "service": (),
    "set_aside": (),
    "give_to_root": (),
    "serve_release": (
        (
            "home",
            "/good.json",
            "the release and model that passed the gate last, their speed and unit, and those before",
        ),
        ("home", "/previous", "link to the release that was good before"),
        ("home", "/rejected/", "why a release or model had to go, a file for each"),
    ),
    "prune_releases": (),
    "zram": (),
    "kernel_values": (),
    "drop_swap": (),
    "swap_file": (
        ("path", "", "the swap file, mode 0600; beside it `.NAME.bramble` while it is being made"),
    ),
    "write_files": (),
    "switch_engine": (("path", "", "link to the current release, in which `smoke.json` is"),),
    "build_engine": (
        (
            "work",
            "",
            "source and build folder, kept for the next build; on an SSD below `bramble/`",
        ),
        ("ccache", "", "compiler cache; on an SSD below `bramble/`"),
        ("release", "", "one release: `bin/` and `manifest.json`"),
    ),
    "prune_models": (),
    "place_models": (
        ("folder", "", "link to `bramble/models` on the SSD, where there is one"),
        ("left", "", "the card's models, until those of the SSD passed the gate"),
        ("to", "", "the models, on the SSD"),
    ),
    "fetch_model": (
        ("path", "", "the model, mode 0644"),
        ("path", ".json", "its stamp: sha256, size and time when it was verified"),
        ("path", ".part", "while it is being fetched"),
        ("path", ".fit", "its dimensions, of a model that `models.lock` does not know"),
        ("path", ".damaged", "its stamp, once `bramble model verify` found the file damaged"),
    ),
}
RELEASE, SHA = "RELEASE", "SHA256"


def pages() -> dict[str, str]:
    """Every generated page by its name."""
    made = {
        "settings.md": settings_page(),
        "checks.md": checks_page(),
        "commands.md": commands_page(),
        "files.md": files_page(),
    }
    return {name: NOTICE + text for name, text in made.items()}


def settings_page() -> str:
    """Every setting of every section."""
    parts = [
        "# Settings\n\n"
        "A setting may be given in four places; the later wins: the default below, `settings:` of\n"
        "`fleet.yml`, `groups/NAME.yml` (in the order in which the host lists its groups), and the\n"
        "host itself (its entry in `fleet.yml`, or `hosts/NAME.yml`). Mappings are merged, lists are\n"
        'replaced whole, null is "back to the default". `bramble config HOST` prints each value with\n'
        "the file and line that set it; unknown names and values out of bounds end every command with\n"
        "exit code 2 before a host is connected to.\n\n"
        "Paths on this computer that are relative are taken from the inventory folder.\n"
    ]
    for name, model in registry.sections().items():
        parts.append(f"\n## {name}\n\n{' '.join((model.__doc__ or '').split())}\n")
        if model is Ssh:
            parts.append("\n`ssh` is no role: it says how to reach the host.\n")
        rows = "".join(_setting_rows(model, model.model_json_schema(), (name,)))
        head = "| Setting | Default | Unit | Allowed | Example | Meaning |\n"
        parts.append(f"\n{head}|---|---|---|---|---|---|\n{rows}")
    return "".join(parts)


def _setting_rows(
    model: type[Section], root: Mapping[str, Any], keys: tuple[str, ...]
) -> Iterator[str]:
    for name, field in model.model_fields.items():
        way = (*keys, name)
        schema = dict(schema_at(root, way[1:]))
        unit = schema.pop("unit", "")
        cells = (
            f"`{'.'.join(way)}`",
            _default(field),
            unit,
            _code_of_pattern(allowed(root, schema)),
            ", ".join(_value(example) for example in field.examples or ()),
            field.description or "",
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
        inner = _section_in(field.annotation)
        if inner:
            yield from _setting_rows(inner, root, way)


def _section_in(annotation: Any) -> type[Section] | None:
    """The section that a setting holds, perhaps beside None."""
    kinds = get_args(annotation) or (annotation,)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Section)), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, Section) or default is None:
        return "not set"
    return _value(to_jsonable_python(default))


def _value(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _code_of_pattern(words: str) -> str:
    before, matches, pattern = words.partition("text that matches ")
    return f"{before}{matches}`{pattern}`" if matches else words


def checks_page() -> str:
    """Every check of every role."""
    parts = [
        "# Checks\n\n"
        "What the end of every deploy, `bramble verify` and `pytest tests/preflight` check. A check\n"
        "changes nothing. Its result is one of:\n\n"
        "| Result | Meaning |\n|---|---|\n"
        "| pass | the node shows what the plan wants |\n"
        "| warn | it does not, and the check's severity is `warn`: the deploy still succeeds |\n"
        "| fail | it does not: the host fails |\n"
        "| skip | the check does not apply to this node |\n"
        "| unknown | the node would not say; this is never taken for a pass |\n"
    ]
    for role in registry.roles():
        parts.append(f"\n## {role.name}\n\n| Check | Severity | What it proves |\n|---|---|---|\n")
        parts += [
            f"| `{c.role}.{c.name}` | {c.severity} | {c.proves} |\n"
            for c in checks_of(role.name, role.checks)
        ]
    parts.append(
        "\n## ssh.reachable\n\n"
        "No role's check: `bramble verify` gives this result for a host that could not be looked at,\n"
        "with the reason: a failure, or unknown where the run ended before it told anything of it.\n"
    )
    return "".join(parts)


def commands_page() -> str:
    """The help of every command."""
    found = "".join(
        f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in helps(command, "bramble")
    )
    return (
        "# Commands\n\nWhat `--help` prints. Exit codes: [README](../../README.md#exit-codes); "
        "`--json`: [JSON](json.md).\n" + found
    )


def helps(
    found: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """The help texts of a command and of those below it."""
    context = click.Context(
        found,
        info_name=name,
        parent=parent,
        terminal_width=80,
        max_content_width=80,
        **found.context_settings,
    )
    yield context.command_path, found.get_help(context).rstrip()
    if isinstance(found, click.Group):
        for inner in found.list_commands(context):
            below = found.get_command(context, inner)
            assert below is not None
            yield from helps(below, inner, context)


def files_page() -> str:
    """What every role owns on a node, from the plan of a fresh one."""
    settings = {
        name: model.model_validate(
            NEEDED.get(name, {}), context={"folder": Path("/inventory"), "host": HOST}
        )
        for name, model in registry.sections().items()
    }
    plan = make(HOST, settings, BOARD, registry.roles())
    parts = [
        "# Files on a node\n\n"
        "From the plan of a fresh Raspberry Pi 5 with the default settings, and with `boot.config` and\n"
        "`boot.eeprom.update` set, `storage.log2ram: on`, and a blank USB disk. RELEASE is the\n"
        "release's identity, SHA256 the first twelve digits of the pinned hash, NAME `model.name` and\n"
        "the disk's name. `bramble plan HOST` shows the same of a real host, with each file's text as\n"
        "a difference.\n\n"
        "bramble owns whole files: it replaces them, and merges with nobody's. The roles boot\n"
        "and storage alone edit files that are others': each line below says which part. It never\n"
        "removes a file that it no longer plans, nor old releases and models.\n"
    ]
    fstab, name = "/etc/fstab", "/dev/disk/by-id/usb-NAME"
    fresh = Snapshot(
        # With a blank USB disk, so that what is done about one is told.
        disks=(BLANK,),
        files={
            **dict.fromkeys(look_at(settings, registry.roles())["files"]),
            fstab: FileState("file", 0o644, "root", "root", 0, 0, text=""),
            name: FileState("link", 0o777, "root", "root", 0, 0, target="../../sda"),
        },
        commands={"rpi-eeprom-update": Output(1, "BOOTLOADER: update available\n")},
    )
    for role in registry.roles():
        rows = dict.fromkeys(_owned(plan, role.name, role.plan, fresh))
        parts.append(f"\n## {role.name}\n")
        if rows:
            parts.append("\n| Path | What |\n|---|---|\n" + "".join(rows))
        else:
            parts.append("\nNo file.\n")
        if plan.roles[role.name].packages:
            parts.append(f"\nDebian packages: {_names(plan.roles[role.name].packages)}.\n")
    return _neutral("".join(parts) + _looked_at(settings), plan)


def _owned(plan: NodePlan, name: str, module: Any, fresh: Snapshot) -> Iterator[str]:
    for file in plan.roles[name].files:
        what = f"whole file, mode {file.mode:04o}, {file.owner}:{file.group}"
        yield f"| `{file.path}` | {what}{', secret' if file.secret else ''} |\n"
    steps: tuple[Step, ...] = module.steps(plan.roles[name], plan, fresh)
    for step in steps:
        for file in _written(step):
            what = f"whole file, mode {file['mode']:04o}, {file['owner']}:{file['group']}"
            yield f"| `{file['path']}` | {what} |\n"
        for key, ending, what in WRITTEN[step.program] if step.why else ():
            yield f"| `{step.query[key]}{ending}` | {what} |\n"
        for upload in step.uploads:
            yield f"| `{upload.remote}` | sent by this computer, removed once it is used |\n"
        if step.stored:
            release = step.stored.query["release"]
            packed = f"{release.rpartition('/')[0]}/.{step.stored.key}.packed"
            yield f"| `{packed}` | packed for the store, removed once it is fetched |\n"
            sent = "sent where it cannot be pulled, removed once it is used"
            yield f"| `{step.stored.remote}` | {sent} |\n"
        if step.detached:
            unit = f"bramble-{step.program.replace('_', '-')}-ID"
            yield f'| `/run/bramble/steps/{unit}` | program, log and exit code of "{step.name}" |\n'


def _written(step: Step) -> Iterator[Mapping[str, Any]]:
    """Whole files that a step writes only where a node needs them."""
    if step.program == "write_files":
        yield from step.query["files"]
    if step.program == "apt_source":
        plain = {"mode": 0o644, "owner": "root", "group": "root"}
        yield from ({**plain, **step.query[key]} for key in ("pin", "source"))


def _looked_at(settings: Mapping[str, Section]) -> str:
    """What the one look reads, besides the general facts."""
    query = look_at(settings, registry.roles())
    words = {
        "files": "Files",
        "units": "Units",
        "packages": "Packages",
        "users": "Users",
        "http": "URLs on the node itself",
        "free": "Free space below",
        "commands": "Read-only commands that are run",
    }
    rows = "".join(f"| {word} | {_names(query[key])} |\n" for key, word in words.items())
    return (
        "\n## What the look at a node reads\n\n"
        "Besides the board, the system, memory, mounts, swaps, disks and listening sockets:\n\n"
        f"| What | Which |\n|---|---|\n{rows}"
    )


def _names(names: Any) -> str:
    # Bars end the cells of a table, in code too.
    return ", ".join(f"`{name.replace('|', chr(92) + '|')}`" for name in names)


def _neutral(text: str, plan: NodePlan) -> str:
    """The page without identities that change with every setting."""
    for part in plan.roles.values():
        release = part.provides.get("engine.release")
        if release:
            text = text.replace(release, RELEASE)
    return text.replace("0" * 12, SHA)


if __name__ == "__main__":
    for page, content in pages().items():
        (HERE / "reference" / page).write_text(content, encoding="utf-8")
        print(f"wrote docs/reference/{page}")
