"""Which board a look shows, and the sentence for each one that must not be provisioned."""

from dataclasses import replace

import pytest

from bramble import snapshot
from bramble.board import Board, board, refusals
from bramble.remote import probe
from bramble.snapshot import Boot, Snapshot, Unknown
from bramble.system import debian, parse
from bramble.system.devicetree import DeviceTree
from bramble.system.parse import Mount
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import recorded, recorded_look

# Revision codes of the documentation (revision-codes.adoc), by the kind that each means.
REVISIONS = {
    0xC03112: "pi4",
    0xD03115: "pi4",
    0xC03130: "pi400",
    0xD03141: "cm4",
    0xA03150: "cm4",  # a CM4S
    0xD04170: "pi5",
    0xE04171: "pi5",
    0xC04180: "cm5",
    0xD04190: "pi500",
    0xD041A0: "cm5",  # a CM5 Lite
    0xA020D3: "other",  # a Pi 3B+
    0x902120: "other",  # a Zero 2 W
    0x000E: "other",  # the old style: a Pi 1, whose bits mean something else
    0xD041B0: "unknown",  # a board of next year
    0xA02160: "unknown",  # "internal use only"
    0x3114: "unknown",  # a Pi 4's number without the bit of the new style
}


@pytest.fixture
def pi5():
    return good_look(node_plan())


def on(look: Snapshot, *, model: str, compatible: tuple[str, ...], revision: int) -> Snapshot:
    return replace(look, device_tree=DeviceTree(model, compatible, revision))


def test_a_pi_4(pi5):
    cpu = parse.cpuinfo(recorded("cpuinfo.pi4-bookworm-arm64.txt"))
    system = replace(pi5.system, cpu_part=cpu.part, cpu_features=cpu.features, page_size=4096)
    look = replace(
        on(
            pi5,
            model="Raspberry Pi 4 Model B Rev 1.1",
            compatible=("raspberrypi,4-model-b", "brcm,bcm2711"),
            revision=0xC03111,
        ),
        system=system,
        memory_kib=parse.meminfo(recorded("meminfo.pi4-bookworm-arm64.txt")),
    )
    assert board(look) == Board(
        model="Raspberry Pi 4 Model B Rev 1.1",
        kind="pi4",
        architecture="arm64",
        codename="bookworm",
        cpu_part="0xd08",
        cpu_features=frozenset({"fp", "asimd", "evtstrm", "crc32", "cpuid"}),
        cores=4,
        memory_mib=3791,
        page_size=4096,
    )
    assert refusals(look) == ()


def test_a_pi_5(pi5):
    found = board(pi5)
    assert isinstance(found, Board)
    assert (found.kind, found.cpu_part, found.page_size) == ("pi5", "0xd0b", 16384)
    assert refusals(pi5) == ()


def test_a_virtual_pi_is_what_its_device_tree_says():
    look = snapshot.read(recorded_look())
    found = board(look)
    assert isinstance(found, Board)
    assert (found.model, found.kind) == ("Raspberry Pi 5 Model B Rev 1.0", "pi5")
    assert (found.architecture, found.cores, found.memory_mib) == ("amd64", 2, 24150)
    assert refusals(look) == ()


@pytest.mark.parametrize("tree", [None, DeviceTree(None, (), None)])
def test_a_mini_pc_is_no_pi_and_may_be_provisioned(tree):
    look = replace(snapshot.read(recorded_look()), device_tree=tree)
    found = board(look)
    assert isinstance(found, Board)
    assert (found.model, found.kind, found.cpu_part) == ("not a Raspberry Pi", "other", None)
    assert refusals(look) == ()


@pytest.mark.parametrize(("revision", "kind"), REVISIONS.items())
def test_the_kind_follows_the_revision_code_and_not_the_models_name(pi5, revision, kind):
    look = on(pi5, model="Raspberry Pi", compatible=(), revision=revision)
    found = board(look)
    assert isinstance(found, Board)
    assert (found.model, found.kind) == ("Raspberry Pi", kind)


def test_another_makers_board_is_no_unknown_raspberry_pi(pi5):
    look = replace(pi5, device_tree=DeviceTree("Radxa ROCK 5B", ("radxa,rock-5b",), None))
    found = board(look)
    assert isinstance(found, Board)
    assert (found.kind, found.strange) == ("other", None)


def test_a_raspberry_pi_is_one_by_its_name_or_by_what_it_is_compatible_with(pi5):
    for tree in (
        DeviceTree("Raspberry Pi 6 Model B Rev 1.0", (), None),
        DeviceTree("A new name", ("raspberrypi,6-model-b", "brcm,bcm2713"), 0xD051C0),
    ):
        found = board(replace(pi5, device_tree=tree))
        assert isinstance(found, Board)
        assert found.kind == "unknown"
        assert "does not know this Raspberry Pi" in (found.strange or "")


def test_memory_is_what_the_kernel_has_and_not_what_the_revision_says(pi5):
    found = board(replace(pi5, memory_kib={"MemTotal": 1024 * 1000}))
    assert isinstance(found, Board)
    assert found.memory_mib == 1000


@pytest.mark.parametrize("part", ["system", "memory_kib", "device_tree"])
def test_a_node_that_does_not_say_what_it_is_has_no_board(pi5, part):
    why = Unknown("permission denied")
    assert board(replace(pi5, **{part: why})) == why


def test_a_node_without_memtotal_has_no_board(pi5):
    found = board(replace(pi5, memory_kib={"MemFree": 1}))
    assert found == Unknown("there is no MemTotal in /proc/meminfo")


def test_a_32_bit_userland_under_a_64_bit_kernel_is_refused(pi5):
    system = replace(pi5.system, architecture="armhf", long_bit=32, machine="aarch64")
    assert refusals(replace(pi5, system=system)) == (
        "The userland is 32-bit (armhf) under a 64-bit kernel; arm64 or amd64 is needed. Flash "
        "Raspberry Pi OS Lite (64-bit): a 32-bit system cannot be converted in place.",
    )


def test_a_32_bit_system_is_refused(pi5):
    system = replace(pi5.system, architecture="armhf", long_bit=32, machine="armv7l")
    (why,) = refusals(replace(pi5, system=system))
    assert why.startswith("The userland is 32-bit (armhf); arm64 or amd64 is needed.")


def test_a_foreign_architecture_is_refused(pi5):
    system = replace(pi5.system, architecture="riscv64", machine="riscv64")
    (why,) = refusals(replace(pi5, system=system))
    assert why.startswith("The userland is 64-bit (riscv64); arm64 or amd64 is needed.")


@pytest.mark.parametrize("codename", ["bullseye", "forky"])
def test_another_release_is_refused(pi5, codename):
    system = replace(pi5.system, codename=codename)
    assert refusals(replace(pi5, system=system)) == (
        f"The release is debian {codename}; bookworm or trixie is supported. "
        "Flash Raspberry Pi OS Lite (64-bit) of one of them.",
    )


OF_BOOKWORM = {"libc6": "2.36-9+rpt2+deb12u13", "apt": "2.6.1", "systemd": "252.39-1~deb12u1"}
OF_TRIXIE = {"libc6": "2.41-12+rpt1+deb13u1", "apt": "3.0.3", "systemd": "257.13-1~deb13u1"}


@pytest.mark.parametrize(
    ("codename", "versions"),
    [
        ("bookworm", OF_BOOKWORM),
        ("trixie", OF_TRIXIE),
        # of backports
        ("bookworm", OF_BOOKWORM | {"systemd": "254.26-1~bpo12+1"}),
        ("trixie", OF_TRIXIE | {"systemd": "2520.1"}),
        ("bookworm", OF_BOOKWORM | {"apt": None}),
    ],
)
def test_a_whole_release_is_supported(pi5, codename, versions):
    system = replace(pi5.system, codename=codename, versions=versions)
    assert refusals(replace(pi5, system=system)) == ()


@pytest.mark.parametrize(
    ("codename", "versions", "why"),
    [
        ("bookworm", OF_BOOKWORM | {"libc6": "2.41-12"}, "libc6 2.41-12 is of trixie"),
        ("trixie", OF_TRIXIE | {"systemd": "252.39-1"}, "systemd 252.39-1 is of bookworm"),
        ("trixie", OF_TRIXIE | {"apt": "1:2.6.1"}, "apt 1:2.6.1 is of bookworm"),
    ],
)
def test_an_upgrade_that_was_not_finished_is_refused(pi5, codename, versions, why):
    system = replace(pi5.system, codename=codename, versions=versions)
    (said,) = refusals(replace(pi5, system=system))
    assert said.startswith(f"The release is {codename}, and {why}: an upgrade")
    assert "sudo apt full-upgrade" in said


def test_what_tells_releases_apart_is_what_a_look_asks_for():
    assert probe.RELEASE_PACKAGES == debian.MARKERS
    assert {tuple(release.versions) for release in debian.RELEASES.values()} == {debian.MARKERS}


def test_every_reason_is_told_at_once(pi5):
    system = replace(pi5.system, architecture="armhf", long_bit=32, codename="bullseye")
    assert len(refusals(replace(pi5, system=system))) == 2


def test_a_node_that_does_not_say_its_system_is_refused():
    assert refusals(Snapshot(system=Unknown("python3: not found"))) == (
        "The node could not be looked at: python3: not found.",
    )


OVERLAY = (
    "The root file system is an overlay in memory (raspi-config's read-only mode): every change "
    "would be gone at the next boot. Run `sudo raspi-config nonint do_overlayfs 1`, reboot, and "
    "try again.",
)


@pytest.mark.parametrize(
    "word", ["overlayroot=tmpfs", "overlayroot=tmpfs:recurse=0", "boot=overlay"]
)
def test_overlayroot_on_the_kernels_command_line_is_refused(pi5, word):
    cmdline = f"{word} {recorded('cmdline.pi4-bookworm-arm64.txt')}"
    assert refusals(replace(pi5, boot=Boot(cmdline, None, None))) == OVERLAY


def test_overlayroots_upper_folder_is_refused_whatever_the_command_line_says(pi5):
    root = Mount("/", "overlay", "overlayroot", ("rw", "upperdir=/media/root-rw/overlay"))
    assert refusals(replace(pi5, mounts=(root,))) == OVERLAY


@pytest.mark.parametrize("part", ["boot", "mounts"])
def test_a_node_that_may_forget_its_changes_is_refused(pi5, part):
    (sentence,) = refusals(replace(pi5, **{part: Unknown("no permission")}))
    assert "(no permission), so its root may be an overlay" in sentence


def test_an_overlay_that_keeps_its_changes_is_not_refused(pi5):
    root = Mount("/", "overlay", "overlay", ("rw", "upperdir=/var/lib/machines/upper"))
    cmdline = f"overlayroot=disabled {recorded('cmdline.pi4-bookworm-arm64.txt')}"
    assert refusals(replace(pi5, boot=Boot(cmdline, None, None), mounts=(root,))) == ()
