"""KleidiAI, Arm's own kernels: its pinned source, and where it is of use."""

from __future__ import annotations

from typing import Any

from bramble.board import Board
from bramble.llama import processor
from bramble.roles.engine.settings import KleidiAI
from bramble.steps import Upload

# Where Arm publishes it; llama.cpp names the same address.
RELEASES = "https://github.com/ARM-software/kleidiai/releases/download"

# Run by CMake at the end of each project() call, so in KleidiAI's own folder too. Debian 12's gcc 12.2
# crashes at one file of it with -O3 (internal compiler error in vect_transform_reduction), and does
# not without this pass; the file packs bfloat16, which nothing for Q4_0 and Q8_0 calls.
HOOK = """\
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 13)
  file(GLOB_RECURSE crashing
    "${CMAKE_CURRENT_SOURCE_DIR}/kai/*/kai_lhs_quant_pack_qai8dxp_bf16_neon.c")
  set_source_files_properties(${crashing} PROPERTIES COMPILE_FLAGS -fno-tree-loop-vectorize)
endif()
"""


def source(settings: KleidiAI) -> tuple[dict[str, Any], Upload | None]:
    """Return KleidiAI's source: a local archive, else the release's own one."""
    archive = settings.archive
    if archive is None:
        name = f"v{settings.version}"
        url = f"{RELEASES}/{name}/kleidiai-{name}-src.tar.gz"
        return {"kind": "download", "url": url, "md5": settings.md5}, None
    remote = f"/var/tmp/bramble-kleidiai-{archive.sha256[:12]}"
    found = {"kind": "archive", "sha256": archive.sha256, "subdir": archive.subdir}
    return found | {"upload": remote}, Upload(archive.path, remote)


def refusal(board: Board, force: bool) -> str | None:
    """Return why this processor gets no build with KleidiAI; None when it may have one."""
    if board.architecture != "arm64":
        return (
            "engine.variant is kleidiai, and KleidiAI is for 64-bit Arm only; set engine.variant to "
            "plain for this host"
        )
    if force or processor.has_dotprod(board):
        return None
    return (
        f"engine.variant is kleidiai, and {processor.soc_key(board)} has no dotprod, which all of "
        "KleidiAI's kernels need: the build would compute as plain does. Set engine.variant to "
        "plain for this host, or engine.force to true to build it all the same"
    )
