"""Measure how fast this node's memory can be read, as llama.cpp reads weights; print one JSON line.

Several threads each stream through a part of a region that is larger than all caches. They read with
libc's memchr, looking for a byte that is not there: it is written for the processor at hand, it only
reads, and ctypes releases the GIL while it runs. The best of several passes with one thread, two, and
so on counts, because the figure is used as a bound.
"""

import ctypes
import glob
import json
import mmap
import os
import re
import resource
import threading
import time

SECONDS, ROUNDS = 0.4, 3
CHUNK_BYTES = 8 << 20
# Fits the smallest cache that a Raspberry Pi's cores share: the most that one core can read.
SMALL_BYTES = 128 << 10
# For a kernel that does not report its caches; a Pi's have 1 or 2 MiB.
UNKNOWN_BYTES = 16 << 20
LEAST_BYTES, TIMES_CACHES = 256 << 20, 3
FILL, LOOKED_FOR = 0x55, 0
OOM_SCORE = "/proc/self/oom_score_adj"
CACHES = "/sys/devices/system/cpu/cpu*/cache/index*"
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class BandwidthError(Exception):
    """The reason why nothing was measured."""


def read(path):
    """Return a small file's text; None where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def caches_bytes():
    """Return the size of all caches that hold data, each once even if processors share it."""
    found = {}
    for folder in glob.glob(CACHES):
        level, kind, size, shared = (
            read(f"{folder}/{name}") for name in ("level", "type", "size", "shared_cpu_list")
        )
        reported = re.fullmatch(r"(\d+)([KMG])", size or "")
        if reported and kind != "Instruction":
            found[level, kind, shared] = int(reported[1]) * UNITS[reported[2]]
    return sum(found.values()) or UNKNOWN_BYTES


def region_bytes(caches):
    """Return how much to read through: more than the caches, at most a quarter of what is free."""
    reported = re.search(r"^MemAvailable:\s+(\d+) kB", read("/proc/meminfo") or "", re.MULTILINE)
    free = int(reported[1]) << 10 if reported else LEAST_BYTES * 4
    size = min(max(LEAST_BYTES, TIMES_CACHES * caches), free // 4)
    if size < 2 * caches:
        raise BandwidthError(
            f"{size >> 20} MiB of memory can be taken for it, and the caches have {caches >> 20}: what "
            "is read through must be twice as large"
        )
    return size


def library():
    """Return libc with the two functions that are used."""
    libc = ctypes.CDLL(None)
    libc.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    libc.memchr.restype = ctypes.c_void_p
    libc.memset.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    libc.memset.restype = ctypes.c_void_p
    return libc


def stream(libc, start, size, chunk, seconds):
    """Read through a part repeatedly for so long; return the bytes read, the start and the end."""
    done, at, begun = 0, 0, time.monotonic()
    while True:
        length = min(chunk, size - at)
        if libc.memchr(start + at, LOOKED_FOR, length) is not None:
            raise BandwidthError("what was written to memory is not what was read back")
        done, at = done + length, (at + length) % size
        ended = time.monotonic()
        if ended - begun >= seconds:
            return done, begun, ended


def together(libc, start, size, threads, seconds):
    """Return the GB/s of several threads that start at once, each with a part of its own."""
    barrier, found, part = threading.Barrier(threads), [], size // threads

    def work(number):
        barrier.wait()
        found.append(stream(libc, start + number * part, part, CHUNK_BYTES, seconds))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if len(found) < threads:
        raise BandwidthError("what was written to memory is not what was read back")
    spent = max(ended for _, _, ended in found) - min(begun for _, begun, _ in found)
    return sum(done for done, _, _ in found) / spent / 1e9


def busy_s():
    """Return the processor time that this system has used in all, and this program of it."""
    fields = [int(word) for word in (read("/proc/stat") or "").split("\n")[0].split()[1:9]]
    all_s = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK") if fields else 0
    own = resource.getrusage(resource.RUSAGE_SELF)
    return all_s, own.ru_utime + own.ru_stime


def counts(cores):
    """Return the numbers of threads to try: 1, 2, 4, ... and one for each core."""
    powers = [1 << number for number in range(cores.bit_length())]
    return sorted({*(count for count in powers if count <= cores), cores})


def measure():
    """Return the figures, the best of them, and what else ran meanwhile."""
    libc, caches, cores = library(), caches_bytes(), len(os.sched_getaffinity(0))
    size = region_bytes(caches)
    with mmap.mmap(-1, size) as region:
        view = ctypes.c_char.from_buffer(region)
        start = ctypes.addressof(view)
        libc.memset(start, FILL, size)
        begun, before = time.monotonic(), busy_s()
        runs = [
            {
                "threads": threads,
                "gb_s": max(together(libc, start, size, threads, SECONDS) for _ in range(ROUNDS)),
            }
            for threads in counts(cores)
        ]
        spent, after = time.monotonic() - begun, busy_s()
        done, first, last = stream(libc, start, SMALL_BYTES, SMALL_BYTES, SECONDS / 2)
        del view
    others = (after[0] - before[0] - after[1] + before[1]) / spent
    best = max(runs, key=lambda run: run["gb_s"])
    return {
        "gb_s": best["gb_s"],
        "threads": best["threads"],
        "runs": runs,
        "cached_gb_s": done / (last - first) / 1e9,
        "caches_bytes": caches,
        "region_bytes": size,
        "others_cores": max(others, 0.0),
        "problem": None,
    }


def main(query):
    """Measure at low priority; a problem is a result too."""
    os.nice(10)
    # If memory gets short, the kernel must kill this program, not the server.
    with open(OOM_SCORE, "w", encoding="utf-8") as file:
        file.write("900")
    try:
        print(json.dumps(measure()))
    except (BandwidthError, OSError) as error:
        print(json.dumps({"problem": str(error)}))
    return 0
