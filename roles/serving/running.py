"""The command line of the server, and how the running process differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
from bramble.roles.serving import flags, locking, router, tasks
from bramble.roles.serving.settings import Settings
from bramble.system.parse import Socket
from bramble.system.process import Process, Program

# What llama.cpp, the libraries that it computes with and the loader read of a process' environment.
READ_BY_ITS_PROGRAMS = (
    *("LLAMA_", "GGML_", "HF_", "HUGGING_FACE_", "LD_", "GLIBC_", "MALLOC_"),
    *("OMP_", "GOMP_", "KMP_", "OPENBLAS_", "BLIS_", "MKL_", "KLEIDIAI_"),
)
PLANNED_VARIABLES = ("LLAMA_CACHE",)


def command_line(
    settings: Settings, engine: EngineOutputs, model: ModelOutputs, outputs: ServingOutputs
) -> tuple[str, ...]:
    """Return llama-server's command line, one flag with its value a word."""
    unload_s = settings.idle_unload_s
    idle = () if unload_s is None else (f"--sleep-idle-seconds {unload_s}",)
    return (
        f"{engine.home.programs}/llama-server",
        *router.arguments(model, settings.models_at_once),
        "--host 127.0.0.1",
        # Else a page of any origin reads answers in a browser beside the server, or beside `ssh -L`.
        "--cors-origins localhost",
        f"--port {settings.port}",
        f"--ctx-size {settings.ctx_tokens}",
        f"--parallel {settings.slots}",
        f"--threads {outputs.threads}",
        # A client that leaves frees its slot between batches alone (tools/server/server-context.cpp).
        f"--batch-size {settings.ubatch_tokens}",
        f"--ubatch-size {settings.ubatch_tokens}",
        f"--cache-ram {settings.cache_ram_mib}",
        f"--ctx-checkpoints {settings.ctx_checkpoints}",
        f"--cache-type-k {settings.cache_type_k}",
        f"--cache-type-v {settings.cache_type_v}",
        f"--flash-attn {settings.flash_attention}",
        *(locking.ARGUMENTS if settings.lock_weights else ("--load-mode mmap",)),
        "--fit off",
        "--offline",
        "--no-ui",
        "--no-slots",
        "--metrics",
        *settings.chat.arguments(),
        *settings.speculation.arguments(_drafting(settings, model, outputs)),
        *_seeing(settings, model),
        *tasks.arguments(settings.task, settings.pooling),
        *idle,
        *flags.words(settings.extra_args),
    )


def _drafting(settings: Settings, model: ModelOutputs, outputs: ServingOutputs) -> Iterator[str]:
    """Yield the arguments of the model that guesses; its cache is of the same types."""
    if model.draft:
        yield f"--spec-draft-model {model.draft.path}"
        yield f"--spec-draft-threads {outputs.threads}"
        yield f"--spec-draft-type-k {settings.cache_type_k}"
        yield f"--spec-draft-type-v {settings.cache_type_v}"


def _seeing(settings: Settings, model: ModelOutputs) -> Iterator[str]:
    """Yield the arguments of the file that makes tokens of images.

    A warm-up would compute an image of its own size, which may be larger than any that is let in, and
    several parts at once take more memory.
    """
    if model.projector:
        yield f"--mmproj {model.projector.path}"
        yield f"--image-max-tokens {settings.image_tokens}"
        yield "--mtmd-batch-max-tokens 1"
        yield "--no-warmup"


def differences(argv: Sequence[str], process: Process) -> tuple[str, ...]:
    """Return how the process differs from the plan; `argv` has a flag and its value in one word."""
    words = tuple(word for flag in argv for word in flag.split(" ", 1))
    strange = [
        f"{name} is in its environment, and is not planned"
        for name in process.variables
        if name.startswith(READ_BY_ITS_PROGRAMS) and name not in PLANNED_VARIABLES
    ]
    if words == process.argv:
        return tuple(strange)
    return (*(_arguments(words, process.argv) or ("its arguments are in another order",)), *strange)


def _arguments(planned: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Return each argument that differs; of an unplanned one only the name, as a secret may follow."""
    wanted, found = _by_flag(planned), _by_flag(given)
    other = (
        f"{flag} is {found[flag] or 'given alone'}, planned {value or 'without a value'}"
        if flag in found
        else f"{flag}{value and ' '}{value} is planned, and not given"
        for flag, value in wanted.items()
        if found.get(flag) != value
    )
    return (*other, *(f"{flag} is given, and not planned" for flag in found if flag not in wanted))


def _by_flag(words: Sequence[str]) -> dict[str, str]:
    """Return the values by flag, the last of each, as llama-server takes them; the program first."""
    return dict(_pairs(words))


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    flag, values = "its program", list[str]()
    for word in words:
        if word.startswith("-") and not word[1:2].isdigit():
            yield flag, " ".join(values)
            flag, values = word.partition("=")[0], []
            values += [word.partition("=")[2]] if "=" in word else []
        else:
            values.append(word)
    yield flag, " ".join(values)


def whose(other: Program, sockets: Sequence[Socket]) -> str:
    """Describe another server: who runs it, by which program, and where it listens."""
    places = [f"{one.address}:{one.port}" for one in sockets if other.pid in one.pids]
    unit = other.cgroup.rpartition("/")[2] or "no unit"
    listens = f", listening on {', '.join(places)}" if places else ""
    return f"process {other.pid} of {other.user} ({other.exe}, {unit}){listens}"
