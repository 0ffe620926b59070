"""How a conversation is written for the model, and how much of it the model thinks aloud."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator

from bramble.documents.problems import unknown
from bramble.llama.arguments import known
from bramble.plan import File
from bramble.settings import Section, option

FOLDER = "/etc/bramble/chat-templates"
PATTERN = f"{FOLDER}/*.jinja"
LONGEST = 48 * 1024
"""What a look at a node shows of a file has room for it."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# llama-server knows this one with Jinja too (`common_chat_templates_init` of common/chat.cpp).
_WITH_JINJA = "chatml"
_OWNER = "{# role serving: bramble owns this file. #}"


def _template(text: str) -> str:
    """Check that it is a template's text or a template's name."""
    if _NAME.fullmatch(text) or (("{{" in text or "{%" in text) and len(text) <= LONGEST):
        return text
    some = ", ".join(known().chat_templates[:4])
    raise ValueError(
        f"this is no name of llama-server's ({some}, ...), and no Jinja template of at most {LONGEST} "
        "characters"
    )


class Chat(Section):
    """How conversations are written for the model, and what it computes of them."""

    template: Annotated[str, AfterValidator(_template)] | None = option(
        None,
        help="The chat template: a Jinja template's text, or with `jinja: false` a name that "
        "llama-server has; not set: the one in the model's file.",
        example="{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:",
    )
    jinja: bool = option(
        True,
        help="Whether templates are Jinja's, which calls of tools need; false: those that llama-server "
        "has of its own.",
    )
    reasoning_budget: int | None = option(
        None,
        help="Tokens that a model may think before it answers; 0: none, -1: as many as it likes; not "
        "set: llama-server's own default.",
        unit="tokens",
        ge=-1,
        le=1048576,
    )
    cache_reuse: int = option(
        0,
        help="Least length of a part of an earlier prompt that is used again where it has moved; "
        "0: only equal beginnings are.",
        unit="tokens",
        ge=0,
        le=1048576,
    )

    def arguments(self) -> Iterator[str]:
        """Yield llama-server's arguments, one with its value a word."""
        yield "--jinja" if self.jinja else "--no-jinja"
        if name := self.template_name:
            yield f"--chat-template {name}"
        yield from (f"--chat-template-file {file.path}" for file in self.files())
        if self.reasoning_budget is not None:
            yield f"--reasoning-budget {self.reasoning_budget}"
        if self.cache_reuse:
            yield f"--cache-reuse {self.cache_reuse}"

    @property
    def template_name(self) -> str | None:
        """The name of llama-server's own template, where one is set."""
        named = self.template and _NAME.fullmatch(self.template)
        return self.template if named else None

    def files(self) -> tuple[File, ...]:
        """Return the template's file; its text is in its name, so that each unit finds its own."""
        if self.template is None or self.template_name:
            return ()
        text = f"{_OWNER}{self.template}"
        digits = hashlib.sha256(text.encode()).hexdigest()[:12]
        return (File(path=f"{FOLDER}/{digits}.jinja", text=text),)

    def disagreements(self) -> Iterator[str]:
        """Find settings that llama-server would misread together."""
        name = self.template_name
        if name and self.jinja and name != _WITH_JINJA:
            yield (
                f"with Jinja, llama-server takes the name {name} for the whole prompt: "
                "set serving.chat.jinja to false too, or write the template's text"
            )
        if self.files() and not self.jinja:
            yield "a template's text wants chat.jinja: true"

    def unknown_template(self) -> Iterator[str]:
        """Find a name that the known build does not have."""
        name, names = self.template_name, known().chat_templates
        if name and name not in names:
            yield f"llama-server has no {name}; {unknown(name, names)}"
