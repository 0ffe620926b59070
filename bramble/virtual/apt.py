"""The Debian sources of this machine, read from its own apt configuration.

A virtual Pi uses the mirror that its host uses, so nothing here names a mirror.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bramble.virtual.errors import VirtualPiError
from bramble.virtual.releases import RELEASES

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_DEBIAN_SUITE = re.compile(
    r"^(?P<name>bullseye|bookworm|trixie|forky|sid|unstable|testing|stable|oldstable)"
    r"(?P<part>-updates|-security)?$"
)
_FOREIGN_PATH = re.compile(r"(raspbian|raspberrypi|ubuntu)", re.IGNORECASE)
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>\S.*)$")


@dataclass(frozen=True)
class Source:
    """One archive, one suite and its components."""

    uri: str
    suite: str
    components: tuple[str, ...]

    @property
    def line(self) -> str:
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}"

    @property
    def host(self) -> str:
        return urlsplit(self.uri).hostname or ""


@dataclass(frozen=True)
class AptHost:
    """What this machine's apt knows that its virtual Pis need: sources, proxy, clock rules."""

    found: tuple[Source, ...]
    """Every source of this machine, Debian's and others'."""
    http_proxy: str | None
    https_proxy: str | None
    options: tuple[tuple[str, str], ...]

    def sources(self, release: str) -> tuple[Source, ...]:
        """Return the sources of a node of this release."""
        return debian_sources(self.found, release)

    @property
    def mirror_hosts(self) -> tuple[str, ...]:
        """Return the hosts of every release's sources: nodes of all of them share one proxy."""
        hosts = {source.host for release in RELEASES for source in self.sources(release)}
        return tuple(sorted(hosts))


def parse_one_line(text: str) -> Iterator[Source]:
    """Yield the sources of a classic sources.list."""
    for raw in text.splitlines():
        found = _ONE_LINE.match(raw.split("#", 1)[0].strip())
        if found:
            uri, suite, *components = found["rest"].split()
            yield Source(uri.rstrip("/"), suite, tuple(components))


def parse_deb822(text: str) -> Iterator[Source]:
    """Yield the sources of a .sources file: each URI with each suite of every enabled stanza."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").strip().lower() in {"no", "false", "0"}:
            continue
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri.rstrip("/"), suite, components)


def _fields(stanza: str) -> dict[str, str]:
    """Return the fields of one deb822 stanza by lower-case name; comments may stand inside a value."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace() and name:
            fields[name] += " " + line.strip()
        elif ":" in line:
            key, value = line.split(":", 1)
            name = key.strip().lower()
            fields[name] = value.strip()
    return fields


def debian_sources(found: Iterable[Source], release: str) -> tuple[Source, ...]:
    """Return the three suites of a release, from the archives that the host has for its own Debian.

    A host of another Debian release contributes its mirror and its security archive, with the
    suite's name replaced. Third-party repositories (no Debian suite, no `main`) are left out.
    """
    chosen: dict[str, Source] = {}
    for source in found:
        suite = _DEBIAN_SUITE.match(source.suite)
        if not suite or not source.uri.startswith(("http://", "https://")):
            continue
        if "main" not in source.components or _FOREIGN_PATH.search(source.uri):
            continue
        wanted = release + (suite["part"] or "")
        # An exact entry beats one derived from another release.
        if wanted not in chosen or source.suite == wanted:
            kept = tuple(c for c in source.components if c in {"main", "contrib", "non-free"})
            chosen[wanted] = Source(source.uri, wanted, kept)
    if release not in chosen:
        raise VirtualPiError(
            "no Debian mirror over http or https was found in /etc/apt/sources.list and "
            "/etc/apt/sources.list.d; a virtual Pi needs one: add a line such as "
            f"'deb http://<your mirror>/debian {release} main' and try again"
        )
    base = chosen[release]
    updates = f"{release}-updates"
    chosen.setdefault(updates, Source(base.uri, updates, base.components))
    suites = (release, updates, f"{release}-security")
    return tuple(chosen[suite] for suite in suites if suite in chosen)


def one_line_text(sources: Iterable[Source]) -> str:
    """Return sources as a classic sources.list has them."""
    return "".join(f"{source.line}\n" for source in sources)


def deb822_text(sources: Iterable[Source]) -> str:
    """Return sources as debian.sources has them: one stanza for each archive, with its suites."""
    suites: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for source in sources:
        suites.setdefault((source.uri, source.components), []).append(source.suite)
    stanzas = (
        f"Types: deb\nURIs: {uri}\nSuites: {' '.join(names)}\n"
        f"Components: {' '.join(components)}\nSigned-By: {KEYRING}\n"
        for (uri, components), names in suites.items()
    )
    return "\n".join(stanzas)


def parse_config_dump(text: str) -> dict[str, str]:
    """Return the flat `Name "value";` lines of `apt-config dump` as a mapping."""
    return dict(re.findall(r'^(\S+) "(.*)";$', text, re.MULTILINE))


def host_proxy(config: Mapping[str, str], env: Mapping[str, str], scheme: str) -> str | None:
    """Return the proxy that apt here would use: its own setting first, then the environment."""
    for value in (config.get(f"Acquire::{scheme}::Proxy"), env.get(f"{scheme}_proxy")):
        if value and value.upper() != "DIRECT":
            return value
    return None


def read_host(root: Path = Path("/")) -> AptHost:
    """Read this machine's apt configuration, from its files and `apt-config dump`."""
    etc = root / "etc/apt"
    found: list[Source] = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            found += parse_deb822(path.read_text())
        elif path.suffix == ".list" and path.is_file():
            found += parse_one_line(path.read_text())
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    config = parse_config_dump(dump.stdout)
    # A frozen mirror has old Valid-Until dates; a host that tolerates them has nodes that do.
    options = tuple(
        (name, config[name])
        for name in ("Acquire::Check-Date", "Acquire::Check-Valid-Until")
        if name in config
    )
    return AptHost(
        found=tuple(found),
        http_proxy=host_proxy(config, os.environ, "http"),
        https_proxy=host_proxy(config, os.environ, "https"),
        options=options,
    )
