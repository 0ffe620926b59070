"""What one look at a node saw, typed; "could not tell" is the value `Unknown`, never a guess.

The same object feeds the deploy, the checks and the audit. `read(raw)` makes it from what
`bramble/remote/probe.py` prints; everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bramble.system import parse, process
from bramble.system.process import Process, Program

T = TypeVar("T")


@dataclass(frozen=True)
class Unknown:
    """Could not tell, and why."""

    why: str


@dataclass(frozen=True)
class System:
    """Userland, kernel and processor.

    `machine` is what the kernel says (aarch64 also under a 32-bit userland); `architecture` and
    `long_bit` are the userland's and decide. `page_size` is in bytes.
    """

    os_id: str
    codename: str
    rpi_issue: str | None
    architecture: str
    long_bit: int
    page_size: int
    machine: str
    kernel: str
    cores: int
    cpu_part: str | None
    cpu_features: frozenset[str]
    boot_id: str
    hostname: str


@dataclass(frozen=True)
class Boot:
    """What the firmware was told (None: no such file) and what the kernel was really given.

    `cmdline_path` is the path of this boot's cmdline.txt: `os_prefix` in config.txt moves it.
    `included` are the files that config.txt includes, by the names that it gives.
    """

    proc_cmdline: str
    cmdline_txt: str | None
    config_txt: str | None
    cmdline_path: str = "/boot/firmware/cmdline.txt"
    included: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceTree:
    """What the board says it is; absent properties are None.

    `psu_ma` is the current that the power supply offered to the firmware (Pi 5).
    """

    model: str | None
    compatible: tuple[str, ...]
    revision: int | None
    psu_ma: int | None = None
    serial: int | None = None


@dataclass(frozen=True)
class Unit:
    """A systemd unit's state in systemd's own terms; `properties` are all that were asked for."""

    load: str
    active: str
    sub: str
    enabled: str
    needs_reload: bool
    restarts: int
    result: str
    process: Process | Unknown | None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FileState:
    """What is at a path. `sha256` is None above the hash limit, `text` for secrets too."""

    kind: str
    mode: int
    owner: str
    group: str
    size_bytes: int
    mtime_ns: int
    sha256: str | None = None
    text: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Login:
    """The account that this computer logs in to, and its authorized_keys (None: no such file)."""

    user: str
    path: str
    keys: FileState | None


@dataclass(frozen=True)
class Answer:
    """An HTTP answer of a local URL; status 0 when nothing listens there."""

    status: int
    body: str


@dataclass(frozen=True)
class Output:
    """What a read-only command printed, on both of its outputs, and its exit code."""

    code: int
    output: str


@dataclass(frozen=True)
class Snapshot:
    """One look at a node. Mappings hold what was asked for; None in them means "not there".

    `taken_at_s` is by the node's clock; `asked_at_s` and `answered_at_s`, between which it was taken,
    are by this computer's. 0 is a time that is not known.
    """

    taken_at_s: int = 0
    asked_at_s: float = 0
    answered_at_s: float = 0
    device_tree: DeviceTree | Unknown | None = None
    system: System | Unknown = field(default_factory=lambda: Unknown("no look was taken"))
    boot: Boot | Unknown = field(default_factory=lambda: Unknown("no look was taken"))
    login: Login | Unknown = field(default_factory=lambda: Unknown("no look was taken"))
    clock: Mapping[str, str] | Unknown = field(default_factory=lambda: Unknown("no look was taken"))
    memory_kib: Mapping[str, int] | Unknown = field(default_factory=dict)
    mounts: tuple[parse.Mount, ...] | Unknown = ()
    swaps: tuple[parse.Swap, ...] | Unknown = ()
    swap_makers: tuple[parse.SwapMaker, ...] | Unknown = ()
    disks: tuple[parse.Disk, ...] | Unknown = ()
    sockets: tuple[parse.Socket, ...] | Unknown = ()
    units: Mapping[str, Unit] | Unknown = field(default_factory=dict)
    programs: Mapping[str, tuple[Program, ...]] | Unknown = field(default_factory=dict)
    packages: Mapping[str, str | None] | Unknown = field(default_factory=dict)
    provided: Mapping[str, str] | Unknown = field(default_factory=dict)
    files: Mapping[str, FileState | Unknown | None] | Unknown = field(default_factory=dict)
    users: Mapping[str, Mapping[str, Any] | None] | Unknown = field(default_factory=dict)
    http: Mapping[str, Answer | Unknown] | Unknown = field(default_factory=dict)
    commands: Mapping[str, Output | Unknown | None] | Unknown = field(default_factory=dict)
    free_bytes: Mapping[str, int] | Unknown = field(default_factory=dict)

    def file(self, path: str) -> FileState | Unknown | None:
        """Return what is at `path`, None when nothing is; a path that was not asked for is Unknown."""
        if isinstance(self.files, Unknown):
            return self.files
        return self.files.get(path, Unknown(f"{path} was not looked at"))

    def unit(self, name: str) -> Unit | Unknown:
        """Return a unit's state; systemd reports one for units that do not exist too."""
        if isinstance(self.units, Unknown):
            return self.units
        return self.units.get(name, Unknown(f"{name} was not looked at"))

    def process(self, name: str) -> Process | Unknown | None:
        """Return the main process of a unit; None while it runs none."""
        unit = self.unit(name)
        return unit if isinstance(unit, Unknown) else unit.process

    def answer(self, url: str) -> Answer | Unknown:
        """Return what a local URL answered."""
        if isinstance(self.http, Unknown):
            return self.http
        return self.http.get(url, Unknown(f"{url} was not asked"))

    def command(self, line: str) -> Output | Unknown | None:
        """Return what a command printed; None where the node has no such program."""
        if isinstance(self.commands, Unknown):
            return self.commands
        return self.commands.get(line, Unknown(f"`{line}` was not run"))


def read(raw: Mapping[str, Any], asked_at_s: float = 0, answered_at_s: float = 0) -> Snapshot:
    """Parse what the probe printed; a part that cannot be read is Unknown."""
    taken_at_s = raw.get("taken_at_s")
    return Snapshot(
        taken_at_s=taken_at_s if isinstance(taken_at_s, int) else 0,
        asked_at_s=asked_at_s,
        answered_at_s=answered_at_s,
        device_tree=_known(raw, "device_tree", _device_tree),
        system=_known(raw, "system", _system),
        boot=_known(raw, "boot", _boot),
        login=_known(raw, "login", _login),
        clock=_known(raw, "clock", _mapping),
        memory_kib=_known(raw, "meminfo", parse.meminfo),
        mounts=_known(raw, "mountinfo", parse.mountinfo),
        swaps=_known(raw, "swaps", parse.swaps),
        swap_makers=_known(raw, "swap_makers", parse.swap_makers),
        disks=_known(raw, "disks", parse.disks),
        sockets=_known(raw, "sockets", parse.sockets),
        units=_known(raw, "units", lambda part: {name: _unit(u) for name, u in part.items()}),
        programs=_known(raw, "programs", _programs),
        packages=_known(raw, "packages", _mapping),
        provided=_known(raw, "provided", _mapping),
        files=_known(raw, "files", _files),
        users=_known(raw, "users", _mapping),
        http=_known(raw, "http", _http),
        commands=_known(raw, "commands", _commands),
        free_bytes=_known(raw, "free_bytes", _mapping),
    )


def _known(raw: Mapping[str, Any], key: str, reader: Callable[[Any], T]) -> T | Unknown:
    """Read one part of the raw look; what the node did not say or we cannot read is Unknown."""
    part = raw.get(key)
    if not isinstance(part, dict) or "ok" not in part:
        why = part.get("unknown") if isinstance(part, dict) else None
        return Unknown(str(why or "the probe did not say"))
    try:
        return reader(part["ok"])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        return Unknown(f"could not read the node's {key}: {error!r}")


def _mapping(part: Any) -> dict[str, Any]:
    """Return the part; raise TypeError for no mapping, which must not pass for "nothing is there"."""
    if not isinstance(part, dict):
        raise TypeError(f"{type(part).__name__} and not an object")
    return part


def _boot(part: Mapping[str, Any]) -> Boot:
    if not isinstance(part["proc_cmdline"], str):
        raise TypeError("no text in /proc/cmdline")
    return Boot(**part)


def _device_tree(part: Mapping[str, str] | None) -> DeviceTree | None:
    if part is None:
        return None
    text = {
        name: bytes.fromhex(value).rstrip(b"\0").decode("utf-8", "replace")
        for name, value in part.items()
    }
    return DeviceTree(
        model=text.get("model"),
        compatible=tuple(filter(None, text.get("compatible", "").split("\0"))),
        revision=_number(part.get("system/linux,revision", "")),
        psu_ma=_number(part.get("chosen/power/max_current", "")),
        serial=int(text["serial-number"], 16) if text.get("serial-number") else None,
    )


def _number(digits: str) -> int | None:
    """Return a device tree's number from big-endian bytes; None for none."""
    return int.from_bytes(bytes.fromhex(digits), "big") if digits else None


def _system(part: Mapping[str, Any]) -> System:
    release = parse.os_release(part["os_release"])
    cpu = parse.cpuinfo(part["cpuinfo"])
    issue = part["rpi_issue"]
    return System(
        os_id=release.get("ID", "unknown"),
        codename=release.get("VERSION_CODENAME", "unknown"),
        rpi_issue=issue.splitlines()[0] if issue else None,
        architecture=part["architecture"],
        long_bit=part["long_bit"],
        page_size=part["page_size"],
        machine=part["machine"],
        kernel=part["kernel"],
        cores=part["cores"],
        cpu_part=cpu.part,
        cpu_features=cpu.features,
        boot_id=part["boot_id"].strip(),
        hostname=part["hostname"],
    )


def _unit(part: Mapping[str, Any]) -> Unit:
    properties = part["properties"]
    return Unit(
        load=properties["LoadState"],
        active=properties["ActiveState"],
        sub=properties["SubState"],
        enabled=properties.get("UnitFileState", ""),
        needs_reload=properties.get("NeedDaemonReload") == "yes",
        restarts=int(properties.get("NRestarts", 0)),
        result=properties.get("Result", ""),
        process=_known(part, "process", process.read),
        properties=properties,
    )


def _programs(part: Mapping[str, Any]) -> Mapping[str, tuple[Program, ...]]:
    return {name: tuple(Program(**one) for one in found) for name, found in _mapping(part).items()}


def _files(part: Mapping[str, Any]) -> Mapping[str, FileState | Unknown | None]:
    return {path: _known(part, path, _file) for path in _mapping(part)}


def _file(part: Mapping[str, Any] | None) -> FileState | None:
    if part is None:
        return None
    renamed = {"size_bytes" if key == "size" else key: value for key, value in part.items()}
    return FileState(**renamed)


def _login(part: Mapping[str, Any]) -> Login:
    return Login(part["user"], part["path"], _file(part["keys"]))


def _commands(part: Mapping[str, Any]) -> Mapping[str, Output | Unknown | None]:
    return {line: _known(part, line, _output) for line in _mapping(part)}


def _output(part: Mapping[str, Any] | None) -> Output | None:
    return None if part is None else Output(**part)


def _http(part: Mapping[str, Any]) -> Mapping[str, Answer | Unknown]:
    return {url: _known(part, url, lambda answer: Answer(**answer)) for url in _mapping(part)}
