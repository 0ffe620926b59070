"""What a build depends on: the processor's key, and the CMake options for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bramble.board import Board


@dataclass(frozen=True)
class Arm:
    """An Arm core known by name: its part number, and gcc 12's -march and -mtune for it."""

    part: str
    arch: str
    tune: str


# By the processor's key. The two differ in dotprod: the A72 lacks it, and a build that uses it is killed
# there by SIGILL at its first computation.
ARMS = {
    "cortex-a72": Arm("0xd08", "armv8-a+crc", "cortex-a72"),
    "cortex-a76": Arm("0xd0b", "armv8.2-a+crc+crypto+dotprod+fp16", "cortex-a76"),
}
GENERIC_ARM = "armv8-a"

# llama.cpp's options for x86-64, each with the features (/proc/cpuinfo) that it needs. Its kernels for
# AMX are compiled with AVX-512 and VNNI only; what they compute is eight bits wide.
_AVX512 = {"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"}
_AMX = {"amx_tile", "amx_int8", "avx512_vnni"} | _AVX512
_UNNAMED = ("GGML_SSE42", "GGML_AMX_TILE")  # system_info has no name for them
X86_OPTIONS = {
    "GGML_SSE42": {"sse4_2"},
    "GGML_F16C": {"f16c"},
    "GGML_FMA": {"fma"},
    "GGML_BMI2": {"bmi2"},
    "GGML_AVX": {"avx"},
    "GGML_AVX2": {"avx2"},
    "GGML_AVX_VNNI": {"avx_vnni"},
    "GGML_AVX512": _AVX512,
    "GGML_AVX512_VBMI": {"avx512vbmi"},
    "GGML_AVX512_VNNI": {"avx512_vnni"},
    "GGML_AVX512_BF16": {"avx512_bf16"},
    "GGML_AMX_TILE": _AMX,
    "GGML_AMX_INT8": _AMX,
}


def soc_key(board: Board) -> str:
    """Return the key of a processor: a known core's name, else the part number or `x86-64`."""
    if board.architecture != "arm64":
        return "x86-64"
    names = [name for name, arm in ARMS.items() if arm.part == board.cpu_part]
    return names[0] if names else f"arm64-{board.cpu_part or 'generic'}"


def options(board: Board, recipe: str) -> dict[str, str]:
    """Return the CMake options for a processor's instructions: gcc's detection on Arm, else by name.

    A `cross` build runs elsewhere, where detection would find another processor; and under emulation
    CMake's test programs that fail count as passed. x86-64 is always by name.
    """
    if board.architecture == "arm64":
        return {"GGML_NATIVE": "ON"} if recipe == "native" else _arm_by_name(board)
    enabled = {
        name: "ON" if needed <= board.cpu_features else "OFF"
        for name, needed in X86_OPTIONS.items()
    }
    return {"GGML_NATIVE": "OFF"} | enabled


def _arm_by_name(board: Board) -> dict[str, str]:
    known = ARMS.get(soc_key(board))
    arch = f"{known.arch};-mtune={known.tune}" if known else GENERIC_ARM
    return {"GGML_NATIVE": "OFF", "GGML_CPU_ARM_ARCH": arch}


def has_dotprod(board: Board) -> bool:
    """Return whether an Arm processor has the instructions of ggml's and KleidiAI's fast kernels."""
    known = ARMS.get(soc_key(board))
    return "dotprod" in known.arch if known else "asimddp" in board.cpu_features


def shown(board: Board, options: Mapping[str, str]) -> tuple[str, ...]:
    """Return what llama.cpp's system_info must name for a build with these options."""
    native = options.get("GGML_NATIVE") == "ON"
    if board.architecture == "arm64":
        arch = options.get("GGML_CPU_ARM_ARCH", "")
        dotprod = has_dotprod(board) if native else "dotprod" in arch
        kleidiai = options.get("GGML_CPU_KLEIDIAI") == "ON"
        return (*(["DOTPROD"] if dotprod else []), *(["KLEIDIAI"] if kleidiai else []))
    enabled = [name for name in X86_OPTIONS if options.get(name) == "ON" and not native]
    if "GGML_AVX512" not in enabled:  # extensions of AVX-512 are compiled with it only
        enabled = [name for name in enabled if not name.startswith(("GGML_AVX512", "GGML_AMX"))]
    return tuple(name.removeprefix("GGML_") for name in enabled if name not in _UNNAMED)
