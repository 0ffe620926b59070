"""Writes GGUF files that are all header: a model's shape, with a hole where its weights would be."""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

ALIGNMENT = 32
# Bytes in a block and elements in one, by type's number (ggml.h).
SIZES = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q8_0": (8, 32, 34),
    "Q2_K": (10, 256, 84),
    "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210),
    "IQ4_XS": (23, 256, 136),
    "IQ4_NL": (20, 32, 18),
    "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24),
}


def text(value):
    """A string as GGUF has it: its length, then its bytes."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def typed(value):
    """A value with its type's number before it: uint32, float32, bool, string, or an array of them."""
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, text(value)
    parts = [typed(element) for element in value]
    kind = parts[0][0] if parts else 4
    return 9, struct.pack("<IQ", kind, len(parts)) + b"".join(raw for _, raw in parts)


def nbytes(shape, kind):
    """What a tensor takes."""
    _, block, size = SIZES[kind]
    elements = 1
    for length in shape:
        elements *= length
    return elements // block * size


@dataclass
class Shape:
    """A model's metadata and tensors, named for people."""

    name: str
    metadata: dict = field(default_factory=dict)
    tensors: list = field(default_factory=list)  # (name, shape, type)

    def header(self, *, magic=b"GGUF", version=3, tensors=None, pairs=None):
        """The bytes before the weights; the counts can be made to lie."""
        raw = magic + struct.pack(
            "<IQQ",
            version,
            len(self.tensors) if tensors is None else tensors,
            len(self.metadata) if pairs is None else pairs,
        )
        parts = [raw]
        for key, value in self.metadata.items():
            kind, encoded = typed(value)
            parts += [text(key), struct.pack("<I", kind), encoded]
        offset = 0
        for name, shape, kind in self.tensors:
            parts += [text(name), struct.pack(f"<I{len(shape)}Q", len(shape), *shape)]
            parts.append(struct.pack("<IQ", SIZES[kind][0], offset))
            offset += padded(nbytes(shape, kind))
        whole = b"".join(parts)
        return whole + bytes(padded(len(whole)) - len(whole))

    @property
    def data_bytes(self):
        """What the weights take in the file."""
        return sum(padded(nbytes(shape, kind)) for _, shape, kind in self.tensors)

    def write(self, folder):
        """A sparse file of the model's real size; a few KiB on disk."""
        path = Path(folder) / f"{self.name}.gguf"
        header = self.header()
        path.write_bytes(header)
        os.truncate(path, len(header) + self.data_bytes)
        return path


def padded(size):
    """The size rounded up to the file's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT
