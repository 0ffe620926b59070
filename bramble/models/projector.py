"""A projector: the file beside a model that makes tokens of an image, and what it takes.

What an image takes is an upper bound for the vision transformers of the pinned llama.cpp (those of
tools/mtmd/models/ that COMPARED names): all that the widest layer holds of the image's patches at once,
what its matrices copy of it, and the image itself.
"""

from __future__ import annotations

from pydantic import ConfigDict

from bramble.models.gguf import SIZE_LIMIT, GgufError, Header
from bramble.models.keys import NUMBER_LIMIT
from bramble.settings import Section, option

ARCH = "clip"
COMPARED = frozenset(["gemma3", "idefics3", "lfm2", "mlp", "qwen2vl_merger", "qwen2.5vl_merger"])
"""The types of which tests compare the bound with what llama-server takes."""

AT_ONCE = frozenset(["gemma3", "gemma4v", "gemma4uv", "deepseek4v"])
"""The types whose tokens see each other, and so must be computed in one batch (mtmd.cpp)."""

# Patches of an image side by side that become one token, where the header does not say.
_MERGED = {"gemma3": 4, "gemma4v": 3, "qwen2vl_merger": 2, "qwen2.5vl_merger": 2}
_MERGED |= {"qwen3vl_merger": 2, "mlp": 1}
_WINDOWED = frozenset(["qwen2.5vl_merger"])
_ANY_SIZE = frozenset(["lfm2", "pixtral", "qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger"])
# Types of images of one size, or of parts that have it.
_ONE_SIZE = frozenset(["gemma3", "idefics3", "internvl", "janus_pro", "ldp", "ldpv2", "mlp"])
_F32, _F16 = 4, 2
AS_SENT_BYTES = 16 << 20
"""What an image takes as it was sent and unpacked, if it has some two million pixels at most."""


class Projector(Section):
    """What is known of a projector by its header."""

    # The pattern of a type is slow to compile: only what reads or writes one waits for it.
    model_config = ConfigDict(defer_build=True)

    type: str = option(..., help="Type of the projector.", pattern=r"^[A-Za-z0-9][\w.-]{0,63}$")
    embedding: int = option(..., help="Width of a patch.", ge=1, le=1 << 20)
    feed_forward: int = option(..., help="Width between its matrices.", ge=0, le=1 << 20)
    image: int = option(..., help="Side of an image.", unit="pixels", ge=1, le=1 << 16)
    patch: int = option(..., help="Side of a patch.", unit="pixels", ge=1, le=1 << 12)
    merged: int = option(..., help="Patches side by side that become one token.", ge=1, le=64)
    file_bytes: int = option(..., help="All tensors.", unit="bytes", ge=1, le=SIZE_LIMIT)

    @property
    def compared(self) -> bool:
        """Whether tests compare the bound of this type with what llama-server takes."""
        return self.type in COMPARED

    def tokens(self, most: int) -> int:
        """Return the most tokens of an image, where those of any size have at most so many."""
        own = (self.image // self.patch // self.merged) ** 2
        return own if self.type in _ONE_SIZE else most

    def patches(self, most_tokens: int) -> int:
        """Return the patches of the largest image; one of any size has at most so many tokens."""
        own, most = (self.image // self.patch) ** 2 + 1, most_tokens * self.merged**2
        if self.type in _ANY_SIZE:
            return most
        return own if self.type in _ONE_SIZE else max(own, most)

    def image_bytes(self, most_tokens: int) -> int:
        """Return the most that computing an image takes, in bytes."""
        patches, width = self.patches(most_tokens), self.embedding
        layer = _F32 * patches * max(10 * width, 4 * width + 2 * self.feed_forward)
        copied = _F16 * patches * max(self.feed_forward, 4 * width)
        pixels = 4 * _F32 * 3 * patches * self.patch**2
        mask = (_F32 + _F16) * patches**2 if self.type in _WINDOWED else 0
        return layer + copied + pixels + mask + AS_SENT_BYTES


def is_projector(header: Header) -> bool:
    """Tell whether a file is one."""
    return header.metadata.get("general.architecture") == ARCH


def projector(header: Header) -> Projector:
    """Return what a projector's header says; raise GgufError for one that makes no tokens of images."""
    said = header.metadata
    kind = said.get("clip.projector_type") or said.get("clip.vision.projector_type")
    if not said.get("clip.has_vision_encoder") or not isinstance(kind, str):
        raise GgufError(
            "The file is a projector, and none for images: what sound takes is not counted, so name "
            "one that has clip.has_vision_encoder and a type."
        )
    merged = _number(
        header,
        "spatial_merge_size",
        _number(header, "projector.scale_factor", _MERGED.get(kind, 2)),
    )
    return Projector(
        type=kind,
        embedding=_number(header, "embedding_length"),
        feed_forward=_number(header, "feed_forward_length", 0),
        image=_number(header, "image_size"),
        patch=_number(header, "patch_size"),
        merged=merged,
        file_bytes=sum(tensor.nbytes for tensor in header.tensors),
    )


def _number(header: Header, key: str, default: int | None = None) -> int:
    name = f"{ARCH}.vision.{key}"
    value = header.metadata.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER_LIMIT:
        raise GgufError(
            f"{name} is {value!r}, and a whole number is right: the header is damaged, or of a "
            "projector that bramble cannot plan for."
        )
    return value
