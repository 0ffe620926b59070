"""What serving proves of the memory that the server keeps."""

from __future__ import annotations

from pathlib import PurePosixPath

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.roles.serving import router
from bramble.roles.serving.wanted import SERVER, UNIT, ServingPlan
from bramble.snapshot import Unknown
from bramble.system.process import Program


@check()
def memory_is_locked_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """The kernel keeps the weights in memory where they are to be locked, and nothing else."""
    if plan.further:
        return _of_several(plan, node)
    draft = [plan.draft_path] if plan.draft_path else []
    wanted_kib = _wanted_kib(plan, [plan.model_path, *draft])
    if isinstance(wanted_kib, Unknown):
        return unknown("the weights locked", wanted_kib)
    want, process = _want(plan, wanted_kib), node.snapshot.process(UNIT)
    if isinstance(process, Unknown):
        return unknown(want, process)
    if process is None:
        return expect(want, "no process", False, "Run the deploy again.")
    return _held(plan, wanted_kib, [process.status.get("VmLck", "")])


def _of_several(plan: ServingPlan, node: Node) -> Finding:
    """Judge the servers of those models that are loaded: the router itself has no weights."""
    found = node.snapshot.programs
    if isinstance(found, Unknown):
        return unknown("the weights locked", found)
    loaded = router.of_unit(found.get(SERVER, ()), UNIT)
    if not loaded:
        return skip("the weights locked", "none of the models is loaded at this moment")
    wanted_kib = _wanted_kib(plan, _paths(plan, loaded))
    if isinstance(wanted_kib, Unknown):
        return unknown("the weights locked", wanted_kib)
    return _held(plan, wanted_kib, [one.locked for one in loaded])


def _paths(plan: ServingPlan, loaded: tuple[Program, ...]) -> list[str]:
    """Return the files of the plan that these processes have; the kernel tells them without links."""
    names = [PurePosixPath(path).name for one in loaded for path in one.models]
    return [path for path in plan.models.values() if PurePosixPath(path).name in names]


def _want(plan: ServingPlan, wanted_kib: int) -> str:
    return f"at least {wanted_kib} KiB locked" if plan.locked else "nothing locked"


def _held(plan: ServingPlan, wanted_kib: int, told: list[str]) -> Finding:
    """Judge what the kernel tells of the processes that have weights."""
    want, words = _want(plan, wanted_kib), [said.removesuffix(" kB") for said in told]
    if not all(said.isdecimal() for said in words):
        return unknown(want, Unknown("the kernel does not tell how much is locked (VmLck)"))
    locked_kib = sum(map(int, words))
    ok = locked_kib >= wanted_kib if plan.locked else locked_kib == 0
    remedy = f"sudo journalctl -u {UNIT} has llama-server's warning of mlock; deploy again."
    return expect(want, f"{locked_kib} KiB locked", ok, remedy)


def _wanted_kib(plan: ServingPlan, paths: list[str]) -> int | Unknown:
    """Return how much of these files is to be locked."""
    if plan.locked is None:
        return 0
    sizes = [plan.locked.sizes[path] for path in paths]
    if any(size is None for size in sizes):
        return Unknown("the size of the weights is not known")
    return sum(size or 0 for size in sizes) >> 10
