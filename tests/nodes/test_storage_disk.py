"""The role storage on a virtual Pi: a real disk formatted, mounted, given back, and left alone."""

import shlex

import pytest

from tests.nodes.fleet import BIN, SKIPPED, Fleet

pytestmark = pytest.mark.nodes

NODE = "vpi-151"
DISK = "usb-Bramble_Virtual_SSD-0:0"
DEPLOY = """
from bramble.pyinfra.run import execute, gather_facts

node = gather_facts()
execute(node, "storage")
"""


MODELS = f'{DEPLOY}execute(node, "model")\n'
FOLDER = "/var/lib/bramble/models"


class One(Fleet):
    """A fleet that is brought no further than this role."""

    def deploy(self, text=DEPLOY, **ssd):
        """The role's deploy with these settings: whether it went well, and what it said."""
        self.write([NODE], {NODE: {"storage": {"ssd": ssd}}})
        script = self.folder / "storage.py"
        script.write_text(text)
        done = self.run([BIN / "pyinfra", "inventory.py", script, "-y"])
        return done.returncode == 0, done.stdout

    def changed(self):
        """Whether the last deploy changed something."""
        return bool(self.events("end")[0]["changed"])


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE)
    return One(tmp_path_factory.mktemp("fleet"))


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


def mounted(on):
    return on("findmnt -rno SOURCE,FSTYPE,OPTIONS /mnt/ssd || true")


def test_a_blank_disk_is_formatted_and_mounted_and_a_second_run_changes_nothing(fleet, on):
    ok, said = fleet.deploy()
    assert ok, said
    assert mounted(on) == "/dev/sda ext4 rw,noatime"
    assert fleet.deploy()[0]
    assert not fleet.changed()
    _, results = fleet.verify(NODE)
    found = {check: r["status"] for (_, check), r in results.items() if "storage." in check}
    assert found == {check: "skip" if check in SKIPPED else "pass" for check in found}


def test_data_outlives_a_reboot_and_taking_it_back(fleet, on, virtual_pis):
    on("echo kept >/mnt/ssd/data")
    virtual_pis.reboot(NODE)
    assert on("cat /mnt/ssd/data") == "kept"
    done = fleet.bramble("revert", "storage", NODE)
    assert done.returncode == 0, done.stdout
    assert mounted(on) == ""
    assert "bramble" not in on("cat /etc/fstab")
    fleet.deploy()
    assert on("cat /mnt/ssd/data") == "kept"


def test_a_disk_with_data_is_erased_only_when_it_is_named_and_nothing_uses_it(fleet, on):
    on("umount /mnt/ssd; cp /etc/fstab.bak /etc/fstab; wipefs -qa /dev/sda")
    on("mkswap -L theirs /dev/sda")
    before = on("head -c 1M /dev/sda | sha256sum")
    ok, said = fleet.deploy(device=DISK)
    assert not ok
    assert f"{DISK} holds swap (theirs), and is left alone" in said
    assert not fleet.deploy(erase="usb-Another-0:0")[0]
    assert on("head -c 1M /dev/sda | sha256sum") == before
    ok, said = fleet.deploy(erase=DISK)
    assert ok, said
    assert mounted(on) == "/dev/sda ext4 rw,noatime"
    on("echo new >/mnt/ssd/data; umount /mnt/ssd")
    assert fleet.deploy(erase=DISK)[0]
    assert on("cat /mnt/ssd/data") == "new"


def test_models_move_from_the_card_to_the_ssd_and_back_without_a_fetch(fleet, on, virtual_pis):
    assert fleet.deploy(MODELS, device="off")[0]
    assert on(f"stat -c %F {FOLDER}") == "directory"
    card = on(f"cd {FOLDER}; sha256sum *.gguf")
    ok, said = fleet.deploy(MODELS)
    assert ok, said
    assert on(f"readlink {FOLDER}") == "/mnt/ssd/bramble/models"
    assert on(f"cd {FOLDER}; sha256sum *.gguf") == card
    assert "Choose the models' disk" in [event["step"] for event in fleet.events("step")]
    assert "Fetch the model" not in [event["step"] for event in fleet.events("step")]
    ok, said = fleet.deploy(MODELS)
    assert (ok, fleet.changed()) == (True, False), said
    virtual_pis.reboot(NODE)
    assert on(f"cd {FOLDER}; sha256sum *.gguf") == card
    done = fleet.bramble("revert", "storage", NODE)
    assert done.returncode == 0, done.stdout
    assert mounted(on) == ""
    assert on(f"stat -c %F {FOLDER}") == "directory"
    assert on(f"cd {FOLDER}; sha256sum *.gguf") == card


def test_an_ssd_that_others_may_write_is_not_written_to_by_root(fleet, on):
    assert fleet.deploy()[0]
    on("chmod 777 /mnt/ssd")
    ok, said = fleet.deploy(MODELS)
    assert ok, said
    assert on(f"stat -c %F {FOLDER}") == "directory"
    on("chmod 755 /mnt/ssd; chown 1000 /var/lib/bramble/models")
    ok, said = fleet.deploy(MODELS)
    assert ok, said
    assert on(f"readlink {FOLDER}") == "/mnt/ssd/bramble/models"
    assert on(f"stat -c %U {FOLDER}/.") == "root"
