"""How a role declares its settings: once, with help, unit, bounds and example for each of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

SILENCE_S = 15
"""How long a host may answer nothing where its inventory does not say."""
PORT = 22
# A name of ~/.ssh/config may hold anything but blanks; a first "-" would be read as an option.
ADDRESS = r"^[^-\s][^\s]*$"
# What no account of Linux has in its name, however it was made (adduser(8), --allow-all-names).
ACCOUNT = r"^[^-+~:,/\s][^:,/\s]*$"


class Section(BaseModel):
    """A group of settings that belong together; its docstring says to a user what they are for."""

    needs: ClassVar[tuple[str, ...]] = ()
    """The roles that a role cannot do without."""

    uses: ClassVar[tuple[str, ...]] = ()
    """The roles that it depends on where a host has them: it is reverted before they are."""

    on_request: ClassVar[bool] = False
    """Whether a host gets the role only where its inventory has this section, or names the role."""

    without_default: ClassVar[tuple[str, ...]] = ()
    """Settings that a new inventory is to ask for, though others may take their place."""

    sent: ClassVar[tuple[str, ...]] = ()
    """Settings that name files of this computer which are sent to nodes."""

    def sent_files(self) -> Iterator[tuple[tuple[str, ...], Path]]:
        """Yield the files of this computer that are sent to a node, each with its setting."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section):
                yield from (((name, *keys), path) for keys, path in value.sent_files())
            elif name in self.sent and isinstance(value, Path):
                yield (name,), value

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


def parts(address: str) -> tuple[str, str, int | None]:
    """Take `[USER@]ADDRESS[:PORT]` apart, where an IPv6 address with a port is in brackets."""
    user, _, place = address.removeprefix("ssh://").rstrip("/").rpartition("@")
    found = re.fullmatch(r"\[(?P<six>[^\[\]]+)\](:(?P<port>\d{1,5}))?", place) or re.fullmatch(
        r"(?P<six>[^:]+):(?P<port>\d{1,5})", place
    )
    if found is None:
        return user, place, None
    return user, found["six"], int(found["port"]) if found["port"] else None


def _address_alone(address: str) -> str:
    """Take an address without account and port, which have settings of their own."""
    user, place, port = parts(address)
    if place == address:
        return address
    more = {"user": user or None, "port": port}
    said = ", ".join(f"{name}: {value}" for name, value in more.items() if value is not None)
    raise ValueError(f"write address: {place}" + (f" and beside it {said}" if said else ""))


class SshSettings(Section):
    """How this computer reaches the host."""

    address: Annotated[
        str, AfterValidator(_address_alone), BeforeValidator(_host_name_unless_given)
    ] = option(
        "",
        help="Name or IP address to connect to, or a host of ~/.ssh/config; empty: the host's name in "
        "the inventory.",
        example="192.168.1.41",
        pattern=ADDRESS,
    )
    port: int | None = option(
        None,
        help="Port of the SSH server; not set: as in ~/.ssh/config, else 22.",
        ge=1,
        le=65535,
    )
    user: str | None = option(
        None,
        help="Account to log in to, which becomes root by sudo; not set: as in ~/.ssh/config, "
        "else pi.",
        pattern=ACCOUNT,
    )
    key: LocalPath | None = option(
        None,
        help="Private key to log in with, and no other; not set: as in ~/.ssh/config, the SSH agent, "
        "and ~/.ssh.",
        example="~/.ssh/id_ed25519",
    )
    known_hosts: LocalPath = option(
        "known_hosts",
        help="OpenSSH known_hosts file of the fleet; a host that it does not list is refused.",
    )
    connect_timeout_s: int = option(
        10, help="How long a connection may take to open.", unit="s", ge=1, le=600
    )
    silence_s: int = option(
        SILENCE_S,
        help="How long the host may leave a request of SSH unanswered before its connection is given "
        "up; one part of a look may take 10 s more. Longer for a board that is far away or has little "
        "to spare; a run waits so long for a host that vanished.",
        unit="s",
        ge=5,
        le=600,
    )


class NodeSettings(Section):
    """What the host is to bramble."""

    roles: tuple[str, ...] | None = option(
        None,
        help="The roles that the host gets, and no others; not set: every role, but for monitoring "
        "and gateway, which a host gets that has a section of that name. Settings of other roles are "
        "left out of account.",
        example=["base", "storage", "memory", "boot", "power", "watchdog"],
    )
    virtual: bool = option(
        False,
        help="Whether the host is a virtual Pi of this computer: "
        "such a one is left out of runs while it is not up.",
    )
