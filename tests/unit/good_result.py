"""A benchmark of a healthy Pi 4 as it is kept: tests spoil one thing each."""

from bramble.bench.result import Bandwidth, BenchRun, Board, Model, Release, Result, Seen
from bramble.models import gguf
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from tests.shapes.models import all_shapes

SHAPES = all_shapes()
# Its memory gives 5.3 GB/s, so that a 3B at Q4_K_M makes 2.8 tokens/s at most.
ANSWERS = (1.72, 1.74, 1.75)


def dimensions(name="qwen2.5-3b-q4_k_m"):
    return dims_of(geometry(gguf.read(SHAPES[name].header())))


def run(answer=1.74, **changes):
    healthy = {
        "prompt_tps": 3.1,
        "answer_tps": answer,
        "hottest_c": 61.0,
        "mhz": 1800.0,
        "read_mib": 0.0,
        "swapped_mib": 0.0,
        "others_cores": 0.05,
        "busiest": {},
    }
    return BenchRun(**{**healthy, **changes})


def result(answers=ANSWERS, in_runs=None, in_seen=None, in_release=None, memory=None, **changes):
    """A result with these answers, and some values changed in a part of it."""
    parts = {
        "host": "pi4-a",
        "at": "2026-11-21T10:00:00Z",
        "board": Board(
            model="Raspberry Pi 4 Model B Rev 1.4", kind="pi4", memory_mib=7800, cores=4
        ),
        "release": Release(
            **{
                "release": "a" * 12,
                "soc": "cortex-a72",
                "processor": "cortex-a72",
                "lacks": (),
                **(in_release or {}),
            }
        ),
        "model": Model(name="qwen2.5-3b-instruct-q4_k_m", sha256="d" * 64, dimensions=dimensions()),
        "threads": 4,
        "ubatch_tokens": 128,
        "prompt_tokens": 128,
        "answer_tokens": 32,
        "bandwidth": Bandwidth(
            **{
                "gb_s": 5.3,
                "threads": 2,
                "cached_gb_s": 9.0,
                "caches_bytes": 1 << 20,
                "region_bytes": 256 << 20,
                **(memory or {}),
            }
        ),
        "runs": tuple(run(answer, **(in_runs or {})) for answer in answers),
        "seen": Seen(
            **{
                "held_back_now": (),
                "held_back_since_boot": (),
                "server": "active",
                "server_swap_mib": 0.0,
                "desktop": False,
                "governor": "ondemand",
                "max_mhz": 1800.0,
                **(in_seen or {}),
            }
        ),
    }
    return Result(**{**parts, **changes})
