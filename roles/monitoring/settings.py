"""Settings of the role monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, ClassVar

from pydantic import AfterValidator, model_validator

from bramble.secret_sources import Source
from bramble.settings import Section, option


def _one_address(text: str) -> str:
    """Take an address of the node; all of them at once would be more than is planned."""
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("an IP address of the node is needed, such as 192.168.1.41") from None
    if address.is_unspecified or address.is_multicast:
        raise ValueError(
            "that is no one address of the node: anybody in any network could read it. Name the address "
            "that Prometheus reaches the node by, or 127.0.0.1"
        )
    return str(address)


Address = Annotated[str, AfterValidator(_one_address)]


class Secrets(Section):
    """Who is told: an address or a token of each, kept on this computer, sent to the node alone."""

    heartbeat: Source | None = option(
        None,
        help="Address that is asked in every run while the node watches itself: a dead man's switch.",
        example={"environment": "HEARTBEAT_ADDRESS"},
    )
    kuma: Source | None = option(
        None, help="Address of a push monitor of Uptime Kuma, told up or down in every run."
    )
    ntfy: Source | None = option(None, help="Address of a topic of ntfy.")
    webhook: Source | None = option(None, help="Address that gets changes as JSON.")
    telegram: Source | None = option(
        None, help="Token of a bot of Telegram, with monitoring.telegram_chat."
    )

    @property
    def given(self) -> dict[str, Source]:
        """Those that are set, by the channel's kind."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: source for name, source in values.items() if source is not None}


class Settings(Section):
    """A node that watches itself, for Prometheus and for people; only on hosts with this section."""

    on_request: ClassVar[bool] = True
    # What it watches; without it there would be an alarm.
    uses: ClassVar[tuple[str, ...]] = ("engine", "model", "serving")

    host: Address = option(
        "127.0.0.1",
        help="The one address of the node that figures can be read at, by whoever reaches it.",
        example="192.168.1.41",
    )
    port: int = option(9100, help="TCP port of the figures.", ge=1024, le=65535)
    every_s: int = option(
        60, help="Time between two looks of the node at itself.", unit="s", ge=15, le=900
    )
    question_every_min: int = option(
        60,
        help="Least time between two questions to the model (serving.question); 0: never. A busy server "
        "is not asked.",
        unit="min",
        ge=0,
        le=10080,
    )
    question_deadline_s: int = option(
        120, help="How long an answer may take.", unit="s", ge=5, le=180
    )
    secrets: Secrets = option(Secrets(), help="Who is told of changes; not set: nobody.")
    telegram_chat: str | None = option(
        None,
        help="The chat that the bot writes to.",
        example="-1001234567890",
        pattern=r"^@?[\w-]+$",
    )

    @property
    def own_ports(self) -> Mapping[str, int]:
        """The port of its figures, by its setting."""
        return {"monitoring.port": self.port}

    @model_validator(mode="after")
    def _chat(self) -> Settings:
        if (self.secrets.telegram is None) != (self.telegram_chat is None):
            raise ValueError(
                "secrets.telegram and telegram_chat go together: the bot's token, and where it writes to"
            )
        return self
