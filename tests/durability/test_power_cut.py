"""A power cut at any instant: each program leaves the whole old file or the whole new one.

The programs run as on a node, on a real vfat and a real ext4 of a user-mode Linux, which records what it
gives the disks. So each disk can be had as it was after every write, and as it may be where writes were
lost or changed places that it was free to put off (on ext4: with --thorough). Then fsck checks it as at
a boot, and it is read by another way.
"""

import fcntl
import os
import shutil
import subprocess

import cases
import moving_cases
import pytest
import uml

pytestmark = [
    pytest.mark.durability,
    pytest.mark.skipif(bool(uml.missing()), reason=f"not here: {uml.missing()}"),
]

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
    "MTOOLS_SKIP_CHECK": "1",
}


CASES = (*cases.CASES, *moving_cases.CASES)


def run(*argv, **options):
    return subprocess.run(argv, capture_output=True, env=ENVIRONMENT, **options)


def fat_disk(folder, files):
    """A boot partition of small clusters, with a hole in its folder before the files."""
    image = folder / "fat.img"
    run("truncate", "--size=34M", image, check=True)
    run("mkfs.fat", "-F", "32", "-s", "1", image, check=True)
    for name, content in {"a-long-name-that-goes-again.txt": b"x", **files}.items():
        (folder / "content").write_bytes(content)
        run("mcopy", "-i", image, folder / "content", f"::{name}", check=True)
    run("mdel", "-i", image, "::a-long-name-that-goes-again.txt", check=True)
    return uml.Disk(image, cases.FAT, ("-t", "vfat", "-o", "iocharset=ascii"))


def ext4_disk(folder, trees):
    """A root file system with a folder for each case."""
    for name, tree in trees.items():
        for path, content in tree.items():
            place = folder / "root" / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith(cases.LINK):
                place.symlink_to(content.removeprefix(cases.LINK).decode())
            else:
                place.write_bytes(content)
                place.chmod(0o755)
    image = folder / "ext4.img"
    run("truncate", "--size=512M", image, check=True)
    options = ("-q", "-J", "size=4", "-N", "2048", "-E", "lazy_itable_init=0,nodiscard")
    run("mkfs.ext4", *options, "-d", folder / "root", image, check=True)
    return uml.Disk(image, cases.EXT4, ("-t", "ext4", "-o", "noatime"))


def on_ext4(case):
    """What is in a case's folder there, which all of them have."""
    return case.before if case.disk == cases.EXT4 else {"here": b""}


def record(folder):
    """All cases in one boot."""
    every = (*CASES, *cases.PLANTED)
    on_fat = [case for case in every if case.disk == cases.FAT]
    blank = folder / "ssd.img"
    run("truncate", f"--size={cases.SSD_BYTES}", blank, check=True)
    disks = {
        cases.FAT: fat_disk(folder, {k: v for case in on_fat for k, v in case.before.items()}),
        cases.EXT4: ext4_disk(folder, {case.folder or case.name: on_ext4(case) for case in every}),
        cases.SSD: uml.Disk(blank),
    }
    uml.run(folder, disks, [{"name": c.name, "program": c.text} for c in every], cases.TOOLS)


@pytest.fixture
def thorough(request):
    return request.config.getoption("--thorough")


@pytest.fixture(scope="session")
def recording(tmp_path_factory, testrun_uid):
    """The recording of one boot, shared by all of pytest's processes."""
    folder = tmp_path_factory.getbasetemp().parent / f"uml-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "record").exists():
            record(folder)
    return uml.Recording(folder)


def ssd(image):
    """What blkid reads on a disk, and what fsck has against it."""
    said = run("blkid", "-p", "-o", "export", image).stdout.decode()
    label = dict(line.split("=", 1) for line in said.splitlines() if "=" in line).get("LABEL", "")
    code = run("e2fsck", "-f", "-n", image).returncode if label == "bramble-ssd" else None
    return {"label": label.encode(), "fsck": str(code).encode()}


def fat_files(image, case, scratch):
    """What lies on a FAT disk now, of the files that the case is about."""
    names = [f"::{name}" for name in {**case.before, **case.after}]
    names += [f"{name}.bak" for name in names]
    run("mcopy", "-n", "-i", image, *names, scratch)
    return {path.name: path.read_bytes() for path in scratch.iterdir()}


def ext4_files(image, case, scratch):
    """What lies on an ext4 disk in the case's folder."""
    run("debugfs", "-R", f"rdump /{case.folder or case.name} {scratch}", image, check=True)
    top = scratch / (case.folder or case.name)
    return {
        str(path.relative_to(top)): cases.LINK + os.readlink(path).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in top.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def found(image, case, scratch):
    """What is read at a boot: on FAT by the firmware before any fsck, and by Linux after it."""
    is_fat = case.disk == cases.FAT
    if case.disk == cases.SSD:
        yield ssd(image)
        return
    if is_fat:
        yield fat_files(image, case, emptied(scratch))
    run(*(("fsck.fat", "-a") if is_fat else ("e2fsck", "-p")), image)
    yield (fat_files if is_fat else ext4_files)(image, case, emptied(scratch))


def emptied(folder):
    """A folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def problems(recording, case, tmp_path, lost):
    """What is wrong at which instants of a case, with None for each state of the disk that was read."""
    # Other programs flush too, which leaves no mark.
    lost = "" if case.ends_with else lost
    seen = 0
    for when, image in recording.instants(case.name, case.disk, tmp_path, lost):
        ended = when.startswith(("end", "settled"))
        seen += 1
        yield None
        for tree in found(image, case, tmp_path / "found"):
            if problem := case.problem(tree, ended):
                yield f"{when}: {problem}"
    assert seen > 2, "nothing was recorded"


@pytest.mark.fault("F4")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_power_cut_leaves_the_whole_old_or_the_whole_new(
    recording, case, tmp_path, thorough, record_property
):
    end = recording.ends[case.name]
    assert end["code"] == case.code, end["said"]
    # Most writes are to ext4, so that their order there is for --thorough.
    lost = "at writes" if case.disk == cases.FAT else "at flushes" if thorough else ""
    seen = [*problems(recording, case, tmp_path, lost)]
    wrong = [problem for problem in seen if problem]
    record_property("kill_points", seen.count(None))
    record_property("half_written", len(wrong))
    assert wrong == []


@pytest.mark.parametrize("case", cases.PLANTED, ids=lambda case: case.name)
def test_what_is_done_without_that_care_is_found(recording, case, tmp_path):
    assert recording.ends[case.name]["code"] == 0
    lost = "at writes" if case.disk == cases.FAT else "at flushes"
    found_wrong = filter(None, problems(recording, case, tmp_path, lost))
    assert "neither the old nor the new one" in next(found_wrong)
