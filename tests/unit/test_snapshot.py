"""What one look saw, typed; whatever the node would not say stays Unknown."""

import copy
import json
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bramble import snapshot
from bramble.llama.releases import built_sha256
from bramble.snapshot import Answer, Output, Snapshot, Unknown
from bramble.system import parse
from tests.unit.looks import recorded, recorded_look

# The parts of a look, and the field of the snapshot that each becomes.
PARTS = {
    "device_tree": "device_tree",
    "system": "system",
    "boot": "boot",
    "login": "login",
    "clock": "clock",
    "meminfo": "memory_kib",
    "mountinfo": "mounts",
    "swaps": "swaps",
    "swap_makers": "swap_makers",
    "disks": "disks",
    "sockets": "sockets",
    "units": "units",
    "programs": "programs",
    "packages": "packages",
    "provided": "provided",
    "files": "files",
    "users": "users",
    "http": "http",
    "commands": "commands",
    "free_bytes": "free_bytes",
}
HEALTH = "http://127.0.0.1:8080/health"


@pytest.fixture(scope="module")
def look():
    return snapshot.read(recorded_look())


def test_the_recorded_look_is_known_in_every_part(look):
    unknown = [part.name for part in fields(look) if isinstance(getattr(look, part.name), Unknown)]
    assert unknown == []
    assert look.taken_at_s == recorded_look()["taken_at_s"]


TIMES = {"taken_at_s", "asked_at_s", "answered_at_s"}
OF_AN_AUDIT = {"beside"}


def test_these_are_all_the_parts_of_a_look():
    assert set(PARTS) == set(recorded_look()) - {"taken_at_s"}
    assert set(PARTS.values()) == {part.name for part in fields(Snapshot)} - TIMES - OF_AN_AUDIT


def test_the_recorded_look_tells_the_board(look):
    assert look.device_tree.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert look.device_tree.compatible == ("raspberrypi,5-model-b", "brcm,bcm2712")
    assert look.device_tree.revision == 0xD04170


def test_the_recorded_look_tells_the_system(look):
    system = look.system
    assert (system.os_id, system.codename) == ("debian", "bookworm")
    assert system.rpi_issue == "Raspberry Pi reference 2025-05-13"
    assert (system.architecture, system.long_bit, system.machine) == ("amd64", 64, "x86_64")
    assert (system.cores, system.page_size, system.cpu_part) == (2, 4096, None)
    assert "avx2" in system.cpu_features
    assert not system.boot_id.endswith("\n")


def test_the_recorded_look_tells_units_with_their_processes(look):
    ssh = look.unit("ssh.service")
    assert (ssh.load, ssh.active, ssh.sub, ssh.enabled) == (
        "loaded",
        "active",
        "running",
        "enabled",
    )
    assert (ssh.needs_reload, ssh.restarts, ssh.result) == (False, 0, "success")
    assert look.process("ssh.service").exe == "/usr/sbin/sshd"
    absent = look.unit("llama-server.service")
    assert (absent.load, absent.active, absent.process) == ("not-found", "inactive", None)


def test_the_recorded_look_tells_each_kind_of_file(look):
    kinds = {path: seen.kind for path, seen in look.files.items() if seen is not None}
    assert kinds["/etc/os-release"] == "link"
    assert kinds["/etc/hostname"] == "file"
    assert kinds["/etc"] == "directory"
    assert kinds["/dev/null"] == "other"
    assert look.file("/etc/os-release").target == "../usr/lib/os-release"
    assert look.file("/etc/hostname").text == "vpi-1\n"
    assert look.file("/etc/hostname").size_bytes == 6
    assert look.file("/etc/llama.cpp/config.ini") is None


def test_a_secret_file_is_known_by_its_hash_and_not_by_its_text(look):
    shadow = look.file("/etc/shadow")
    assert shadow.mode == 0o640
    assert shadow.sha256 is not None
    assert shadow.text is None


def test_the_recorded_look_tells_packages_users_answers_and_room(look):
    assert look.packages["git"] is None
    assert look.packages["cmake"] == "3.25.1-1"
    assert look.users == {
        "llama": None,
        "pi": {"uid": 1000, "home": "/home/pi", "shell": "/bin/bash"},
    }
    assert look.answer(HEALTH) == Answer(0, "[Errno 111] Connection refused")
    assert look.free_bytes["/opt/bramble/engine"] > 0


def test_the_recorded_look_tells_what_commands_say(look):
    assert look.command("systemd-detect-virt --container") == Output(0, "systemd-nspawn\n")
    assert look.command("rpi-eeprom-update").output.startswith("BOOTLOADER: up to date\n")
    assert look.command("bramble-has-no-such-program") is None


def test_what_was_not_looked_at_is_unknown_and_not_absent(look):
    assert look.file("/etc/fstab") == Unknown("/etc/fstab was not looked at")
    assert look.unit("cron.service") == Unknown("cron.service was not looked at")
    assert look.process("cron.service") == Unknown("cron.service was not looked at")
    assert look.answer("http://127.0.0.1/") == Unknown("http://127.0.0.1/ was not asked")
    assert look.command("uptime") == Unknown("`uptime` was not run")


def test_an_unknown_part_makes_everything_in_it_unknown():
    why = Unknown("permission denied")
    seen = Snapshot(files=why, units=why, http=why, commands=why)
    assert seen.file("/etc/fstab") == why
    assert seen.unit("ssh.service") == why
    assert seen.process("ssh.service") == why
    assert seen.answer(HEALTH) == why
    assert seen.command("uptime") == why


@pytest.mark.parametrize(("digits", "psu_ma"), [("00001388", 5000), ("00000bb8", 3000), ("", None)])
def test_the_supplys_current_is_a_number_of_the_device_tree(digits, psu_ma):
    tree = recorded_look()["device_tree"]["ok"] | {"chosen/power/max_current": digits}
    seen = snapshot.read(recorded_look() | {"device_tree": {"ok": tree}})
    assert seen.device_tree.psu_ma == psu_ma


def test_no_device_tree_is_a_fact_and_not_unknown():
    raw = recorded_look() | {"device_tree": {"ok": None}}
    assert snapshot.read(raw).device_tree is None


def test_a_file_that_the_node_would_not_show_is_unknown_alone():
    raw = recorded_look()
    raw["files"]["ok"]["/etc/hostname"] = {"unknown": "PermissionError: no"}
    seen = snapshot.read(raw)
    assert seen.file("/etc/hostname") == Unknown("PermissionError: no")
    assert seen.file("/etc/os-release").kind == "link"


def test_a_process_that_the_node_would_not_show_is_unknown_alone():
    raw = recorded_look()
    raw["units"]["ok"]["ssh.service"]["process"] = {"unknown": "it ended"}
    seen = snapshot.read(raw)
    assert seen.process("ssh.service") == Unknown("it ended")
    assert seen.unit("ssh.service").active == "active"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing_is_unknown(part):
    raw = recorded_look()
    del raw[part]
    assert getattr(snapshot.read(raw), PARTS[part]) == Unknown("the probe did not say")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_the_node_would_not_say_keeps_its_reason(part):
    raw = recorded_look() | {part: {"unknown": "OSError: no"}}
    assert getattr(snapshot.read(raw), PARTS[part]) == Unknown("OSError: no")


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(some.sampled_from(list(PARTS)), JSON)
def test_a_part_in_the_wrong_form_is_unknown(part, garbage):
    """Neither a list nor a text passes for "nothing is there", whatever the part."""
    right_form = (
        list
        if part in ("disks", "swap_makers")
        else str
        if part in ("sockets", "mountinfo")
        else dict
    )
    raw = recorded_look() | {part: {"ok": garbage}}
    seen = getattr(snapshot.read(raw), PARTS[part])
    if part == "device_tree" and garbage is None:
        assert seen is None
    elif not isinstance(garbage, right_form):
        assert isinstance(seen, Unknown)


@settings(deadline=None)
@given(some.sampled_from(list(PARTS)), JSON)
def test_a_part_that_is_no_answer_of_the_probes_is_unknown(part, garbage):
    raw = recorded_look() | {part: garbage}
    if not (isinstance(garbage, dict) and "ok" in garbage):
        assert isinstance(getattr(snapshot.read(raw), PARTS[part]), Unknown)


@some.composite
def garbled(draw):
    """The recorded look with one value anywhere in it taken away, cut short or replaced."""
    raw = copy.deepcopy(recorded_look())
    place = raw
    while True:
        key = draw(some.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(some.booleans()):
            break
        place = inner
    how = draw(some.sampled_from(("remove", "cut", "replace")))
    if how == "remove":
        del place[key]
    elif how == "cut" and isinstance(inner, str | list):
        place[key] = inner[: draw(some.integers(0, len(inner)))]
    else:
        place[key] = draw(JSON)
    return raw


@settings(max_examples=200, deadline=None)
@given(garbled())
def test_no_garbling_makes_reading_fail_nor_changes_another_part(raw):
    seen, right = snapshot.read(raw), snapshot.read(recorded_look())
    untouched = [part for part in PARTS if raw.get(part) == recorded_look()[part]]
    assert len(untouched) >= len(PARTS) - 1
    for part in untouched:
        assert getattr(seen, PARTS[part]) == getattr(right, PARTS[part])


@settings(deadline=None)
@given(some.text(max_size=30))
def test_the_time_of_a_look_never_makes_reading_fail(text):
    assert snapshot.read(recorded_look() | {"taken_at_s": text}).taken_at_s == 0


# The same virtual Pi, once it serves: the parts that are of interest then


@pytest.fixture(scope="module")
def serving():
    return snapshot.read(json.loads(recorded("probe.container-bookworm-amd64-serving.json")))


def test_a_running_service_is_told_with_what_only_its_process_proves(serving):
    unit = serving.unit("llama-server.service")
    assert (unit.active, unit.sub, unit.enabled) == ("active", "running", "enabled")
    process = serving.process("llama-server.service")
    target = serving.file("/opt/bramble/engine/current").target
    assert process.exe == f"/opt/bramble/engine/{target}/bin/llama-server"
    assert process.exe_sha256 == serving.file("/opt/bramble/engine/current/bin/llama-server").sha256
    assert process.argv[0] == "/opt/bramble/engine/current/bin/llama-server"
    assert list(process.environ) == ["BRAMBLE_PLAN"]


def test_the_model_files_that_processes_have_mapped_are_told():
    raw = json.loads(recorded("probe.container-bookworm-amd64-serving.json"))
    path, gone = "/mnt/ssd/bramble/models/a.gguf", "/mnt/ssd/bramble/models/b.gguf"
    raw["units"]["ok"]["llama-server.service"]["process"]["ok"]["models"] = [path]
    (server,) = raw["programs"]["ok"]["llama-server"]
    server |= {"models": [path], "gone": [gone], "locked": "2732 kB"}
    look = snapshot.read(raw)
    assert look.process("llama-server.service").models == (path,)
    (found,) = look.programs["llama-server"]
    assert (found.models, found.gone, found.locked) == ((path,), (gone,), "2732 kB")
    server["models"] = [7]
    assert isinstance(snapshot.read(raw).programs, Unknown)


def test_a_releases_own_record_agrees_with_the_process_that_runs_it(serving):
    target = serving.file("/opt/bramble/engine/current").target
    folder = f"/opt/bramble/engine/{target}"
    built = built_sha256(serving, folder, "llama-server")
    assert built == serving.process("llama-server.service").exe_sha256


def test_a_running_service_is_told_with_its_answers_and_its_socket(serving):
    assert serving.answer(HEALTH) == Answer(200, '{"status":"ok"}')
    props = serving.answer("http://127.0.0.1:8080/props")
    assert json.loads(props.body)["build_info"] == "b0-0c1e57098"
    assert parse.Socket("127.0.0.1", 8080) in serving.sockets
