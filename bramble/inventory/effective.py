"""What holds for a host in the end: each setting's value, its unit, and who set it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bramble import layout
from bramble.documents.problems import Keys, dotted, is_secret, shown
from bramble.inventory.headline import sentences
from bramble.inventory.layers import Source
from bramble.inventory.load import Host
from bramble.prepared import prepared_sections
from bramble.settings import PORT, Section, SshSettings
from bramble.ssh import config as ssh_config

HIDDEN = "(not shown)"


class Effective(BaseModel):
    """One setting of a host."""

    setting: str = Field(description="Its name, such as `serving.port`.")
    value: Any = Field(description=f"Its value; `{HIDDEN}` in place of a secret.")
    unit: str | None = Field(description="Unit of the value, where it has one.")
    layer: str = Field(
        description="`default`, `all`, `group NAME`, `host`, or `ssh` (~/.ssh/config)."
    )
    file: str | None = Field(description="File that sets it; null for a default.")
    line: int | None = Field(description="Line in that file, where it can be determined.")
    pinned: str | None = Field(description="What engine.lock has in its place for this host.")


class Report(BaseModel):
    """What `bramble config HOST --json` prints."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    kind: Literal["bramble config"] = "bramble config"
    version: Literal[1] = 1
    host: str
    groups: list[str] = Field(description="Groups of the host; a later one wins over an earlier.")
    pins: list[str] = Field(
        description="What the host stays at in spite of the inventory, in words."
    )
    warnings: list[str] = Field(
        description="What is hardly meant, such as a context that the model was not trained for."
    )
    settings: list[Effective]


def report(host: Host) -> Report:
    """List every setting of a host, section by section in the order of their declaration."""
    rows = [row for name, section in host.settings.items() for row in _rows(host, section, (name,))]
    said = {
        f"{name}.{pinned.setting}": pinned.value
        for name, section in prepared_sections(host.settings).items()
        for pinned in section.pins(host.name, host.prepared)
    }
    for row in rows:
        row.pinned = said.get(row.setting)
    _reached(host, rows)
    sections = host.settings
    return Report(
        host=host.name,
        groups=list(host.groups),
        pins=list(sentences(host)),
        warnings=[
            reported
            for part in prepared_sections(sections).values()
            for reported in part.warnings(sections, host.name, host.prepared)
        ],
        settings=rows,
    )


def _reached(host: Host, rows: list[Effective]) -> None:
    """Fill in the port and the account that the inventory leaves to ~/.ssh/config."""
    ssh = host.settings.get("ssh")
    if not isinstance(ssh, SshSettings):
        return
    try:
        there = ssh_config.target(ssh)
    except ssh_config.ConfigError:
        return
    usual = {"ssh.port": PORT, "ssh.user": ssh_config.USER}
    found = {"ssh.port": there.port, "ssh.user": there.user}
    for row in rows:
        if row.setting in found and row.value is None:
            row.value = found[row.setting]
            if row.value != usual[row.setting]:
                row.layer, row.file = "ssh", shown(ssh_config.file())


def table(report: Report, width: int | None = None) -> str:
    """Lay the report out for reading, within a terminal's width."""
    rows = [("SETTING", "VALUE", "UNIT", "SET BY")]
    rows += [(row.setting, _text(row.value), row.unit or "", _by(row)) for row in report.settings]
    warnings = [f"warning: {warning}" for warning in report.warnings]
    said = [layout.wrapped(line, width) for line in (*report.pins, *warnings)]
    return "\n".join([*said, *layout.table(rows, width)])


def _rows(host: Host, section: Section, above: Keys) -> Iterator[Effective]:
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        unit = extra.get("unit") if isinstance(extra, dict) else None
        value = getattr(section, name)
        yield from _value(host, value, (*above, name), str(unit) if unit else None)


def _value(host: Host, value: object, keys: Keys, unit: str | None) -> Iterator[Effective]:
    if isinstance(value, Section):
        yield from _rows(host, value, keys)
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _value(host, inner, (*keys, str(key)), unit)
    else:
        plain = TypeAdapter(Any).dump_python(value, mode="json")
        hidden = is_secret(keys[-1:]) and not isinstance(value, Path | bool | int | None)
        yield _row(keys, HIDDEN if hidden else plain, unit, host.sources.get(keys))


def _row(keys: Keys, value: object, unit: str | None, source: Source | None) -> Effective:
    return Effective(
        setting=dotted(keys),
        value=value,
        unit=unit,
        layer=source.layer if source else "default",
        file=shown(source.file) if source else None,
        line=source.line if source else None,
        pinned=None,
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _by(row: Effective) -> str:
    line = "" if row.line is None else f":{row.line}"
    who = "default" if row.file is None else f"{row.layer} ({row.file}{line})"
    return f"{who}, but engine.lock: {row.pinned}" if row.pinned else who
