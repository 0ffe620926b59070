"""Settings of the role base."""

from __future__ import annotations

from bramble.settings import Section, option


class Settings(Section):
    """The system under everything else."""

    packages: tuple[str, ...] = option(
        (), help="Debian packages to install besides those that the roles need.", example=["htop"]
    )
