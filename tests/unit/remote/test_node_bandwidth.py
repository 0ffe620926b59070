"""Memory's speed for reading, measured by the real program with a small region and for a short time."""

import json
import subprocess
import sys

import pytest

from bramble import remote
from bramble.remote import bandwidth

PARTS = ("gb_s", "threads", "runs", "cached_gb_s", "caches_bytes", "region_bytes", "others_cores")


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A processor with caches of 4 MiB, and no patience."""
    for number, (level, kind, size, shared) in enumerate(
        [("1", "Data", "32K", "0"), ("1", "Instruction", "48K", "0"), ("3", "Unified", "4M", "0-3")]
    ):
        folder = tmp_path / "cache" / f"index{number}"
        folder.mkdir(parents=True)
        words = {"level": level, "type": kind, "size": size, "shared_cpu_list": shared}
        for name, text in words.items():
            (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(bandwidth, "CACHES", str(tmp_path / "cache" / "index*"))
    monkeypatch.setattr(bandwidth, "LEAST_BYTES", 16 << 20)
    monkeypatch.setattr(bandwidth, "SECONDS", 0.02)
    return tmp_path


def test_the_program_prints_its_figures_as_one_line():
    text = remote.program("bandwidth", {}).replace(
        "SECONDS, ROUNDS = 0.4, 3", "SECONDS, ROUNDS = 0.02, 1"
    )
    done = subprocess.run(
        [sys.executable, "-Iu", "-"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = remote.answer(done.stdout)
    if found["problem"] is None:  # a machine with huge caches and little memory has one
        assert found["gb_s"] > 0.1


def test_the_best_of_all_numbers_of_threads_counts(small, monkeypatch):
    monkeypatch.setattr(bandwidth.os, "sched_getaffinity", lambda _: {0, 1, 2})
    rates = iter([5.0, 6.0, 5.5, 9.0, 8.0, 7.0, 8.5, 8.0, 8.4])
    monkeypatch.setattr(bandwidth, "together", lambda *_: next(rates))
    found = bandwidth.measure()
    assert [(run["threads"], run["gb_s"]) for run in found["runs"]] == [
        (1, 6.0),
        (2, 9.0),
        (3, 8.5),
    ]
    assert (found["gb_s"], found["threads"]) == (9.0, 2)
    assert set(found) == {*PARTS, "problem"}


def test_a_real_measurement_reads_faster_from_caches(small):
    found = bandwidth.measure()
    assert found["region_bytes"] == 16 << 20
    assert found["caches_bytes"] == (4 << 20) + (32 << 10)
    assert found["gb_s"] > 0.1
    assert found["cached_gb_s"] > 0.1
    assert found["others_cores"] >= 0


def test_what_is_counted_is_what_was_read(small):
    libc = bandwidth.library()
    with bandwidth.mmap.mmap(-1, 1 << 20) as region:
        view = bandwidth.ctypes.c_char.from_buffer(region)
        start = bandwidth.ctypes.addressof(view)
        libc.memset(start, bandwidth.FILL, 1 << 20)
        asked = []

        class Counting:
            def memchr(self, at, byte, length):
                asked.append((at - start, length))
                return libc.memchr(at, byte, length)

        done, begun, ended = bandwidth.stream(Counting(), start, 1 << 20, 300_000, 0.01)
        del view
    assert done == sum(length for _, length in asked)
    assert ended - begun >= 0.01
    assert all(at + length <= 1 << 20 for at, length in asked)
    assert {at for at, _ in asked} == {0, 300_000, 600_000, 900_000}


def test_memory_that_gives_something_else_back_is_told(small):
    libc = bandwidth.library()
    with bandwidth.mmap.mmap(-1, 1 << 20) as region:
        view = bandwidth.ctypes.c_char.from_buffer(region)
        start = bandwidth.ctypes.addressof(view)
        with pytest.raises(bandwidth.BandwidthError, match="not what was read back"):
            bandwidth.stream(libc, start, 1 << 20, 1 << 20, 0.01)
        del view


@pytest.mark.parametrize(
    ("cores", "tried"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])]
)
def test_the_numbers_of_threads(cores, tried):
    assert bandwidth.counts(cores) == tried


def test_caches_that_the_kernel_does_not_tell_count_as_large_ones(small, monkeypatch):
    monkeypatch.setattr(bandwidth, "CACHES", str(small / "none*"))
    assert bandwidth.caches_bytes() == 16 << 20


def test_the_region_is_larger_than_the_caches_and_leaves_memory(small, monkeypatch):
    free = {"/proc/meminfo": "MemAvailable:   400000 kB\n"}
    monkeypatch.setattr(bandwidth, "read", free.get)
    assert bandwidth.region_bytes(4 << 20) == 16 << 20
    assert bandwidth.region_bytes(20 << 20) == 60 << 20
    assert bandwidth.region_bytes(40 << 20) == 400000 * 1024 // 4
    with pytest.raises(bandwidth.BandwidthError, match="97 MiB of memory can be taken for it"):
        bandwidth.region_bytes(60 << 20)


def test_too_little_memory_is_a_result_and_no_failure(small, monkeypatch, capsys):
    monkeypatch.setattr(bandwidth.os, "nice", lambda _: None)
    monkeypatch.setattr(bandwidth, "OOM_SCORE", str(small / "score"))
    monkeypatch.setattr(bandwidth, "caches_bytes", lambda: 1 << 60)
    assert bandwidth.main({}) == 0
    assert "must be twice as large" in json.loads(capsys.readouterr().out)["problem"]
    assert (small / "score").read_text() == "900"
