"""The fleet: an inventory with all that is read beside its settings, once for all of its hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bramble import project, registry
from bramble.access import certificates
from bramble.access import keys as client_keys
from bramble.audit.settings import AuditSettings
from bramble.documents.problems import InventoryError, Keys, Problem, dotted, shown
from bramble.inventory import load as loading
from bramble.inventory.load import Inventory, faults_beside, from_data
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Lock
from bramble.models import catalogue
from bramble.models import lock as models_lock
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.models.gguf import GgufError
from bramble.models.source import SourceError, header
from bramble.outputs import ModelSettings
from bramble.prepared import LocalModel, Prepared, prepared_sections
from bramble.settings import Section


def load(folder: Path, instead: Mapping[Path, str] = MappingProxyType({})) -> Inventory:
    """Read and validate an inventory with its locks; raise InventoryError with all of its problems.

    `instead` are texts that files of it are to have.
    """
    inventory = loading.load(folder, registry.sections(), prepare, instead)
    if wrong := tuple(_wrong_waivers(inventory)):
        raise InventoryError(wrong)
    return inventory


def _wrong_waivers(inventory: Inventory) -> Iterator[Problem]:
    """Find waivers of what there is not, or for hosts that there are not."""
    waivers = {
        name: audit.waivers
        for name, host in inventory.hosts.items()
        if isinstance(audit := host.settings.get("audit"), AuditSettings) and audit.waivers
    }
    if not waivers:
        return
    # Importing what judges is slow, and most inventories waive nothing.
    from bramble.audit.judge import WAIVABLE_KINDS
    from bramble.audit.waivers import Names, problem_of, problem_of_hosts

    roles = registry.roles()
    names = Names(
        checks=tuple(f"{role.name}.{check.name}" for role in roles for check in role.checks),
        roles=tuple(role.name for role in roles),
        kinds=WAIVABLE_KINDS,
    )
    for name, several in waivers.items():
        for number, waiver in enumerate(several):
            found = {
                "what": problem_of(waiver.what, names),
                "hosts": problem_of_hosts(waiver, tuple(inventory.hosts)),
            }
            for key, why in found.items():
                keys: Keys = ("audit", "waivers", number, key)
                source = inventory.hosts[name].sources.get(keys)
                if why and source:
                    yield Problem(shown(source.file), source.line, f"{dotted(keys)}: {why}")


def of_data(name: str, data: Mapping[str, Any]) -> tuple[dict[str, Section], Prepared]:
    """Return a host's typed settings of plain values, and what is read beside them.

    Raise InventoryError with all that is wrong with them.
    """
    settings = from_data(name, data, registry.sections())
    folder = project.folder()
    prepared = replace(prepare(folder, (settings,)), hosts=_hosts(folder, name, settings))
    where = f"data of {name}"
    wrong = [Problem(where, None, f.message) for f in faults_beside(name, settings, prepared)]
    if prepared.problems or wrong:
        raise InventoryError((*prepared.problems, *wrong))
    return settings, prepared


def _hosts(
    folder: Path, name: str, settings: Mapping[str, Section]
) -> dict[str, Mapping[str, Section]]:
    """Return the settings of a host, and those of all others where it has to do with them."""
    if not any(part.of_fleet for part in prepared_sections(settings).values()):
        return {name: settings}
    return {**{other: host.settings for other, host in load(folder).hosts.items()}, name: settings}


def prepare(folder: Path, hosts: Iterable[Mapping[str, Section]]) -> Prepared:
    """Read the locks of an inventory, and the model files that the settings of its hosts name."""
    files = (engine_lock.file_of(folder), folder / models_lock.FILE, folder / client_keys.FILE)
    pems = certificates.files(folder)
    versions = (*files, catalogue.file_of(folder), *pems)
    read = _read(folder, tuple(catalogue.identity(file) for file in versions))
    sections = (section for settings in hosts for section in settings.values())
    models = (section for section in sections if isinstance(section, ModelSettings))
    paths = dict.fromkeys(model.path for model in models if model.path)
    found = {path: _local(path, catalogue.identity(path)) for path in paths}
    return replace(read, files={path: file for path, file in found.items() if file})


@lru_cache(maxsize=8)
def _read(folder: Path, _versions: tuple[tuple[int, ...], ...]) -> Prepared:
    """Read the locks once for each of their versions: every host of a run asks."""
    made = Prepared()
    try:
        made = replace(made, engine=engine_lock.read(folder))
    except InventoryError as error:
        made = replace(made, engine=Lock(), problems=error.problems)
    try:
        made = replace(made, models=models_lock.load(folder))
    except InventoryError as error:
        made = replace(made, models_error=str(error))
    try:
        made = replace(made, clients=client_keys.load(folder))
    except InventoryError as error:
        made = replace(made, clients_error=str(error))
    pems, authority = certificates.read(folder)
    made = replace(made, certificates=pems, authority=authority)
    try:
        return replace(made, catalogue=catalogue.places(catalogue.load(folder)))
    except InventoryError as error:
        return replace(made, catalogue_error=str(error))


@lru_cache
def _local(path: Path, version: tuple[int, ...]) -> LocalModel | None:
    """Read a model file's header; the fetch reports one that is no model."""
    if not version:
        return None
    size_bytes = path.stat().st_size
    try:
        return LocalModel(size_bytes, dims_of(geometry(header(str(path)))))
    except (GgufError, SourceError):
        return LocalModel(size_bytes, None)
