"""What one look at a node saw, typed; "could not tell" is the value `Unknown`, never a guess.

The same object feeds the deploy, the checks and the audit. `read(raw)` makes it from what
`bramble/remote/probe.py` prints; everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bramble.system import devicetree, parse, process
from bramble.system.devicetree import DeviceTree
from bramble.system.process import Process, Program
from bramble.typed import conforms

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
MOST_OUTPUT = 1 << 20  # characters of a command: those that are run print a tenth of it
MOST_TEXT = 64 * 1024  # characters of a file: the probe sends no more


@dataclass(frozen=True)
class Unknown:
    """Could not tell, and why."""

    why: str


@dataclass(frozen=True)
class System:
    """Userland, kernel and processor.

    `machine` is what the kernel says (aarch64 also under a 32-bit userland); `architecture` and
    `long_bit` are the userland's and decide. `page_size` is in bytes. `versions` are those of the
    packages that tell releases apart, None for one that is not there.
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
    versions: Mapping[str, str | None]


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
    are by this computer's. 0 is a time that is not known. `beside` is what an audit's look says of all
    that no role asks for, as it came; `bramble/audit/around.py` reads it.
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
    beside: Mapping[str, Any] = field(default_factory=dict)

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
    known, taken_at_s = partial(known_part, raw), raw.get("taken_at_s")
    return Snapshot(
        taken_at_s=taken_at_s if type(taken_at_s) is int else 0,
        asked_at_s=asked_at_s,
        answered_at_s=answered_at_s,
        device_tree=known("device_tree", devicetree.read, DeviceTree | None),
        system=known("system", _system, System),
        boot=known("boot", _boot, Boot),
        login=known("login", _login, Login),
        clock=known("clock", _mapping, Mapping[str, str]),
        memory_kib=known("meminfo", parse.meminfo, Mapping[str, int]),
        mounts=known("mountinfo", parse.mountinfo, tuple[parse.Mount, ...]),
        swaps=known("swaps", parse.swaps, tuple[parse.Swap, ...]),
        swap_makers=known("swap_makers", parse.swap_makers, tuple[parse.SwapMaker, ...]),
        disks=known("disks", parse.disks, tuple[parse.Disk, ...]),
        sockets=known("sockets", parse.sockets, tuple[parse.Socket, ...]),
        units=known(
            "units",
            lambda part: {name: _unit(one) for name, one in part.items()},
            Mapping[str, Unit],
        ),
        programs=known("programs", _programs, Mapping[str, tuple[Program, ...]]),
        packages=known("packages", _mapping, Mapping[str, str | None]),
        provided=known("provided", _mapping, Mapping[str, str]),
        files=known("files", _files, Mapping[str, FileState | Unknown | None]),
        users=known("users", _users, Mapping[str, Mapping[str, Any] | None]),
        http=known("http", _http, Mapping[str, Answer | Unknown]),
        commands=known("commands", _commands, Mapping[str, Output | Unknown | None]),
        free_bytes=known("free_bytes", _mapping, Mapping[str, int]),
        beside=beside if isinstance(beside := raw.get("beside"), dict) else {},
    )


def known_part(raw: Mapping[str, Any], key: str, reader: Callable[[Any], Any], kind: Any) -> Any:
    """Read one part of the raw look as a `kind`; what the node did not say or is none is Unknown."""
    part = raw.get(key)
    if not isinstance(part, dict) or "ok" not in part:
        why = part.get("unknown") if isinstance(part, dict) else None
        return Unknown(str(why or "the probe did not say"))
    try:
        found = reader(part["ok"])
        if conforms(found, kind):
            return found
        error: Exception = TypeError("a value in it is of the wrong kind")
    except UNREADABLE as unreadable:
        error = unreadable
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
        versions=part["versions"],
    )


def _units(part: Mapping[str, Any]) -> Mapping[str, Unit]:
    return {name: _unit(one) for name, one in part.items()}


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
        process=known_part(part, "process", process.read, Process | None),
        properties=properties,
    )


def _programs(part: Mapping[str, Any]) -> Mapping[str, tuple[Program, ...]]:
    return process.programs(_mapping(part))


def _files(part: Mapping[str, Any]) -> Mapping[str, FileState | Unknown | None]:
    return {path: known_part(part, path, _file, FileState | None) for path in _mapping(part)}


def _file(part: Mapping[str, Any] | None) -> FileState | None:
    if part is None:
        return None
    renamed = {"size_bytes" if key == "size" else key: value for key, value in part.items()}
    if len(renamed.get("text") or "") > MOST_TEXT:
        raise ValueError(f"a text of more than {MOST_TEXT} characters")
    return FileState(**renamed)


def _users(part: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any] | None]:
    for user in filter(None, _mapping(part).values()):
        if not (conforms(user["uid"], int) and conforms(user["shell"], str)):
            raise TypeError("no number and shell of a user")
    return part


def _login(part: Mapping[str, Any]) -> Login:
    return Login(part["user"], part["path"], _file(part["keys"]))


def _commands(part: Mapping[str, Any]) -> Mapping[str, Output | Unknown | None]:
    def read(said: Mapping[str, Any] | None) -> Output | None:
        found = None if said is None else Output(**said)
        if found and len(found.output) > MOST_OUTPUT:
            raise ValueError(f"an output of more than {MOST_OUTPUT} characters")
        return found

    return {line: known_part(part, line, read, Output | None) for line in _mapping(part)}


def _http(part: Mapping[str, Any]) -> Mapping[str, Answer | Unknown]:
    return {
        url: known_part(part, url, lambda said: Answer(**said), Answer) for url in _mapping(part)
    }
