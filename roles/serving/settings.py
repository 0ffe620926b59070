"""Settings of the role serving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from bramble.fit.memory import CacheType, Request
from bramble.fit.verdict import beyond
from bramble.outputs import ModelSettings
from bramble.prepared import Prepared, PreparedSection
from bramble.settings import Section, option


class Gate(Section):
    """What a release must show before it stays; one that fails gives way to the one before."""

    speed_share: float = option(
        0.8,
        help="Least share of the last known good tokens/s, of the same model and arguments; "
        "0: any speed will do.",
        ge=0,
        le=1,
        example=0.9,
    )


class Settings(PreparedSection):
    """llama-server: where it listens and how much it may take."""

    needs: ClassVar[tuple[str, ...]] = ("engine", "model")
    # The model that it serves may be on the SSD.
    uses: ClassVar[tuple[str, ...]] = ("storage",)

    host: Literal["127.0.0.1", "0.0.0.0"] = option(
        "127.0.0.1",
        help="Address to listen on; 0.0.0.0 lets the whole network use the model without a key.",
    )
    port: int = option(8080, help="TCP port to listen on.", ge=1024, le=65535)
    ctx_tokens: int = option(
        2048, help="Context of a conversation.", unit="tokens", ge=128, le=1048576
    )
    slots: int = option(1, help="Conversations at once; they share the context.", ge=1, le=64)
    threads: int | None = option(
        None, help="Threads that compute; not set: one for each core.", ge=1, le=256
    )
    ubatch_tokens: int = option(
        128,
        help="Prompt tokens computed at once; the compute buffer grows with it.",
        unit="tokens",
        ge=16,
        le=4096,
    )
    cache_ram_mib: int = option(
        0, help="Memory for cached prompts; llama-server's own default is 8192.", unit="MiB", ge=0
    )
    ctx_checkpoints: int = option(
        4,
        help="Copies of sliding windows and recurrent states kept for each conversation; "
        "llama-server's own default is 32.",
        ge=0,
        le=64,
    )
    cache_type_k: CacheType = option(
        "f16", help="Type of the context's keys; q8_0 takes about half of f16."
    )
    cache_type_v: CacheType = option("f16", help="Type of the context's values.")
    reserve_mib: int = option(
        0,
        help="Memory kept for other programs of the node, such as an agent, when it is told whether "
        "the model fits.",
        unit="MiB",
        ge=0,
        le=1 << 20,
    )
    start_deadline_s: int = option(
        600, help="How long loading the model may take.", unit="s", ge=5, le=7200
    )
    question: str = option(
        "What is 2+2?", help="The question that ends every deploy.", example="What is 2+2?"
    )
    expect: str | None = option(
        None,
        help="Text that the answer must contain; not set: any answer will do.",
        example="4",
    )
    foreign_drop_ins: Literal["set_aside", "refuse"] = option(
        "set_aside",
        help="Drop-ins of the unit that somebody else made (`systemctl edit`): a deploy renames them so "
        "that systemd does not read them, or refuses to continue.",
    )
    gate: Gate = option(Gate(), help="The gate that a release passes before it stays.")

    def warnings(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> tuple[str, ...]:
        """Warn of a context that the model was not trained for, where its training context is known."""
        models = (part for part in sections.values() if isinstance(part, ModelSettings))
        known = (part.chosen(host, prepared).fit for part in models)
        reported = (beyond(dims.ctx_train, self.request) for dims in known if dims)
        return tuple(f"serving.ctx_tokens: {said}" for said in reported if said)

    @property
    def request(self) -> Request:
        """What memory is counted for."""
        return Request(
            ctx=self.ctx_tokens,
            slots=self.slots,
            ubatch=self.ubatch_tokens,
            type_k=self.cache_type_k,
            type_v=self.cache_type_v,
            cache_ram_mib=self.cache_ram_mib,
            checkpoints=self.ctx_checkpoints,
        )
