"""zram is made again only where nobody else owns it, and the kernel's values are read back."""

from types import SimpleNamespace

import pytest

from bramble.remote import apt_remove, kernel_values, zram

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
ACTIVE = f"{HEAD}/dev/zram0                              partition\t1014780\t\t0\t\t100\n"


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node with zram whose systemd does as it is told, but for the command that fails."""
    block = tmp_path / "zram0"
    block.mkdir()
    swaps, mounts, log2ram = (tmp_path / name for name in ("swaps", "mountinfo", "log2ram.conf"))
    swaps.write_text(HEAD)
    mounts.write_text("24 1 254:2 / / rw,noatime shared:1 - ext4 /dev/vda2 rw\n")
    (block / "comp_algorithm").write_text("lzo [lzo-rle] lz4 zstd \n")
    (block / "disksize").write_text("0\n")
    made = SimpleNamespace(
        block=block, swaps=swaps, mounts=mounts, log2ram=log2ram, orders=[], failing=None
    )
    made.setup, made.makers = "active", []

    def run(*argv):
        words = " ".join(argv[:3])
        if words == "systemctl show -p":
            return SimpleNamespace(returncode=0, stdout=f"{made.setup}\n", stderr="")
        made.orders.append(words)
        if words.startswith(made.failing or "-"):
            return SimpleNamespace(returncode=1, stdout="its last words", stderr="it would not\n")
        if words == "systemctl start dev-zram0.swap":
            swaps.write_text(ACTIVE)
        if words == "systemctl stop dev-zram0.swap":
            swaps.write_text(HEAD)
        return SimpleNamespace(returncode=0, stdout="its last words", stderr="")

    monkeypatch.setattr(zram, "run", run)
    monkeypatch.setattr(zram.swap_makers, "look", lambda: made.makers)
    monkeypatch.setattr(zram, "SWAPS", str(swaps))
    monkeypatch.setattr(zram, "MOUNTS", str(mounts))
    monkeypatch.setattr(zram, "BLOCK", str(block))
    monkeypatch.setattr(zram, "LOG2RAM", str(log2ram))
    return made


def made(algorithm="lzo-rle", ends=(), stale=()):
    query = {"algorithm": algorithm, "make": True, "ours": ["zramswap.service"]}
    return zram.main(query | {"ends": ends, "stale": stale})


def changed(node):
    return [order for order in node.orders if not order.startswith("modprobe")]


def test_zram_is_taken_down_before_it_is_made_anew(node):
    node.swaps.write_text(ACTIVE)
    (node.block / "disksize").write_text("268435456\n")
    assert made() == 0
    assert node.orders == [
        "modprobe zram",
        "systemctl daemon-reload",
        "systemctl stop dev-zram0.swap",
        "systemctl stop systemd-zram-setup@zram0.service",
        "systemctl reset-failed dev-zram0.swap",
        "systemctl start dev-zram0.swap",
    ]
    assert (node.block / "reset").read_text() == "1"


def test_what_another_left_for_this_boot_is_gone_before_systemd_reads_again(
    node, tmp_path, monkeypatch
):
    left, never = tmp_path / "20-rpi-swap.conf", tmp_path / "none.conf"
    left.write_text("writeback-device=/dev/disk/by-backingfile/var-swap\n")
    seen, run = [], zram.run
    monkeypatch.setattr(
        zram, "run", lambda *argv: (seen.append((argv[-1], left.exists())), run(*argv))[1]
    )
    assert made(stale=[str(left), str(never)]) == 0
    assert ("daemon-reload", False) in seen


def test_a_look_at_what_is_in_the_way_changes_nothing(node):
    assert zram.main({"algorithm": "zstd", "make": False, "ours": [], "ends": [], "stale": []}) == 0
    assert zram.main({"algorithm": "lz5", "make": False, "ours": [], "ends": [], "stale": []}) == 1
    assert changed(node) == []


def test_an_algorithm_that_the_kernel_lacks_is_refused_with_those_that_it_has(node, capsys):
    assert made("lz4hc") == 1
    said = capsys.readouterr().err
    assert "has no algorithm lz4hc; it has lzo, lzo-rle, lz4, zstd" in said
    assert "memory.zram.algorithm" in said
    assert changed(node) == []


def test_a_kernel_without_zram_is_refused(node, capsys):
    node.failing = "modprobe"
    assert made() == 1
    assert "no module zram: it would not" in capsys.readouterr().err


def test_the_file_that_zram_wrote_back_to_is_let_go_after_zram(node):
    assert made(ends=["rpi-setup-loop@*.service"]) == 0
    stopped = [order for order in node.orders if order.startswith("systemctl stop")]
    assert stopped == [
        "systemctl stop systemd-zram-setup@zram0.service",
        "systemctl stop rpi-setup-loop@*.service",
    ]


@pytest.mark.parametrize("line", ["ZL2R=true", ' ZL2R = "true"'])
def test_log2rams_zram_is_not_fought(node, capsys, line):
    node.log2ram.write_text(f"SIZE=128M\n{line}\n")
    assert made() == 1
    assert "Set ZL2R=false there" in capsys.readouterr().err
    assert node.orders == []


def maker(name, line):
    return {"name": name, "path": f"/usr/local/bin/{name}", "line": line}


def test_whatever_a_boot_runs_that_makes_zram_is_not_fought_but_named(node, capsys):
    node.makers = [maker("my-memory.service", "modprobe zram num_devices=4")]
    assert made() == 1
    said = capsys.readouterr().err
    assert "my-memory.service makes zram of its own at every boot (/usr/local/bin/my-memory" in said
    assert node.orders == []


@pytest.mark.parametrize(
    "one",
    [
        maker("zramswap.service", "ExecStart=/usr/sbin/zramswap start"),
        maker("dev-zram0.swap", "What=/dev/zram0"),
        maker("my-swap.service", "swapon /dev/sda2"),
    ],
)
def test_what_is_ours_or_makes_no_zram_is_no_rival(node, one):
    node.makers = [one]
    assert made() == 0


@pytest.mark.parametrize("in_use", [True, False])
def test_a_device_that_zram_generator_did_not_make_is_left_alone(node, capsys, in_use):
    node.setup = "inactive"
    if in_use:
        node.swaps.write_text(ACTIVE)
    (node.block / "disksize").write_text("268435456\n")
    assert made() == 1
    assert "zram-generator did not make it: it is left alone" in capsys.readouterr().err
    assert changed(node) == ["systemctl daemon-reload"]
    assert not (node.block / "reset").exists()


def test_a_device_that_holds_a_file_system_is_left_alone(node, capsys):
    node.mounts.write_text("31 1 253:0 / /var/log rw shared:2 - ext4 /dev/zram0 rw\n")
    assert made() == 1
    assert "/dev/zram0 is mounted at /var/log" in capsys.readouterr().err
    assert changed(node) == []


def test_swap_that_memory_cannot_take_stays_in_use(node, capsys):
    node.swaps.write_text(ACTIVE)
    node.failing = "systemctl stop"
    assert made() == 1
    assert "RAM may be too short" in capsys.readouterr().err
    assert "systemctl start dev-zram0.swap" not in node.orders


def test_a_device_that_something_holds_is_left_alone(node, capsys):
    (node.block / "disksize").write_text("268435456\n")
    (node.block / "reset").mkdir()
    assert made() == 1
    assert "is held by something and was left alone" in capsys.readouterr().err


def test_a_unit_that_does_not_start_is_told_with_its_last_words(node, capsys):
    node.failing = "systemctl start"
    assert made() == 1
    assert "did not start: it would not\nits last words" in capsys.readouterr().err


# The kernel's values


@pytest.fixture
def proc(monkeypatch, tmp_path):
    """Values of a kernel that systemd-sysctl sets by what files say."""
    (tmp_path / "vm").mkdir()
    found = SimpleNamespace(folder=tmp_path, says={}, code=0, orders=[])

    def run(argv, **options):
        found.orders.append(argv[1:])
        for name, value in found.says.items():
            if f"--prefix={name}" in argv:
                (tmp_path / name.replace(".", "/")).write_text(f"{value}\n")
        return SimpleNamespace(returncode=found.code, stderr="it would not\n")

    monkeypatch.setattr(kernel_values, "FOLDER", str(tmp_path))
    monkeypatch.setattr(kernel_values.subprocess, "run", run)
    (tmp_path / "vm" / "swappiness").write_text("60\n")
    return found


VALUES = {"vm.swappiness": "133"}


def test_values_are_applied_and_read_back(proc):
    proc.says = VALUES
    assert kernel_values.main({"values": VALUES, "remove": None}) == 0
    assert proc.orders == [["--prefix=vm.swappiness"]]


def test_a_file_that_comes_after_ours_is_found(proc, capsys):
    proc.says = {"vm.swappiness": "10"}
    assert kernel_values.main({"values": VALUES, "remove": None}) == 1
    said = capsys.readouterr().err
    assert "vm.swappiness is 10, not 133: another file says so" in said
    assert "--cat-config" in said


def test_a_value_that_this_kernel_lacks_is_told(proc, capsys):
    assert kernel_values.main({"values": {"vm.mystery": "1"}, "remove": None}) == 1
    assert "could not be set" in capsys.readouterr().err


def test_a_systemd_that_fails_is_told(proc, capsys):
    proc.code = 1
    assert kernel_values.main({"values": VALUES, "remove": None}) == 1
    assert "it would not" in capsys.readouterr().err


@pytest.mark.parametrize(("says", "after"), [({}, "60"), ({"vm.swappiness": "10"}, "10")])
def test_taking_back_gives_the_default_or_what_other_files_say(proc, says, after):
    (proc.folder / "vm" / "swappiness").write_text("133\n")
    ours = proc.folder / "ours.conf"
    ours.write_text("vm.swappiness = 133\n")
    proc.says = says
    assert kernel_values.main({"values": {"vm.swappiness": "60"}, "remove": str(ours)}) == 0
    assert not ours.exists()
    assert (proc.folder / "vm" / "swappiness").read_text().strip() == after


# A package


@pytest.mark.parametrize("code", [0, 100])
def test_a_package_is_removed_once_nobody_else_installs(monkeypatch, capsys, code):
    asked = []

    def run(*words):
        asked.append(words)
        return code, "E: held"

    monkeypatch.setattr(apt_remove.apt, "run", run)
    assert apt_remove.main({"packages": ["systemd-zram-generator"]}) == code
    assert asked == [("remove", "systemd-zram-generator")]
    said = "apt could not remove systemd-zram-generator: held\n"
    assert capsys.readouterr().err == (said if code else "")
