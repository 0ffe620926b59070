"""Sections with every kind of setting, so that these tests do not depend on the roles."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from bramble.settings import LocalPath, Section, SshSettings, option


class Tls(Section):
    """A certificate."""

    cert: LocalPath = option(..., help="Certificate to show.")
    days: int = option(90, help="How long it holds.", unit="days", ge=1)


class Mount(Section):
    """A file system."""

    path: str = option(..., help="Where it is mounted.", pattern=r"^/")
    size_mib: int | None = option(None, help="Its size.", unit="MiB", ge=1)


class Serving(Section):
    """A server."""

    port: int = option(8080, help="Port it listens on.", ge=1, le=65535)
    share: float = option(0.5, help="Its share of the memory.", ge=0, le=1)
    mode: Literal["on", "off", "auto"] = option("auto", help="When it runs.")
    threads: Annotated[int, Field(ge=1)] | Literal["all"] = option("all", help="Threads.")
    flags: tuple[str, ...] = option((), help="Flags to add.", example=["--mlock"])
    env: dict[Annotated[str, Field(pattern="^[A-Z]+$")], str] = option({}, help="Environment.")
    mounts: list[Mount] = option([], help="File systems.")
    tls: Tls | None = option(None, help="Certificate; not set: plain HTTP.")
    api_key: str | None = option(None, help="Key.", pattern="^[a-f0-9]{8}$", example="00c0ffee")
    lock: LocalPath = option("models.lock", help="Lock file.")
    least: int = option(0, help="Least.", ge=0)
    most: int = option(100, help="Most.", ge=0)
    name: str | None = option(None, help="Its name.")

    @field_validator("name")
    @classmethod
    def _not_root(cls, name: str | None) -> str | None:
        if name == "root":
            raise ValueError("it must not be root")
        return name

    @model_validator(mode="after")
    def _ordered(self) -> "Serving":
        if self.least > self.most:
            raise ValueError(f"least {self.least} is above most {self.most}")
        return self


class Model(Section):
    """A model."""

    folder: Path = option(Path("/models"), help="Folder on the node.")
    sha256: str | None = option(None, help="Checksum.")


SECTIONS = {"ssh": SshSettings, "serving": Serving, "model": Model}


class Needy(Section):
    """A section that cannot do without."""

    url: str = option(..., help="Where it is.", example="http://10.0.0.1/")
