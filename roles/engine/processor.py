"""What a processor decides on: the CMake options of a build for it, and the key of its like."""

from __future__ import annotations

from bramble.board import Board

# llama.cpp's options for x86-64, each with the features (/proc/cpuinfo) that it needs. AMX is left
# out: virtual machines advertise it and then fail at its first instruction (seen: SIGILL at
# `tilezero` under Firecracker on a Xeon), and a native build would use it.
_X86_OPTIONS = {
    "GGML_SSE42": {"sse4_2"},
    "GGML_F16C": {"f16c"},
    "GGML_FMA": {"fma"},
    "GGML_BMI2": {"bmi2"},
    "GGML_AVX": {"avx"},
    "GGML_AVX2": {"avx2"},
    "GGML_AVX_VNNI": {"avx_vnni"},
    "GGML_AVX512": {"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"},
    "GGML_AVX512_VBMI": {"avx512vbmi"},
    "GGML_AVX512_VNNI": {"avx512_vnni"},
    "GGML_AVX512_BF16": {"avx512_bf16"},
}


def options(board: Board) -> dict[str, str]:
    """Native where gcc's detection is right, which is on Arm; elsewhere each feature by name."""
    if board.architecture == "arm64":
        return {"GGML_NATIVE": "ON"}
    enabled = {
        name: "ON" if needed <= board.cpu_features else "OFF"
        for name, needed in _X86_OPTIONS.items()
    }
    return {"GGML_NATIVE": "OFF"} | enabled


def soc_key(board: Board) -> str:
    """The like that a build serves, with its options: the Arm part number, or the architecture."""
    if board.architecture == "arm64":
        return f"arm64-{board.cpu_part}"
    return board.architecture
