"""Settings of the role engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from bramble.board import Board
from bramble.llama import lock as engine_lock
from bramble.llama import processor
from bramble.llama.lock import Lock
from bramble.prepared import Pinned, Prepared, PreparedSection
from bramble.settings import LocalPath, Section, option

# llama.cpp 0.5.0-dev of 2026-10-01, the commit whose flags the role `serving` is written for.
COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"

# The names that articles use, with today's: CMake silently ignores the first two.
RENAMED = {
    "GGML_ARM_KLEIDIAI": "GGML_CPU_KLEIDIAI",
    "GGML_OPENBLAS": "GGML_BLAS with GGML_BLAS_VENDOR=OpenBLAS",
    "GGML_CPU_AARCH64": "GGML_CPU_REPACK",
    "LLAMA_NATIVE": "GGML_NATIVE",
    "LLAMA_AVX": "GGML_AVX",
    "LLAMA_BLAS": "GGML_BLAS",
    "LLAMA_OPENBLAS": "GGML_BLAS with GGML_BLAS_VENDOR=OpenBLAS",
    "LLAMA_RPC": "GGML_RPC",
    "LLAMA_CURL": "LLAMA_OPENSSL",
}

VariantName = Literal["auto", "plain", "kleidiai", "openblas", "rpc"]
OptionName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class Git(Section):
    """A commit of a git repository that the node can reach."""

    url: str = option(
        "https://github.com/ggml-org/llama.cpp",
        help="Repository to fetch from.",
        pattern=r"^((https?|git|ssh|file)://\S+|[^\s:/-][^\s:/]*:[^\s/]\S*)$",
    )
    commit: str = option(
        COMMIT, help="Full commit to build; branches and tags move.", pattern=r"^[0-9a-f]{40}$"
    )


class Archive(Section):
    """An archive on this computer, for nodes without internet access."""

    sent: ClassVar[tuple[str, ...]] = ("path",)

    path: LocalPath = option(
        ..., help="Archive that GNU tar reads.", example="~/llama.cpp-0c1e5709.tar.gz"
    )
    sha256: str = option(..., help="The archive's sha256.", pattern=r"^[0-9a-f]{64}$")
    subdir: str = option(
        "",
        help="Folder of the archive that holds llama.cpp's CMakeLists.txt; empty: its root.",
        example="llama.cpp-0c1e57098bba43ac29e6e3b677cdceebdd22334f",
    )
    commit: str = option(
        COMMIT,
        help="Commit that the archive holds, for the build's name.",
        pattern=r"^[0-9a-f]{40}$",
    )


class Source(Section):
    """Where llama.cpp's source comes from: one of the two."""

    git: Git | None = option(None, help="A git commit, fetched by the node.")
    archive: Archive | None = option(None, help="A local archive, sent over SSH.")

    @model_validator(mode="after")
    def _one(self) -> Source:
        if self.git and self.archive:
            raise ValueError("give git or archive, not both")
        return self


class KleidiAIArchive(Section):
    """An archive of KleidiAI's source on this computer."""

    sent: ClassVar[tuple[str, ...]] = ("path",)

    path: LocalPath = option(
        ..., help="Archive that GNU tar reads.", example="~/kleidiai-v1.24.0-src.tar.gz"
    )
    sha256: str = option(..., help="The archive's sha256.", pattern=r"^[0-9a-f]{64}$")
    subdir: str = option(
        "",
        help="Folder of the archive that holds KleidiAI's CMakeLists.txt; empty: its root, or the "
        "one folder there.",
        example="kleidiai-1.24.0",
    )


class KleidiAI(Section):
    """KleidiAI's source, for variant kleidiai; the one that llama.cpp itself names."""

    version: str = option(
        "1.24.0",
        help="Release to download; that which llama.cpp's ggml-cpu/CMakeLists.txt names.",
        pattern=r"^[0-9]+(\.[0-9]+)+$",
    )
    md5: str = option(
        "2f02ebe29573d45813e671eb304f2a00",
        help="MD5 of that release's source archive, as llama.cpp has it.",
        pattern=r"^[0-9a-f]{32}$",
    )
    archive: KleidiAIArchive | None = option(
        None, help="A local archive instead, for fleets without internet access."
    )


class Settings(PreparedSection):
    """llama.cpp, compiled for the node's own processor: on the node, or once on this computer."""

    source: Source = option(Source(), help="Pinned source; not set: llama.cpp's own repository.")
    recipe: Literal["native", "cross"] = option(
        "native",
        help="native: the node compiles for itself; cross: it installs what `bramble engine build` "
        "made on this computer, and never compiles.",
    )
    variant: VariantName = option(
        "auto",
        help="auto: what `bramble engine race` found to be the fastest on this processor, else plain; "
        "plain: ggml's own kernels; kleidiai: Arm's for Q4_0 and Q8_0, with dotprod; openblas: "
        "prompts through OpenBLAS, seldom faster; rpc: ggml-rpc-server too.",
    )
    kleidiai: KleidiAI = option(KleidiAI(), help="KleidiAI's source, for variant kleidiai.")
    force: bool = option(
        False,
        help="Build variant kleidiai for processors without dotprod too, where it changes nothing.",
    )
    mirror: str | None = option(
        None,
        help="Web folder with copies of the store's archives (SHA256.tar.gz), which nodes try first.",
        example="http://192.168.1.2:8090/engine",
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
    )
    build_number: int = option(
        0, help="Number of the build (llama.cpp's b-number); 0: not known.", ge=0, example=11300
    )
    jobs: int | None = option(
        None, help="Compiler processes at once; not set: by cores and memory.", ge=1, le=64
    )
    options: dict[OptionName, str] = option(
        {},
        help="CMake options on top of the planned ones; one that llama.cpp lacks stops the build.",
        example={"GGML_LTO": "ON"},
    )
    keep_releases: int = option(
        3,
        help="Releases that stay on a node; the current one, its predecessor and what runs always do.",
        example=5,
        ge=2,
        le=100,
    )

    def pins(self, host: str, prepared: Prepared) -> tuple[Pinned, ...]:
        """Return the release or the commit that engine.lock has for this host."""
        pin, commit = prepared.engine.hosts.get(host), prepared.engine.commit_of(host)
        if pin:
            what = f"release {pin.release} ({pin.build_info})"
            since = f"{host} stays at {what} since `bramble rollback` (engine.lock)"
            return (Pinned(self._says_commit, what, f"{since}, until `bramble upgrade {host}`"),)
        set_here = (self.source.git or Git()).commit
        if self.source.archive or commit in (None, set_here):
            return ()
        what = f"commit {commit}"
        said = f"{host} gets {what} by `bramble upgrade --to` (engine.lock), and not {set_here}"
        return (Pinned(self._says_commit, what, said),)

    def faults(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> Iterator[str]:
        """Find winners of races in engine.lock that are no variants."""
        known = [name for name in get_args(VariantName) if name != "auto"]
        for soc, won in prepared.engine.variants.items():
            if won.variant not in known:
                yield (
                    f"{engine_lock.FILE} has variant {won.variant!r} for {soc}, and {', '.join(known)} "
                    "are known; race again, or delete its lines"
                )

    @property
    def _says_commit(self) -> str:
        """The setting that names the commit."""
        kind = "archive" if self.source.archive else "git"
        return f"source.{kind}.commit" if getattr(self.source, kind) else f"source.{kind}"

    def commit(self, host: str, prepared: Prepared) -> str:
        """Return the commit that a host runs, or its first digits where the host was rolled back."""
        if pin := prepared.engine.hosts.get(host):
            return pin.build_info.rpartition("-")[2]
        if self.source.archive:
            return self.source.archive.commit
        return prepared.engine.commit_of(host) or (self.source.git or Git()).commit

    @property
    def from_archive(self) -> bool:
        """Whether releases are built from an archive, which holds one commit."""
        return self.source.archive is not None

    def variant_for(self, soc: str, lock: Lock) -> str:
        """Return the variant that a processor gets: the one that is set, else its race's winner."""
        if self.variant != "auto":
            return self.variant
        raced = lock.variants.get(soc)
        won = raced.variant if raced else "plain"
        return "plain" if (self.recipe, won) == ("cross", "openblas") else won

    def worth_a_race(self, board: Board) -> tuple[str, ...]:
        """Name the variants that may be faster than plain on this board; rpc computes as plain does."""
        kernels = ("kleidiai",) if processor.has_dotprod(board) else ()
        return kernels if self.recipe == "cross" else (*kernels, "openblas")

    @model_validator(mode="after")
    def _todays_names(self) -> Settings:
        for name in self.options:
            if name in RENAMED:
                raise ValueError(f"options.{name} is no longer a name; use {RENAMED[name]}")
        return self

    @model_validator(mode="after")
    def _can_be_crossed(self) -> Settings:
        if (self.recipe, self.variant) == ("cross", "openblas"):
            raise ValueError(
                "variant openblas is compiled against the node's own OpenBLAS; "
                "use recipe native, or variant plain"
            )
        return self
