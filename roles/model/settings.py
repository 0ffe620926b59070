"""Settings of the role model."""

from __future__ import annotations

from pydantic import model_validator

from bramble.settings import LocalPath, Section, option


class Settings(Section):
    """The model file: a name for people, a place to get it from, and its sha256."""

    name: str = option(
        ...,
        help="Name of the model; also the file's name on the node and the server's alias.",
        example="qwen2.5-1.5b-instruct-q4_k_m",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
    )
    url: str | None = option(
        None,
        help="Where the node downloads it.",
        example="https://example.org/models/model.gguf",
        pattern=r"^https?://\S+$",
    )
    path: LocalPath | None = option(
        None, help="A small file of this computer, sent over SSH instead (64 MiB at most)."
    )
    sha256: str = option(
        ..., help="The file's sha256; nothing else is ever served.", pattern=r"^[0-9a-f]{64}$"
    )
    folder: str = option(
        "/var/lib/bramble/models",
        help="Folder on the node; on an SSD when there is one.",
        pattern=r"^/[A-Za-z0-9._/-]*$",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Settings:
        if (self.url is None) == (self.path is None):
            raise ValueError("give url or path, one of them")
        limit_mib = 64
        if self.path and self.path.exists() and self.path.stat().st_size > limit_mib << 20:
            raise ValueError(
                f"path is {self.path.stat().st_size >> 20} MiB and {limit_mib} is the most that goes "
                "over SSH; put the file on a web server and give its url"
            )
        return self
