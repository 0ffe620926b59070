"""Settings of the role base."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from functools import cache
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from bramble.settings import Section, option

INVENTORY = "inventory"
HOSTNAME = r"^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9])$"
# Options may stand before a key, and anything behind it (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
_OPTION = r'[A-Za-z0-9@.-]+(="([^"\\]|\\.)*")?'
KEY = (
    rf"^({_OPTION}(,{_OPTION})*[ \t]+)?"
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com"
    r"|sk-ecdsa-sha2-nistp256@openssh\.com)[ \t]+[A-Za-z0-9+/]{40,}={0,3}"
    r"([ \t][^\x00-\x08\x0a-\x1f\x7f]*)?$"
)


def _host_name_where_asked(value: object, info: ValidationInfo) -> object:
    """Replace `inventory` with the host's name there, which the loader passes."""
    return (info.context or {}).get("host", value) if value == INVENTORY else value


def _one_label(name: str, info: ValidationInfo) -> str:
    """Take only a name that the kernel and resolvers take too."""
    if re.match(HOSTNAME, name):
        return name
    whose = (
        "this host's name in the inventory, " if (info.context or {}).get("host") == name else ""
    )
    first = re.sub(r"[^A-Za-z0-9]+", "-", name.partition(".")[0]).strip("-")
    advice = f"write {first}" if re.match(HOSTNAME, first) else "write another one"
    raise ValueError(
        f"{whose}{name}, is no node's name: that has letters, digits and dashes in between, and no "
        f"domain; {advice}"
    )


@cache
def _zones() -> frozenset[str]:
    """Return the names of this computer's time zone database, each file of which is opened for it."""
    return frozenset(zoneinfo.available_timezones())


def _known_zone(name: str) -> str:
    """Take only names of the time zone database."""
    known = _zones()
    if name in known or not known:
        return name
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    # Debian 13 has names of before, such as US/Pacific, in tzdata-legacy alone; Bookworm has them.
    if "US/Pacific" not in known and not near:
        return name
    meant = f"; did you mean '{near[0]}'?" if near else ""
    raise ValueError(
        f"{name} is no time zone{meant}; allowed are names of the time zone database, as "
        "`timedatectl list-timezones` lists them (Europe/Vienna, Etc/UTC)"
    )


Hostname = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": HOSTNAME}),
    AfterValidator(_one_label),
    BeforeValidator(_host_name_where_asked),
]
Zone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$"), AfterValidator(_known_zone)]
Key = Annotated[str, Field(pattern=KEY)]
# NAME or NAME:ARCHITECTURE; apt would take NAME=VERSION for one to choose, and NAME- for one to remove.
Package = Annotated[str, Field(pattern=r"^[a-z0-9]+([+.-]+[a-z0-9+]+)*(:[a-z0-9]+)?$")]


class Clock(Section):
    """The node's time, which apt and HTTPS need; a Pi 4 has no clock that runs without power."""

    ntp: bool = option(
        True, help="Switch the system's NTP client on; false leaves it as it is, on or off."
    )
    tolerance_s: int = option(
        60,
        help="How far the clock of a node that no NTP server was reached from may be off this "
        "computer's.",
        unit="s",
        ge=5,
        le=3600,
    )
    wait_s: int = option(
        45,
        help="How long a clock that is further off may wait for NTP, before it is set forward to "
        "this computer's; one that is ahead is refused.",
        unit="s",
        ge=0,
        le=1800,
    )


class Sshd(Section):
    """Who may log in over SSH, and how. Kept only if a new connection proves that we still may."""

    password_authentication: bool | None = option(
        None, help="Whether passwords are taken; not set: as the system has it."
    )
    root_login: bool | None = option(
        None, help="Whether root may log in (with a key); not set: as the system has it."
    )


class Settings(Section):
    """The system under everything else."""

    packages: tuple[Package, ...] = option(
        (), help="Debian packages to install besides those that the roles need.", example=["htop"]
    )
    clock: Clock = option(Clock(), help="The node's time.")
    unattended_upgrades: bool | None = option(
        None,
        help="Whether the node installs Debian's security updates by itself; not set: as the "
        "system has it.",
    )
    hostname: Hostname | None = option(
        None,
        help="The node's name; `inventory` for the host's name in the inventory; not set: as it is.",
        example="inventory",
    )
    timezone: Zone | None = option(
        None, help="Time zone; not set: as it is.", example="Europe/Vienna"
    )
    authorized_keys: tuple[Key, ...] = option(
        (),
        help="Public keys that open the account that bramble logs in to; others stay.",
        example=[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRsTu0eTyjs6XYFjKNEtbOmOlEdWAIMxuzt3pL22Tvm me"
        ],
    )
    exclusive_keys: bool = option(
        False,
        help="Remove all other keys of that account; taken back when bramble then cannot log in.",
    )
    ssh: Sshd = option(Sshd(), help="sshd's options; not set: as the system has them.")
    passwordless_sudo: bool | None = option(
        None,
        help="Whether sudo asks the account that bramble logs in to for no password: true writes a "
        "rule for it, false removes that rule; not set: as the system has it.",
    )

    @property
    def clock_tolerance_s(self) -> int:
        """How far the clock may be off this computer's."""
        return self.clock.tolerance_s

    @model_validator(mode="after")
    def _never_none(self) -> Settings:
        if self.exclusive_keys and not self.authorized_keys:
            raise ValueError(
                "exclusive_keys with no authorized_keys would remove every key, and with them the "
                "way in; list yours in authorized_keys"
            )
        return self
