"""The CMake options, programs and packages of every build of llama.cpp, and what each variant adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUILD_USER = "bramble-build"
"""Whom compilers, and programs that nobody trusts yet, run as on nodes."""

TARGETS = ("llama-server", "llama-bench", "llama-fit-params")
RUN_PACKAGES = ("libgomp1",)
BUILD_PACKAGES = ("build-essential", "ccache", "cmake", *RUN_PACKAGES, "ninja-build")

# Static and offline: no libraries to find at run time, no downloads during the build, and neither
# the RPC server nor TLS, which a node does not need.
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_RPC": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}

# What a variant adds to the options, to the programs and to the packages.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "kleidiai": {"options": {"GGML_CPU_KLEIDIAI": "ON"}, "packages": ("ca-certificates",)},
    "openblas": {
        "options": {"GGML_BLAS": "ON", "GGML_BLAS_VENDOR": "OpenBLAS"},
        "packages": ("libopenblas-dev", "pkg-config"),
    },
    "rpc": {"options": {"GGML_RPC": "ON"}, "targets": ("ggml-rpc-server",)},
}
