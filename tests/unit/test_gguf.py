"""The header reader: what it reports a model, and that nothing in a file can mislead or exhaust it."""

import contextlib
import struct
import time
import tracemalloc
from pathlib import Path

import gguf as library
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bramble.models import gguf
from tests.shapes.models import all_shapes
from tests.shapes.writer import Shape

ROOT = Path(__file__).parents[2]
SHAPES = all_shapes()
SMALL = Shape(
    "small",
    {"general.architecture": "llama", "llama.block_count": 1, "some.texts": ["a", "bc"]},
    [("token_embd.weight", (32, 4), "Q8_0"), ("output_norm.weight", (32,), "F32")],
)


def test_the_types_are_those_of_the_gguf_library():
    """But for Q8_1, which the library has wrong and no file holds, and Q2_0, which it lacks."""
    theirs = {t.value: (t.name, *size) for t, size in library.GGML_QUANT_SIZES.items()}
    ours = {number: (t.name, t.block, t.size) for number, t in gguf.TYPES.items()}
    assert {n: v for n, v in theirs.items() if n != 9} == {
        n: v for n, v in ours.items() if n not in (9, 42)
    }


@pytest.mark.parametrize("name", ["qwen2.5-3b-q4_k_m", "qwen3.5-2b-q4_k_s", "olmoe-1b-7b-q4_k_m"])
def test_a_header_says_what_the_gguf_library_reads(name, tmp_path):
    path = SHAPES[name].write(tmp_path)
    theirs = library.GGUFReader(path)
    ours = gguf.read(SHAPES[name].header())
    assert [(t.name, t.shape, t.type.name, t.nbytes) for t in ours.tensors] == [
        (t.name, tuple(map(int, t.shape)), t.tensor_type.name, int(t.n_bytes))
        for t in theirs.tensors
    ]
    assert ours.data_offset == theirs.data_offset
    assert ours.file_bytes == path.stat().st_size
    assert ours.metadata["general.architecture"] == (
        theirs.fields["general.architecture"].contents()
    )


def test_the_shipped_model_is_read_from_its_start():
    data = (ROOT / "models" / "bramble-demo-q8_0.gguf").read_bytes()
    header = gguf.read(data[:100_000])
    assert header.file_bytes == len(data)
    assert header.lengths["tokenizer.ggml.tokens"] == 1024


def test_each_cut_header_asks_for_more_and_never_past_the_end():
    whole = SMALL.header()
    end = gguf.read(whole).data_offset
    short = [cut for cut in range(len(whole)) if asks(whole[:cut])]
    assert short == list(range(len(short)))
    assert 0 < end - len(short) < 32  # only the padding before the weights can be missing
    for cut in short:
        assert cut < asks(whole[:cut]) <= end


def asks(data):
    """How many bytes the reader asks for, 0 when it has enough."""
    try:
        gguf.read(data)
    except gguf.NeedMore as more:
        return more.size
    return 0


def with_pair(raw):
    """A header whose only pair of metadata is this one."""
    return struct.pack("<4sIQQ", b"GGUF", 3, 1, 1) + raw


KEY = struct.pack("<Q1s", 1, b"k")
HUGE = 1 << 62
HOSTILE = {
    "wrong magic": (b"PK\x03\x04" + bytes(60), "no GGUF model"),
    "web page": (b"<!DOCTYPE html><html>" + bytes(60), "web page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "swapped magic": (b"FUGG" + bytes(60), "byte-swapped"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian"),
    "version 1": (SMALL.header(version=1), "version 1"),
    "version 4": (SMALL.header(version=4), "Pin a newer llama.cpp"),
    "vocabulary only": (SMALL.header(tensors=0), "vocabulary"),
    "huge count of tensors": (SMALL.header(tensors=HUGE), "65536 is the most"),
    "huge count of pairs": (SMALL.header(pairs=HUGE), "16384 is the most"),
    "huge key": (with_pair(struct.pack("<Q", HUGE)), "most that is believed"),
    "huge text": (with_pair(KEY + struct.pack("<IQ", 8, HUGE)), "most that is believed"),
    "huge array": (with_pair(KEY + struct.pack("<IIQ", 9, 4, HUGE)), "most that is believed"),
    "many texts": (with_pair(KEY + struct.pack("<IIQ", 9, 8, HUGE)), "most that is believed"),
    "huge text in an array": (
        with_pair(KEY + struct.pack("<IIQQ", 9, 8, 1, HUGE)),
        "most that is believed",
    ),
    "array of arrays": (with_pair(KEY + struct.pack("<IIQ", 9, 9, 1)), "unknown type 9"),
    "unknown type": (with_pair(KEY + struct.pack("<I", 99)), "unknown type 99"),
    "no name": (with_pair(struct.pack("<QI", 0, 4)), "of no name"),
    "split": (Shape("s", {"split.count": 3}, SMALL.tensors).header(), "one of 3 parts"),
    "alignment": (Shape("s", {"general.alignment": 24}, SMALL.tensors).header(), "alignment is 24"),
    "twice": (Shape("s", {"a": 1}, SMALL.tensors[1:] * 2).header(), "there twice"),
    "overflow": (
        Shape("s", {"a": 1}, [("t", (1 << 40, 1 << 40), "F32")]).header(),
        "most that is believed",
    ),
    "rows": (Shape("s", {"a": 1}, [("t", (33, 2), "Q8_0")]).header(), "multiples of 32"),
    "dimensions": (Shape("s", {"a": 1}, [("t", (1,) * 5, "F32")]).header(), "dimensions of t"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_header_ends_in_a_sentence(case):
    data, words = HOSTILE[case]
    with pytest.raises(gguf.GgufError, match=words) as refused:
        gguf.read(data)
    assert str(refused.value).endswith(".") or "believed" in str(refused.value)


def test_a_tensor_that_begins_elsewhere_is_refused():
    whole = bytearray(SMALL.header())
    at = whole.rindex(struct.pack("<IQ", 0, 136 + 24))
    whole[at + 4 : at + 12] = struct.pack("<Q", 32)
    with pytest.raises(gguf.GgufError, match="said to begin at 32, where 160 is right"):
        gguf.read(whole)


def no_harm(data):
    """Reads bytes that may be anything: a header, a question for more, or a sentence; nothing else."""
    with contextlib.suppress(gguf.GgufError, gguf.NeedMore):
        assert gguf.read(data).tensors


@settings(max_examples=300, deadline=1000)
@given(some.binary(max_size=400))
def test_no_bytes_do_harm(data):
    no_harm(b"GGUF\x03\x00\x00\x00" + data)


@settings(max_examples=500, deadline=1000)
@given(some.data())
def test_no_change_to_a_good_header_does_harm(data):
    whole = bytearray(SMALL.header())
    for _ in range(data.draw(some.integers(1, 4))):
        whole[data.draw(some.integers(0, len(whole) - 1))] = data.draw(some.integers(0, 255))
    no_harm(bytes(whole[: data.draw(some.integers(0, len(whole)))]))


def test_a_long_vocabulary_takes_little_time_and_no_memory():
    text = struct.pack("<Q6s", 6, b"abcdef")
    count = 500_000
    pair = KEY + struct.pack("<IIQ", 9, 8, count) + text * count
    data = with_pair(pair)
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(gguf.NeedMore):
        gguf.read(data)
    took, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 5
    assert peak < 1 << 20
