"""How a role declares its settings: once, with help, unit, bounds and example for each of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

ADDRESS = r"^[0-9A-Za-z:][0-9A-Za-z._:%-]*$"
ACCOUNT = r"^[a-z_][a-z0-9_-]*\$?$"


class Section(BaseModel):
    """A group of settings that belong together; its docstring says to a user what they are for."""

    needs: ClassVar[tuple[str, ...]] = ()
    """The roles that a role cannot do without."""

    without_default: ClassVar[tuple[str, ...]] = ()
    """Settings that a new inventory is to ask for, though others may take their place."""

    # Inputs stay out of pydantic's own messages because they may be secrets.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def option(
    default: Any,
    *,
    help: str,
    unit: str | None = None,
    example: Any = None,
    ge: float | None = None,
    le: float | None = None,
    pattern: str | None = None,
) -> Any:
    """Declare one setting of a section; `...` as its default makes it required."""
    return Field(
        default,
        description=help,
        examples=None if example is None else [example],
        json_schema_extra=None if unit is None else {"unit": unit},
        ge=ge,
        le=le,
        pattern=pattern,
        # So that a path's default is taken from the inventory folder like a path that was set.
        validate_default=isinstance(default, str),
    )


def _on_this_computer(value: object, info: ValidationInfo) -> Path:
    """Expand `~` and take a relative path from the inventory folder that the loader names."""
    if not isinstance(value, str | Path):
        raise PydanticCustomError("path_type", "a path is needed")
    folder = (info.context or {}).get("folder", Path())
    return Path(os.path.normpath(Path(folder, Path(value).expanduser()).absolute()))


LocalPath = Annotated[
    Path,
    PlainValidator(_on_this_computer),
    WithJsonSchema({"type": "string", "format": "path"}),
]
"""A file on this computer; relative paths are taken from the inventory folder."""


def _host_name_unless_given(value: object, info: ValidationInfo) -> object:
    """Fill in the name of the host that the loader is at when no address is given."""
    return value if value != "" else (info.context or {}).get("host", "")


class Ssh(Section):
    """How this computer reaches the host."""

    address: Annotated[str, BeforeValidator(_host_name_unless_given)] = option(
        "",
        help="Name or IP address to connect to; empty: the host's name in the inventory.",
        example="192.168.1.41",
        pattern=ADDRESS,
    )
    port: int = option(22, help="Port of the SSH server.", ge=1, le=65535)
    user: str = option(
        "pi",
        help="Account to log in to; it needs sudo without a password.",
        pattern=ACCOUNT,
    )
    key: LocalPath | None = option(
        None,
        help="Private key to log in with, and no other; not set: the SSH agent and ~/.ssh.",
        example="~/.ssh/id_ed25519",
    )
    known_hosts: LocalPath = option(
        "known_hosts",
        help="OpenSSH known_hosts file of the fleet; a host that it does not list is refused.",
    )
    connect_timeout_s: int = option(
        10, help="How long a connection may take to open.", unit="s", ge=1, le=600
    )


class Node(Section):
    """What the host is to bramble."""

    roles: tuple[str, ...] | None = option(
        None,
        help="The roles that the host gets, and no others; not set: every role. "
        "Settings of the other roles are left out of account.",
        example=["base", "storage", "memory", "boot", "power", "watchdog"],
    )
    virtual: bool = option(
        False,
        help="Whether the host is a virtual Pi of this computer: "
        "such a one is left out of runs while it is not up.",
    )
