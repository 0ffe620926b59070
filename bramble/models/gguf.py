"""The header of a GGUF file, from its first bytes: what a model is, before its weights are fetched.

`read(data)` is pure. It keeps scalars, short texts and short numeric arrays, and only counts the rest
(a vocabulary is hundreds of thousands of texts), so its memory is bounded by LIMIT_BYTES. It raises
NeedMore where the bytes end too early, and GgufError where more bytes would not help. It refuses what
llama.cpp's own parser (ggml/src/gguf.cpp) refuses, and headers beyond the limits below.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

LIMIT_BYTES = 64 << 20
"""No header is longer; the longest of published models, with their vocabularies, are about 16 MiB."""

PAIRS_LIMIT = 1 << 14
TENSORS_LIMIT = 1 << 16
NAME_LIMIT = 64
TEXT_KEPT = 1 << 16
ARRAY_KEPT = 1 << 12
DIMENSIONS_LIMIT = 4
SIZE_LIMIT = 1 << 50
VERSIONS = (2, 3)

Value = int | float | bool | str | tuple[int | float | bool, ...]


@dataclass(frozen=True)
class Type:
    """A tensor's type: `size` bytes hold a block of `block` elements."""

    name: str
    block: int
    size: int


# By number, from ggml.h and ggml-common.h of the pinned llama.cpp.
TYPES: Mapping[int, Type] = {
    number: Type(name, block, size)
    for number, name, block, size in (
        (0, "F32", 1, 4),
        (1, "F16", 1, 2),
        (2, "Q4_0", 32, 18),
        (3, "Q4_1", 32, 20),
        (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34),
        (9, "Q8_1", 32, 36),
        (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176),
        (14, "Q6_K", 256, 210),
        (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66),
        (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18),
        (21, "IQ3_S", 256, 110),
        (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136),
        (24, "I8", 1, 1),
        (25, "I16", 1, 2),
        (26, "I32", 1, 4),
        (27, "I64", 1, 8),
        (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56),
        (30, "BF16", 1, 2),
        (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17),
        (40, "NVFP4", 64, 36),
        (41, "Q1_0", 128, 18),
        (42, "Q2_0", 64, 18),
    )
}

_STRING, _ARRAY = 8, 9
_SCALARS = {
    number: struct.Struct(f"<{code}") for number, code in enumerate("BbHhIif?") if number != _STRING
} | {10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d")}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


class GgufError(Exception):
    """What is wrong with the header, in a sentence that says what to do."""


class NeedMore(Exception):
    """The header continues: at least `size` bytes of the file are needed."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the header takes {size} bytes at least")
        self.size = size


@dataclass(frozen=True)
class Tensor:
    """One tensor: its shape, the fastest dimension first, and its size in bytes."""

    name: str
    shape: tuple[int, ...]
    type: Type
    nbytes: int


@dataclass(frozen=True)
class Header:
    """A model's metadata and tensors; of long arrays only the lengths."""

    version: int
    metadata: Mapping[str, Value]
    lengths: Mapping[str, int] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    data_offset: int
    data_bytes: int

    @property
    def file_bytes(self) -> int:
        """The size of the whole file; a shorter one is truncated."""
        return self.data_offset + self.data_bytes


def read(data: bytes | bytearray | memoryview) -> Header:
    """Parse the header in a file's first bytes; raise NeedMore or GgufError."""
    return _Reader(memoryview(data)).header()


class _Reader:
    """A cursor over the bytes; it compares every length with the limits before it uses it."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def header(self) -> Header:
        version, tensors, pairs = self._counts()
        metadata: dict[str, Value] = {}
        lengths: dict[str, int] = {}
        for _ in range(pairs):
            self._pair(metadata, lengths)
        parts = metadata.get("split.count", 1)
        if isinstance(parts, int) and parts > 1:
            raise GgufError(
                f"This is one of {parts} parts of a split model. Merge them with "
                "`llama-gguf-split --merge`, or take a file that holds the whole model."
            )
        alignment = _alignment(metadata)
        found, size = self._tensors(tensors, alignment)
        return Header(
            version=version,
            metadata=metadata,
            lengths=lengths,
            tensors=found,
            data_offset=_padded(self.at, alignment),
            data_bytes=size,
        )

    def _counts(self) -> tuple[int, int, int]:
        magic = bytes(self._take(4))
        if magic != b"GGUF":
            raise GgufError(_not_gguf(bytes(self.data[:64])))
        version = self._number(_U32)
        if version & 0xFFFF == 0:
            raise GgufError(
                "The file is big-endian (`gguf-convert-endian` of the package gguf turns it round); "
                "a Raspberry Pi is little-endian."
            )
        if version not in VERSIONS:
            raise GgufError(
                f"The file is GGUF of version {version}; the pinned llama.cpp reads versions 2 and 3. "
                + ("Convert the model again." if version < 2 else "Pin a newer llama.cpp.")
            )
        tensors, pairs = self._number(_U64), self._number(_U64)
        _within("tensors", tensors, TENSORS_LIMIT)
        _within("metadata pairs", pairs, PAIRS_LIMIT)
        if tensors == 0:
            raise GgufError("The file holds no tensors: it is a vocabulary, and not a model.")
        return version, tensors, pairs

    def _pair(self, metadata: dict[str, Value], lengths: dict[str, int]) -> None:
        key = self._text("a key", TEXT_KEPT - 1)
        if not key or key in metadata or key in lengths:
            raise GgufError(f"The metadata has the key {key!r} {'twice' if key else 'of no name'}.")
        kind = self._number(_U32)
        if kind == _ARRAY:
            self._array(key, metadata, lengths)
        elif kind == _STRING:
            length = self._length(f"the text of {key}")
            raw = self._take(length)
            metadata[key] = bytes(raw[:TEXT_KEPT]).decode(errors="replace")
        elif kind in _SCALARS:
            metadata[key] = self._number(_SCALARS[kind])
        else:
            raise GgufError(f"The metadata's {key} has the unknown type {kind}.")

    def _array(self, key: str, metadata: dict[str, Value], lengths: dict[str, int]) -> None:
        kind, length = self._number(_U32), self._number(_U64)
        lengths[key] = length
        if kind == _STRING:
            # Each text takes eight bytes at least, so this ends within the limit.
            _within(f"texts in {key}", length, LIMIT_BYTES // 8)
            self._skip_texts(length)
        elif kind in _SCALARS:
            form = _SCALARS[kind]
            _within(f"bytes in {key}", length * form.size, LIMIT_BYTES)
            raw = self._take(length * form.size)
            if length <= ARRAY_KEPT:
                metadata[key] = tuple(value for (value,) in form.iter_unpack(raw))
        else:
            raise GgufError(f"The metadata's {key} is an array of the unknown type {kind}.")

    def _skip_texts(self, count: int) -> None:
        data, at, end, unpack = self.data, self.at, len(self.data), _U64.unpack_from
        for _ in range(count):
            if at + 8 > end:
                self._ask(at + 8)
            at += 8 + unpack(data, at)[0]
            if at > LIMIT_BYTES:
                self._ask(at)
        self.at = at
        self._take(0)

    def _tensors(self, count: int, alignment: int) -> tuple[tuple[Tensor, ...], int]:
        found: dict[str, Tensor] = {}
        size = 0
        for _ in range(count):
            tensor, offset = self._tensor()
            if tensor.name in found:
                raise GgufError(f"The tensor {tensor.name} is there twice.")
            if offset != size:
                raise GgufError(
                    f"The tensor {tensor.name} is said to begin at {offset}, where {size} is right: "
                    "the header is damaged. Fetch the file again."
                )
            found[tensor.name] = tensor
            size += _padded(tensor.nbytes, alignment)
            _within("bytes of weights", size, SIZE_LIMIT)
        return tuple(found.values()), size

    def _tensor(self) -> tuple[Tensor, int]:
        name = self._text("a tensor's name", NAME_LIMIT - 1)
        dimensions = self._number(_U32)
        _within(f"dimensions of {name}", dimensions, DIMENSIONS_LIMIT)
        shape = tuple(self._number(_U64) for _ in range(dimensions))
        elements = 1
        for length in shape:
            elements *= length
            _within(f"elements of {name}", elements, SIZE_LIMIT)
        number = self._number(_U32)
        kind = TYPES.get(number)
        if kind is None:
            raise GgufError(
                f"The tensor {name} has the type {number}, which the pinned llama.cpp does not know."
            )
        if (shape[0] if shape else 1) % kind.block:
            raise GgufError(
                f"The tensor {name} has rows of {shape[0] if shape else 1}, and {kind.name} needs "
                f"multiples of {kind.block}."
            )
        return Tensor(name, shape, kind, elements // kind.block * kind.size), self._number(_U64)

    def _text(self, what: str, limit: int) -> str:
        length = self._length(what)
        _within(f"bytes in {what}", length, limit)
        return bytes(self._take(length)).decode(errors="replace")

    def _length(self, what: str) -> int:
        length = self._number(_U64)
        _within(f"bytes in {what}", length, LIMIT_BYTES)
        return length

    def _number(self, form: struct.Struct) -> int:
        number: int = form.unpack(self._take(form.size))[0]
        return number

    def _take(self, size: int) -> memoryview:
        end = self.at + size
        if end > len(self.data):
            self._ask(end)
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _ask(self, size: int) -> None:
        """Raise NeedMore, or GgufError where so many bytes cannot be right."""
        _within("bytes of header", size, LIMIT_BYTES)
        raise NeedMore(size)


def _alignment(metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", 32)
    if not isinstance(value, int) or not 8 <= value <= 1 << 20 or value & value - 1:
        raise GgufError(f"The file's alignment is {value!r}; a power of two from 8 on is right.")
    return value


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _within(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise GgufError(
            f"The header claims {found} {what}, and {limit} is the most that is believed: "
            "the file is damaged or no model."
        )


def _not_gguf(start: bytes) -> str:
    """Say what the file is instead, as far as its start shows."""
    if start.startswith(b"FUGG"):
        return "The file is a byte-swapped GGUF; convert it with `gguf-convert-endian`."
    if start.startswith(b"version https://git-lfs"):
        return "The file is a Git LFS pointer; fetch the file that it points to (`git lfs pull`)."
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "The file is a web page: the address is wrong, or it wants a login."
    return f"The file does not begin with GGUF, but with {start[:4]!r}: it is no GGUF model."
