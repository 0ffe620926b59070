"""Arguments of llama-server that are not given beside bramble's own, and what to do instead.

Each goes by the name that the pinned build's help has for it; `*` stands for any end of a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from bramble.roles.serving import speculation

NO_PAGE = (
    "llama-server has no page for browsers inside: its build would run npm, or take one from a hub "
    "without a sha256 to prove it by; use a client that has a page of its own (docs/how-to/clients.md)"
)
"""Why the page is not offered: builds have LLAMA_BUILD_UI and LLAMA_USE_PREBUILT_UI off."""

SET_BY: Mapping[str, str] = {
    **speculation.SET_BY,
    "--model": "model.name",
    "--alias": "model.name",
    "--host": "serving.expose",
    "--port": "serving.port",
    "--ctx-size": "serving.ctx_tokens",
    "--parallel": "serving.slots",
    "--threads": "serving.threads",
    "--batch-size": "serving.ubatch_tokens",
    "--ubatch-size": "serving.ubatch_tokens",
    "--cache-ram": "serving.cache_ram_mib",
    "--ctx-checkpoints": "serving.ctx_checkpoints",
    "--cache-type-k": "serving.cache_type_k",
    "--cache-type-v": "serving.cache_type_v",
    "--load-mode": "serving.lock_weights",
    "--flash-attn": "serving.flash_attention",
    "--jinja": "serving.chat.jinja",
    "--chat-template": "serving.chat.template",
    "--chat-template-file": "serving.chat.template",
    "--embedding": "serving.task",
    "--rerank": "serving.task",
    "--pooling": "serving.pooling",
    "--reasoning-budget": "serving.chat.reasoning_budget",
    "--cache-reuse": "serving.chat.cache_reuse",
    "--sleep-idle-seconds": "serving.idle_unload_s",
    "--models-max": "serving.models_at_once",
    "--models-preset": "model.also",
    "--spec-draft-model": "model.draft",
    "--mmproj": "model.projector",
    "--image-max-tokens": "serving.image_tokens",
    "--spec-draft-threads": "serving.threads",
    "--spec-draft-type-k": "serving.cache_type_k",
    "--spec-draft-type-v": "serving.cache_type_v",
}
"""The settings that give these arguments."""

_WHY: Mapping[str, tuple[str, ...]] = {
    "llama-server ignores it: leave it out": (
        *("--defrag-thold", "--spec-ngram-simple-min-hits", "--spec-ngram-map-k-min-hits"),
    ),
    "bramble gives it always, as the fit, the gate, the checks and its docs count on it": (
        *("--cors-origins", "--fit", "--offline", "--metrics", "--slots"),
    ),
    "models are fetched and proved by their sha256: name one in `model`": (
        *("--model-url", "--docker-repo", "--hf-repo*", "--hf-file*", "--embd-gemma-default"),
        *("--fim-*", "--gpt-oss-*", "--vision-*"),
    ),
    "a node serves the models that `model.use` and `model.also` name": ("--models-*",),
    "what it takes is not counted, so nothing would tell whether the model fits": (
        *("--lora*", "--control-vector*", "--mmproj*", "--override-kv", "--swa-full"),
        *("--lazy-mode", "--kv-unified*", "--lookup-cache-*", "--spec-*", "--draft*"),
    ),
    "it sends the weights to other computers, without any authentication": ("--rpc",),
    "a key in it would stand in the unit and in every list of processes; see `bramble key`": (
        *("--api-key*", "--hf-token"),
    ),
    "who reaches the server, and how, is what serving.expose and serving.edge say": (
        *("--ssl-*", "--cors-*", "--api-prefix", "--reuse-port"),
    ),
    "it would have the server run programs, or hand out and write files, for whoever asks": (
        *("--tools*", "--agent", "--mcp-*", "--path", "--media-path", "--slot-save-path"),
    ),
    "it would let whoever asks change how the server works": ("--props",),
    NO_PAGE: ("--ui*",),
    "the gate and `bramble verify` read the journal: journalctl -u llama-server": (
        *("--log-file", "--log-disable", "--log-prompts-dir"),
    ),
    "llama-server prints something and ends with it, and serves nobody": (
        *("--help", "--version", "--cache-list", "--completion-bash", "--list-devices"),
    ),
}

_MAPPED = "bramble maps the weights (--load-mode mmap), which is what the fit counts: leave it out"
_OF_COMPLETION = (
    "it is an argument of llama-completion; a server keeps prompts in memory, by "
    "serving.cache_ram_mib"
)
_OF_CHAT = "it is an argument of programs that talk in a terminal: leave it out"

STALE: Mapping[str, str] = {
    "--mlock": "set serving.lock_weights (today it is --load-mode mmap+mlock)",
    "--mmap": _MAPPED,
    "--no-mmap": _MAPPED,
    "--direct-io": _MAPPED,
    "-dio": _MAPPED,
    "--prompt-cache": _OF_COMPLETION,
    "--prompt-cache-all": _OF_COMPLETION,
    "--prompt-cache-ro": _OF_COMPLETION,
    "--memory-f32": "set serving.cache_type_k and serving.cache_type_v to f32",
    "--system-prompt-file": "clients send the system prompt: leave it out",
    "--slots-endpoint-disable": "today it is --no-slots, which bramble gives",
    "--log-format": "today there is --log-jsonl",
    "--n-gqa": "the model's file says it: leave it out",
    "--penalize-nl": "leave it out",
    "--tfs": "leave it out",
    "--interactive": _OF_CHAT,
    "--color": _OF_CHAT,
    "--prompt": _OF_CHAT,
    "--file": _OF_CHAT,
    "-i": _OF_CHAT,
    "-p": _OF_CHAT,
    "-f": _OF_CHAT,
    "-cnv": _OF_CHAT,
}
"""Arguments of older llama.cpp, or of its other programs, that articles give to llama-server."""


def why_not(name: str) -> str | None:
    """Return why an argument is not given, and what to do; None where it may be."""
    if name in SET_BY:
        return f"{SET_BY[name]} sets it"
    for why, names in _WHY.items():
        if any(fnmatchcase(name, pattern) for pattern in names):
            return why
    return None
