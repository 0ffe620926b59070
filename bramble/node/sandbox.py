"""What holds the service: as systemd has its unit loaded, and as the kernel has the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bramble.snapshot import Unit
from bramble.system.parse import timespan_s
from bramble.system.process import Process

# Names that `systemctl show` spells differently from a unit file.
RENAMED = {
    "LogRateLimitIntervalSec": "LogRateLimitIntervalUSec",
    "RestartSec": "RestartUSec",
    "StartLimitIntervalSec": "StartLimitIntervalUSec",
    "TimeoutStopSec": "TimeoutStopUSec",
}
BYTES = ("MemoryHigh", "MemoryMax")
# How it spells a value of a unit file.
MEANS = {
    ("IPAddressDeny", "any"): "0.0.0.0/0 ::/0",
    ("IPAddressAllow", "localhost"): "127.0.0.0/8 ::1/128",
    ("SystemCallErrorNumber", "EPERM"): "1",
}
# What it does not tell in a form that can be compared; arguments and variables the process itself tells.
UNTOLD = frozenset(
    {
        *("After", "CacheDirectory", "Description", "Documentation", "Environment", "ExecReload"),
        *("ExecStart", "ExecStartPre", "RequiresMountsFor", "Wants", "WantedBy"),
        *("RuntimeDirectory", "RuntimeDirectoryMode", "StateDirectory", "StateDirectoryMode"),
    }
)
# A list of hundreds of names: some of the groups that the unit takes away.
CALLS = "SystemCallFilter"
NO_CALLS = ("bpf", "chroot", "init_module", "mount", "ptrace", "reboot", "setuid", "swapon")
PROPERTIES = (
    *("Type", "User", "Group", "Restart", "RestartUSec", "TimeoutStopUSec"),
    *("StartLimitIntervalUSec", "StartLimitBurst", "OOMPolicy", "OOMScoreAdjust", "TasksMax"),
    *("LimitMEMLOCK", "LogRateLimitIntervalUSec", "LogRateLimitBurst"),
    *("AmbientCapabilities", "CapabilityBoundingSet", "DevicePolicy", "KeyringMode"),
    *("LockPersonality", "MemoryDenyWriteExecute", "NoNewPrivileges", "PrivateDevices"),
    *(
        "PrivateMounts",
        "PrivateTmp",
        "PrivateUsers",
        "ProcSubset",
        "ProtectClock",
        "ProtectControlGroups",
    ),
    *("ProtectHome", "ProtectHostname", "ProtectKernelLogs"),
    *("ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "RemoveIPC"),
    *("RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
    *("SystemCallArchitectures", "SystemCallErrorNumber", CALLS, "UMask"),
    *("IPAddressDeny", "IPAddressAllow", "KillMode", "LimitNOFILE", "SuccessExitStatus"),
    *("CPUWeight", "IOWeight", "MemoryHigh", "MemoryMax"),
)
NONE = "0" * 16
INACCESSIBLE = ("/home", "/root")


def directives(text: str) -> dict[str, str]:
    """Return a unit file's settings by name, repeated ones joined."""
    found: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name] = f"{found[name]} {value}" if name in found else value
    return found


def loaded_otherwise(path: str, text: str, unit: Unit) -> tuple[str, ...]:
    """Return how the unit loaded in systemd differs from its file."""
    return tuple(_loaded(path, text, unit))


def _loaded(path: str, text: str, unit: Unit) -> Iterator[str]:
    fragment = unit.properties.get("FragmentPath", "")
    if fragment != path:
        yield f"systemd reads {fragment or 'no file'} in the place of {path}"
    if unit.needs_reload:
        yield "systemd has an older unit in memory"
    for name, value in directives(text).items():
        if name in UNTOLD:
            continue
        reported = unit.properties.get(RENAMED.get(name, name), "")
        if name == CALLS:
            allowed = [call for call in NO_CALLS if call in reported.split()]
            if allowed or not reported or reported.startswith("~"):
                yield f"{CALLS} allows {' '.join(allowed) or 'every call'}"
        elif not _same(name, value, reported):
            yield f"{name} is {reported or 'empty'}, planned {value or 'empty'}"


def _same(name: str, value: str, reported: str) -> bool:
    """Tell whether systemd's value of a setting is the unit file's."""
    if name in RENAMED:
        wanted_s = timespan_s(f"{value}s" if value.isdecimal() else value)
        try:
            return wanted_s == timespan_s(reported or "0")
        except ValueError:  # no span of systemd's
            return False
    if name in BYTES:
        return str(bytes_of(value)) == reported
    return set(MEANS.get((name, value), value).split()) == set(reported.split())


def bytes_of(value: str) -> int:
    """Return a limit of a unit file, which our units give in MiB, in bytes."""
    return int(value.removesuffix("M")) << 20


def drop_ins(unit: Unit) -> tuple[str, ...]:
    """Return the drop-ins of the unit: none is ours."""
    return tuple(unit.properties.get("DropInPaths", "").split())


def not_held(text: str, process: Process) -> tuple[str, ...]:
    """Return the restrictions of the unit file that the kernel does not enforce on the process."""
    return tuple(_not_held(directives(text), process))


def _not_held(wanted: Mapping[str, str], process: Process) -> Iterator[str]:
    reported = process.status
    for name, value in (("NoNewPrivs", "1"), ("Seccomp", "2"), ("Umask", wanted["UMask"])):
        if reported.get(name) != value:
            yield f"{name} is {reported.get(name, 'not known')}, not {value}"
    for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
        if reported.get(name) != NONE:
            yield f"{name} is {reported.get(name, 'not known')}, not none"
    if str(process.oom_score_adj) != wanted["OOMScoreAdjust"]:
        yield f"oom_score_adj is {process.oom_score_adj}, not {wanted['OOMScoreAdjust']}"
    if process.tasks_max not in (None, wanted["TasksMax"]):
        yield f"it may have {process.tasks_max} tasks, not {wanted['TasksMax']}"
    most = str(bytes_of(wanted["MemoryMax"])) if "MemoryMax" in wanted else None
    if most and process.memory_max not in (None, most):
        yield f"it may have {process.memory_max} bytes of memory, not {most}"
    shared = {"mnt", "user", "uts"} - set(process.own_namespaces or ("mnt", "user", "uts"))
    yield from (f"it shares the {name} namespace with systemd" for name in sorted(shared))
    yield from _sees(process)


def _sees(process: Process) -> Iterator[str]:
    """Return the hidden places that the process can see after all, by its mounts."""
    mounts = {mount.target: mount for mount in process.mounts}
    if "/" not in mounts or "ro" not in mounts["/"].options:
        yield "it may write to the file system"
    for place in INACCESSIBLE:
        if place not in mounts or mounts[place].fstype != "tmpfs":
            yield f"it sees {place}"
    if "/tmp" not in mounts:
        yield "it shares /tmp"
    if "/dev" not in mounts or "ro" not in mounts["/dev"].options:
        yield "it sees the devices"
