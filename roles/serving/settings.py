"""Settings of the role serving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints, model_validator

from bramble.documents.problems import unknown
from bramble.edge.log import Log
from bramble.edge.settings import bracketed
from bramble.fit.memory import CacheType, Request
from bramble.fit.verdict import beyond
from bramble.models.catalogue import USE
from bramble.models.dims import Dims
from bramble.models.projector import AT_ONCE, Projector
from bramble.outputs import EngineSettings, ModelSettings
from bramble.prepared import Amiss, Prepared, PreparedSection
from bramble.roles.serving import flags, tasks
from bramble.roles.serving.chat import Chat
from bramble.roles.serving.edge_settings import PORTS, Edge
from bramble.roles.serving.flags import ExtraArgument
from bramble.roles.serving.locking import DISTURBING
from bramble.roles.serving.reserved import NO_PAGE
from bramble.roles.serving.speculation import BY_MODEL, Speculation
from bramble.roles.serving.tasks import Pooling, TaskName
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


def _models(sections: Mapping[str, Section]) -> Iterator[ModelSettings]:
    return (part for part in sections.values() if isinstance(part, ModelSettings))


def _projector(part: ModelSettings, host: str, prepared: Prepared) -> Projector | None:
    """Return what is known of a projector; None too where its name is wrong, which the model tells."""
    try:
        found = part.seeing(host, prepared)
    except LookupError:
        return None
    return found.projector if found else None


class Settings(PreparedSection):
    """llama-server: where it listens and how much it may take."""

    needs: ClassVar[tuple[str, ...]] = ("engine", "model")
    # The model that it serves may be on the SSD.
    uses: ClassVar[tuple[str, ...]] = ("storage",)

    expose: Literal["local", "lan", "tls"] = option(
        "local",
        help="Who may use the model: programs of the node itself and whoever comes through SSH; or "
        "clients of serving.edge.allow with a key (bramble key create), in clear text or by TLS "
        "(bramble tls issue).",
    )
    port: int = option(
        8080, help="TCP port of the node's loopback to listen on.", ge=1024, le=65535
    )
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
        0,
        help="Memory for conversations that a slot has left, so that a long system prompt comes back; "
        "llama-server's own default is 8192.",
        unit="MiB",
        ge=0,
        example=256,
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
    flash_attention: Literal["auto", "on", "off"] = option(
        "auto",
        help="Whether attention is computed without a matrix of its own; off takes more memory, by "
        "context x micro-batch, and forbids a quantized `cache_type_v`.",
    )
    lock_weights: bool = option(
        False,
        help="Whether the kernel keeps the weights in memory, whatever else wants some; prompts compute "
        "slower on a processor with dotprod (Pi 5), as weights that are copied cannot be locked.",
    )
    chat: Chat = option(Chat(), help="How conversations are taken.")
    speculation: Speculation = option(
        Speculation(), help="Guesses of what comes next, which are checked."
    )
    log: Log = option(Log(), help="How much of what the service says the journal keeps.")
    web_ui: bool = option(
        False,
        help="Whether llama-server shows a page for browsers; true is refused: builds have none inside.",
    )
    extra_args: tuple[ExtraArgument, ...] = option(
        (),
        help="Arguments of llama-server that have no setting, each with its value: `--FLAG`, "
        "`--FLAG VALUE` or `--FLAG=VALUE`.",
        example=["--top-k 20", "--no-warmup"],
    )
    image_tokens: int = option(
        512,
        help="Most tokens that an image becomes, where model.projector takes images of any size: a "
        "larger one is made smaller. Memory and time to answer grow with it.",
        unit="tokens",
        ge=16,
        le=16384,
    )
    models_at_once: int = option(
        1,
        help="How many models may be loaded at the same time, where model.also names further ones; for "
        "another one the one that was used least recently is given up.",
        ge=1,
        le=16,
    )
    idle_unload_s: int | None = option(
        None,
        help="After how long without a request a model gives its memory back, to be loaded again by the "
        "next one; not set: never.",
        unit="s",
        ge=1,
        le=604800,
        example=1800,
    )
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
    task: TaskName = option(
        "chat",
        help="What the model is for: conversations, vectors of texts, or the ranking of documents.",
    )
    pooling: Pooling | None = option(
        None,
        help="How a text's vector is made of those of its tokens, with task embeddings; not set: as the "
        "model's file says.",
    )
    dimensions: int | None = option(
        None,
        help="Numbers that a vector must have, with task embeddings; not set: the model's width, where "
        "that is known.",
        ge=1,
        le=65536,
        example=384,
    )
    question: str = option(
        "What is 2+2?", help="The question that ends every deploy.", example="What is 2+2?"
    )
    expect: str | None = option(
        None,
        help="Text that the answer must contain; with task embeddings or reranking, one that must be "
        "nearer to the question than another text. Not set: any answer will do.",
        example="4",
    )
    also_expect: dict[Annotated[str, StringConstraints(pattern=USE)], str] = option(
        {},
        help="The same of models that model.also names, by their names there; of others any answer will "
        "do.",
        example={"qwen2.5-0.5b-instruct:q4_k_m": "4"},
    )
    foreign_drop_ins: Literal["set_aside", "refuse"] = option(
        "set_aside",
        help="Drop-ins of the unit that somebody else made (`systemctl edit`): a deploy renames them so "
        "that systemd does not read them, or refuses to continue.",
    )
    gate: Gate = option(Gate(), help="The gate that a release passes before it stays.")
    edge: Edge = option(Edge(), help="What meets clients, where they are let in.")

    def faults(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> Iterator[Amiss]:
        """Find arguments that the planned build would not start with, where it is the known one."""
        known = self._unsure(sections, host, prepared) is None
        if self.web_ui:
            yield Amiss(("web_ui",), f"{NO_PAGE}; leave it at false")
        guesses = self.speculation.disagreements(self.task, self.slots, self.ubatch_tokens)
        yield from (Amiss(("speculation", name), said) for name, said in guesses)
        yield from (Amiss(("speculation", "type"), said) for said in self._guessing(sections))
        for part in _models(sections):
            if halved := self._halved(_projector(part, host, prepared)):
                yield Amiss(("ubatch_tokens",), halved)
        arguments = [
            *flags.twice(self.extra_args),
            *(flags.against(self.extra_args, DISTURBING) if self.lock_weights else ()),
            *(flags.wrong(self.extra_args) if known else ()),
        ]
        yield from (Amiss(("extra_args", at), said) for at, said in arguments)
        template = [*self.chat.disagreements(), *(self.chat.unknown_template() if known else ())]
        yield from (Amiss(("chat", "template"), said) for said in template)
        for name, said in tasks.disagreements(self.task, self.pooling, self.dimensions):
            yield Amiss((name,), said)
        named = {use for part in _models(sections) for use in part.also}
        for use in self.also_expect.keys() - named:
            yield Amiss(("also_expect", use), f"no such model; {unknown(use, sorted(named))}")

    def _halved(self, projector: Projector | None) -> str | None:
        """Return why an image's tokens would not all be computed at once, where they must be."""
        if projector is None or projector.type not in AT_ONCE:
            return None
        tokens = projector.tokens(self.image_tokens)
        if tokens <= self.ubatch_tokens:
            return None
        return (
            f"it is {self.ubatch_tokens}, and an image is {tokens} tokens that see each other "
            f"({projector.type}): set it to at least as many, or the model sees parts of it alone"
        )

    def _guessing(self, sections: Mapping[str, Section]) -> Iterator[str]:
        """Find a model that guesses where none is to, and the other way round."""
        named = next((part.draft for part in _models(sections) if part.draft), None)
        if self.speculation.type == BY_MODEL and named is None:
            yield f"{BY_MODEL} wants a small model to guess: name one in model.draft"
        if self.speculation.type != BY_MODEL and named is not None:
            yield f"it is {self.speculation.type}, and model.draft names {named}: set it to {BY_MODEL}"

    def warnings(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> tuple[str, ...]:
        """Warn of a context beyond the model's training, and of arguments that nobody can tell of."""
        unsure = self._unsure(sections, host, prepared)
        return (*self._beyond(sections, host, prepared), *((unsure,) if unsure else ()))

    def _unsure(self, sections: Mapping[str, Section], host: str, prepared: Prepared) -> str | None:
        engines = (part for part in sections.values() if isinstance(part, EngineSettings))
        commits = (engine.commit(host, prepared) for engine in engines)
        return next((self.unsure(commit) for commit in commits), None)

    def unsure(self, commit: str) -> str | None:
        """Return what to say where nobody knows what llama-server of this commit would take."""
        speculation, template = self.speculation.type, self.chat.template_name
        named = [f"the chat template {template}"] if template else []
        named += [f"speculation {speculation}"] if speculation != "none" else []
        return flags.not_known(self.extra_args, named, commit)

    @model_validator(mode="after")
    def _weights_stay_or_go(self) -> Settings:
        if self.lock_weights and self.idle_unload_s is not None:
            raise ValueError(
                "lock_weights keeps the weights in memory and idle_unload_s gives them up: set one of "
                "the two"
            )
        return self

    @model_validator(mode="after")
    def _values_can_be_kept(self) -> Settings:
        if self.flash_attention == "off" and self.cache_type_v not in ("f32", "f16", "bf16"):
            raise ValueError(
                f"cache_type_v {self.cache_type_v} needs flash attention, or llama-server does not "
                "start: leave flash_attention at auto, or set cache_type_v to f16"
            )
        return self

    def _beyond(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> tuple[str, ...]:
        several = (
            (part.chosen(host, prepared), *part.further(host, prepared))
            for part in _models(sections)
        )
        known = (model.fit for models in several for model in models)
        reported = (beyond(dims.ctx_train, self.request) for dims in known if dims)
        return tuple(dict.fromkeys(f"serving.ctx_tokens: {said}" for said in reported if said))

    def url(self, name: str) -> str:
        """Return the address by which clients reach the model, on a node that is reached by `name`."""
        if self.expose == "local":
            return f"http://127.0.0.1:{self.port}"
        scheme, edge = "https" if self.expose == "tls" else "http", self.edge
        place = edge.name or edge.address or name
        return f"{scheme}://{bracketed(place)}:{self.edge_port}"

    @property
    def edge_port(self) -> int:
        """The port that clients connect to, where they are let in."""
        return self.edge.port or PORTS.get(self.expose, self.port)

    @property
    def own_ports(self) -> Mapping[str, int]:
        """The ports that it listens on, by their settings."""
        ports = {"serving.port": self.port}
        return ports if self.expose == "local" else {**ports, "serving.edge.port": self.edge_port}

    @property
    def request(self) -> Request:
        """What memory is counted for."""
        request = Request(
            ctx=self.ctx_tokens,
            slots=self.slots,
            ubatch=self.ubatch_tokens,
            type_k=self.cache_type_k,
            type_v=self.cache_type_v,
            cache_ram_mib=self.cache_ram_mib,
            checkpoints=self.ctx_checkpoints,
            flash=self.flash_attention != "off",
            locked=self.lock_weights,
            vectors=self.task != "chat",
            drafted=self.speculation.drafted,
            image_tokens=self.image_tokens,
        )
        tables_bytes = self.speculation.table_bytes(request.cells, self.slots)
        return replace(request, tables_bytes=tables_bytes)

    def request_with(self, draft: Dims | None, projector: Projector | None) -> Request:
        """Return the same with what helps the model, where that is known."""
        guessing = draft.geometry if draft else None
        return replace(self.request, draft=guessing, projector=projector)
