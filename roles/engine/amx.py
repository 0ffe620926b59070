"""AMX, the matrix instructions of Intel's servers: what gcc before 14 needs to use them."""

from __future__ import annotations

from collections.abc import Mapping

# Run by CMake at the end of each project() call. gcc 12.2, Debian 12's, says that `_tile_loadconfig`
# reads 8 of its 64 bytes and drops the stores of the others (GCC PR target/114098): the first tile
# instruction then dies with SIGILL. So the one file that calls it gets it with all of its operand.
# gcc 14.2, Debian 13's, stores them all. The file's target is made in a folder below ggml's, hence the
# deferral.
HOOK = r"""
if(PROJECT_NAME STREQUAL "ggml" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
    AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  file(WRITE "${CMAKE_BINARY_DIR}/tile.h" [[
#include <immintrin.h>
#define _tile_loadconfig(config) \
    __asm__ volatile ("ldtilecfg\t%X0" :: "m" (*(const char (*)[64]) (config)))
]])
  cmake_language(DEFER CALL set_property SOURCE "${PROJECT_SOURCE_DIR}/src/ggml-cpu/amx/mmq.cpp"
    DIRECTORY "${PROJECT_SOURCE_DIR}/src" PROPERTY COMPILE_FLAGS
    "-include \"${CMAKE_BINARY_DIR}/tile.h\"")
endif()
"""


def wanted(options: Mapping[str, str]) -> bool:
    """Tell whether a build with these options has kernels for AMX."""
    return options.get("GGML_AMX_INT8") == "ON"
