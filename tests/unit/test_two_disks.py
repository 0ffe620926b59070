"""Two real disks: what is another's is neither formatted, nor mounted over, nor taken away."""

import hashlib
import uuid
from dataclasses import replace

import pytest
from two_disks import SIZE, TwoDisks, needs_root

from bramble import snapshot
from bramble.plan import Inputs, together
from bramble.remote import answer
from bramble.roles.storage import plan as storage
from bramble.roles.storage.disks import uuid_of
from bramble.snapshot import Output
from tests.unit.good_node import node_plan
from tests.unit.looks import DETECT

pytestmark = needs_root

NAME = "usb-JMicron_Generic_0123456789ABCDEF-0:0"
OWN = "usb-JMicron_Generic_2-0:0"


@pytest.fixture
def two(tmp_path):
    """Two blank disks of one serial, of which sdb has the name."""
    found = TwoDisks(tmp_path)
    found.links = {NAME: "sdb"}
    yield found
    found.detach()


def format_query(two, **changes):
    asked = {"name": NAME, "size_bytes": SIZE, "uuid": str(uuid.uuid4()), "erase": None}
    words = {"label": "bramble-ssd", "staged": "bramble-new", "note": f"{two.folder}/notes/{NAME}"}
    return {**asked, **words, "folder": str(two.mnt), **changes}


def mount_query(two, number, mounted=True):
    note = f"{two.folder}/note"
    words = {"folder": str(two.mnt), "uuid": number, "options": ["noatime"], "note": note}
    return {"mounted": mounted, **words}


def look(two):
    """A look at the two disks by the real probe, as a node that is no container takes it."""
    settings = {"ssd": {"least_gib": 1}}
    plan = node_plan(storage=settings)
    wanted = together([storage.facts_needed(storage.Settings.model_validate(settings), Inputs())])
    done = two.run("probe", {"files": wanted.files, "commands": []})
    assert done.returncode == 0, done.stderr
    seen = snapshot.read(answer(done.stdout))
    desired = replace(plan.roles["storage"].ssd, least_gib=0)
    return desired, replace(seen, commands={DETECT: Output(1, "none\n")})


# Two disks with one serial


def test_the_one_with_the_name_is_not_formatted_while_another_has_its_serial(two):
    desired, seen = look(two)
    assert [(d.path, d.serial) for d in seen.disks] == [
        ("/dev/sda", "0123456789ABCDEF"),
        ("/dev/sdb", "0123456789ABCDEF"),
    ]
    for device in ("auto", NAME):
        assert storage.chosen(replace(desired, device=device), seen).state == "refused"
    done = two.run("format_disk", format_query(two))
    assert done.returncode == 1
    assert f"{NAME} is not the name of one disk alone: /dev/sda has the same" in done.stderr
    assert two.is_blank("sda")
    assert two.is_blank("sdb")


def test_not_even_where_it_is_named_for_erasing(two):
    two.mkfs("sdb", "-L", "photos")
    before = two.image("sdb").read_bytes()
    done = two.run("format_disk", format_query(two, erase=NAME))
    assert done.returncode == 1
    assert two.image("sdb").read_bytes() == before


def test_a_disk_with_a_serial_of_its_own_is_formatted_beside_another(two):
    two.serials["sda"] = "2"
    two.links[OWN] = "sda"
    desired, seen = look(two)
    assert storage.chosen(replace(desired, device=NAME), seen).state == "format"
    done = two.run("format_disk", format_query(two))
    assert (done.returncode, done.stderr) == (0, "")
    assert two.is_blank("sda")
    assert not two.is_blank("sdb")


def test_a_disk_whose_partition_link_is_anothers_is_not_formatted(two):
    two.serials["sda"] = "2"
    two.links |= {OWN: "sda", f"{NAME}-part1": "sda"}
    desired, seen = look(two)
    found = storage.chosen(replace(desired, device=NAME), seen)
    assert f"{NAME}-part1 is /dev/sda, of another disk" in found.why
    done = two.run("format_disk", format_query(two))
    assert f"{NAME}-part1 is /dev/sda, of another disk" in done.stderr
    assert two.is_blank("sdb")


def test_a_file_system_of_the_same_uuid_on_another_disk_forbids_to_make_it(two):
    made = uuid_of(NAME)
    two.serials["sda"] = "2"
    two.mkfs("sda", "-L", "renamed", "-U", made)
    desired, seen = look(two)
    found = storage.chosen(replace(desired, device=NAME), seen)
    assert f"/dev/sda holds the file system {made}, which bramble made" in found.why
    done = two.run("format_disk", format_query(two, uuid=made))
    assert f"/dev/sda holds the file system {made}, which bramble made" in done.stderr
    assert two.is_blank("sdb")


# A folder that is not free


def fstab_query(two, path, text, number):
    was = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "path": str(path),
        "was_sha256": was,
        "text": text,
        "folder": str(two.mnt),
        "uuid": number,
    }


TAKEN = {
    "files of its own": ("touch {}/model.gguf", "holds model.gguf on the boot disk"),
    "a network's file system": (
        "mount -t tmpfs nas:/models {}",
        "nas:/models (tmpfs) is mounted at",
    ),
    "another folder": ("mount --bind /usr {}", "is mounted at"),
    "another disk": ("mkfs.ext4 -q /dev/sda; mount /dev/sda {}", "/dev/sda (ext4) is mounted at"),
    "a disk whose node alone is gone": (
        "mkfs.ext4 -q /dev/sda; mount /dev/sda {}; rm /dev/sda",
        "/dev/sda (ext4) is mounted at",
    ),
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_folder_that_is_not_free_is_refused_before_anything_is_changed(two, what):
    before, said = TAKEN[what]
    two.serials["sda"] = "2"
    taken, seen = before.format(two.mnt), f"findmnt -rno SOURCE,FSTYPE {two.mnt}; ls {two.mnt}"
    done = two.run("format_disk", format_query(two), before=taken, after=seen)
    assert done.returncode == 1
    assert said in done.stderr
    assert two.is_blank("sdb")
    kept = done.stdout
    (two.mnt / "model.gguf").unlink(missing_ok=True)
    number = str(uuid.uuid4())
    two.mkfs("sdb", "-U", number)
    table = two.folder / "theirs"
    table.write_text("proc /proc proc defaults 0 0\n")
    text = f"{table.read_text()}UUID={number} {two.mnt} ext4 noatime,nofail 0 2\n"
    done = two.run("edit_fstab", fstab_query(two, table, text, number), before=taken, after=seen)
    assert (done.returncode, done.stdout) == (1, kept)
    assert said in done.stderr
    assert table.read_text() == "proc /proc proc defaults 0 0\n"
    (two.mnt / "model.gguf").unlink(missing_ok=True)
    two.fstab = text
    done = two.run("mount_disk", mount_query(two, number), before=taken, after=seen)
    assert (done.returncode, done.stdout) == (1, kept)
    assert said in done.stderr


def test_what_is_left_of_a_disk_that_is_gone_makes_room(two):
    number = str(uuid.uuid4())
    two.mkfs("sdb", "-U", number)
    two.fstab = f"UUID={number} {two.mnt} ext4 noatime,nofail 0 2\n"
    gone = (
        f"mkfs.ext4 -q /dev/sda; mount /dev/sda {two.mnt}; rm /dev/sda; "
        f"rm {two.folder}/sys/dev/{two.number('sda')}"
    )
    shown = f"findmnt -rno SOURCE,OPTIONS {two.mnt}"
    done = two.run("mount_disk", mount_query(two, number), before=gone, after=shown)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "/dev/sdb rw,noatime\n"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("mount -t tmpfs nas:/models {}", "nas:/models (tmpfs) is mounted at"),
        ("mkfs.ext4 -q /dev/sda; mount /dev/sda {}", "/dev/sda (ext4) is mounted at"),
    ],
)
def test_taking_back_leaves_what_is_anothers(two, what, said):
    number = str(uuid.uuid4())
    two.mkfs("sdb", "-U", number)
    under = f"mount UUID={number} {two.mnt}; "
    shown = f"findmnt -rno SOURCE {two.mnt}"
    done = two.run(
        "mount_disk",
        mount_query(two, number, mounted=False),
        before=under + what.format(two.mnt),
        after=shown,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_taking_back_unmounts_what_is_ours(two):
    number = str(uuid.uuid4())
    two.mkfs("sdb", "-U", number)
    shown = f"findmnt -rno SOURCE {two.mnt}"
    query = mount_query(two, number, mounted=False)
    done = two.run("mount_disk", query, before=f"mount UUID={number} {two.mnt}", after=shown)
    assert (done.returncode, done.stdout) == (0, "")
    assert not two.mnt.exists()
