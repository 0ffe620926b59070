"""An architecture's keys in a header, each within bounds: a number, or a number for each layer."""

from __future__ import annotations

from bramble.models.architectures import UNIFORM
from bramble.models.gguf import GgufError, Header

LAYERS_LIMIT = 512
"""`LLAMA_MAX_LAYERS` of src/llama-hparams.h."""
NUMBER_LIMIT = 1 << 31


class GeometryError(GgufError):
    """A well-formed header that does not describe a model that llama.cpp can run."""


class Keys:
    """The keys of the header's architecture."""

    def __init__(self, header: Header) -> None:
        self.metadata, self.lengths = header.metadata, header.lengths
        arch = self.metadata.get("general.architecture")
        if not isinstance(arch, str) or not arch:
            raise GeometryError("The header does not say the model's architecture.")
        if arch == "clip":
            raise GeometryError("The file is a projector for images: it goes beside a model.")
        self.arch = arch
        self.layers = 1
        self.layers = self.number("block_count", limit=LAYERS_LIMIT)

    def number(
        self, key: str, default: int | None = None, *, least: int = 1, limit: int = NUMBER_LIMIT
    ) -> int:
        """Return a number for the whole model; raise GeometryError where it is out of bounds."""
        return self._checked(key, self.metadata.get(f"{self.arch}.{key}", default), least, limit)

    def size(self, key: str, default: int = 0) -> int:
        """Return a number that may be 0, or be missing."""
        return self.number(key, default, least=0)

    def each(self, key: str, default: int | None = None) -> list[int]:
        """Return a number for each layer; raise GeometryError for an array of another length."""
        value = self.metadata.get(f"{self.arch}.{key}", default)
        values = value if isinstance(value, tuple) else (value,) * self.layers
        if len(values) != self.layers:
            raise GeometryError(
                f"{self.arch}.{key} has {len(values)} values for {self.layers} layers, and llama.cpp "
                "refuses that: the header is damaged, or the file was pruned by hand."
            )
        found = [self._checked(key, one, 0, NUMBER_LIMIT) for one in values]
        if self.arch in UNIFORM and len(set(found)) > 1:
            raise GeometryError(
                f"{self.arch}.{key} differs from layer to layer, and llama.cpp's loader of {self.arch} "
                "takes the first layer's for all: it refuses this file with 'wrong shape'."
            )
        return found

    def flags(self, key: str) -> list[bool] | None:
        """Return a yes or no for each layer where the file has an array, padded with no; else None."""
        value = self.metadata.get(f"{self.arch}.{key}")
        if not isinstance(value, tuple):
            return None
        return [bool(one) for one in (value + (False,) * self.layers)[: self.layers]]

    def has(self, key: str) -> bool:
        """Return whether the file has this key."""
        name = f"{self.arch}.{key}"
        return name in self.metadata or name in self.lengths

    def _checked(self, key: str, value: object, least: int, limit: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= limit:
            raise GeometryError(
                f"{self.arch}.{key} is {value!r}; a whole number from {least} to {limit} is right: "
                "the header is damaged, or of an architecture that bramble cannot plan for."
            )
        return value
