"""Runs below `unshare --mount --uts`: a program on an ext4 that is full, without inodes, or read-only.

Prints, for each state of the disk, what the program said and left, and what a run on the mended disk
made of it. All else that a program may touch is hidden by file systems of this process alone.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

EXT4, FAT, TOOLS, HERE = "/run/ext4", "/run/fat", "/run/tools", pathlib.Path("/run/ext4/filler")
BLOCK, VICTIM = 4096, pathlib.Path("/run/victim")
ENVIRONMENT = {
    "PATH": f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin",
    "TMPDIR": "/run",
    "LC_ALL": "C.UTF-8",
}
BOUND = ("/var/lib/bramble", "/etc/systemd/system")


def call(*argv):
    subprocess.run(argv, check=True)


def ready(job):
    """The disk, doubles of what acts on a whole machine, and nothing of this computer's own state."""
    call("mount", "-t", "tmpfs", "tmpfs", "/run")
    call("mount", "-t", "tmpfs", "tmpfs", "/var/lib")
    os.mkdir("/var/lib/bramble")
    for place in (EXT4, FAT, TOOLS):
        os.mkdir(place)
    for name, text in job["tools"].items():
        path = pathlib.Path(TOOLS, name)
        path.write_text(text)
        path.chmod(0o755)
        if os.path.exists(f"/usr/sbin/{name}"):
            call("mount", "--bind", path, f"/usr/sbin/{name}")
    image = "/run/image"
    with open(image, "wb") as file:
        file.truncate(512 << 20)
    inodes = ("-N", "128") if job["fault"] == "inodes" else ()
    call("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0", *inodes, image)
    call("mount", "-o", "loop,noatime", image, EXT4)
    os.mkdir(f"{EXT4}/boot")
    call("mount", "--bind", f"{EXT4}/boot", FAT)


def reset(job):
    """The case's files as they are before, on a disk with nothing else."""
    for place in BOUND:
        if os.path.ismount(place) and os.stat(place).st_dev == os.stat(EXT4).st_dev:
            call("umount", place)
    HERE.unlink(missing_ok=True)
    shutil.rmtree(f"{EXT4}/inodes", ignore_errors=True)
    root = pathlib.Path(job["root"])
    for path in root.iterdir() if root.exists() else ():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    root.mkdir(exist_ok=True)
    os.makedirs(job["also"], exist_ok=True)
    put(job, job["before"])
    for text in job["first"]:
        assert run(text).returncode == 0


def put(job, names):
    """These of the case's files, as they are before."""
    for name in names:
        path, content = pathlib.Path(job["root"], name), job["before"][name].encode("latin-1")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith(b"-> "):
            path.symlink_to(content[3:].decode())
        else:
            path.write_bytes(content)
            path.chmod(0o755)


def run(text):
    return subprocess.run(
        ["/usr/bin/python3", "-u", "-"],
        input=text,
        text=True,
        capture_output=True,
        env=ENVIRONMENT,
    )


def fill(left):
    """Leave this many blocks."""
    with HERE.open("wb") as file:
        for _ in range(50):
            os.sync()
            free = os.statvfs(EXT4).f_bavail
            if free == left:
                return
            size = os.fstat(file.fileno()).st_size
            if free < left:
                os.ftruncate(file.fileno(), size - (left - free) * BLOCK)
            else:
                # What describes the file takes blocks too.
                some = max(1, (free - left) * 9 // 10)
                os.posix_fallocate(file.fileno(), size, some * BLOCK)
    raise AssertionError(f"{os.statvfs(EXT4).f_bavail} blocks are left in place of {left}")


def use_up(left):
    """Leave this many inodes."""
    folder = pathlib.Path(EXT4, "inodes")
    folder.mkdir()
    for number in range(os.statvfs(EXT4).f_ffree - left):
        (folder / str(number)).touch()
    assert os.statvfs(EXT4).f_ffree == left


def remount(option):
    os.sync()
    call("mount", "-o", f"remount,{option}", EXT4)


def in_its_place(kind, path):
    """Have something else be where a managed file is, or be about to be."""
    place = pathlib.Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    # A program that follows a link finds what it is to replace.
    VICTIM.write_bytes(place.read_bytes() if place.exists() else b"precious")
    if kind == "an immutable file":
        place.touch()
        call("chattr", "+i", place)
        return
    place.unlink(missing_ok=True)
    if kind == "a link":
        place.symlink_to(VICTIM)
    else:
        place.mkdir()
        (place / "precious").touch()


def is_there(kind, path):
    """Whether that is still there."""
    place = pathlib.Path(path)
    if kind == "an immutable file":
        flags = subprocess.run(["lsattr", place], capture_output=True, text=True).stdout
        return "i" in flags.split()[0]
    return place.is_symlink() if kind == "a link" else (place / "precious").exists()


def take_away(kind, path):
    place = pathlib.Path(path)
    if kind == "an immutable file":
        call("chattr", "-i", place)
    elif kind == "a link":
        place.unlink()
    else:
        shutil.rmtree(place)


DISKS = {"full": fill, "inodes": use_up, "read-only": lambda _: remount("ro")}


@contextlib.contextmanager
def broken(job, left):
    """The disk in this state, or something at the path `left`, and mended."""
    fault = job["fault"]
    if fault in DISKS:
        DISKS[fault](left)
        yield {}
    else:
        path, told = pathlib.Path(job["root"], left), {}
        in_its_place(fault, path)
        yield told
        told |= {"kept": is_there(fault, path), "victim": VICTIM.read_bytes().decode("latin-1")}
        take_away(fault, path)
        put(job, [name for name in job["before"] if name == left])
    remount("rw")
    HERE.unlink(missing_ok=True)
    shutil.rmtree(f"{EXT4}/inodes", ignore_errors=True)


def tree(job):
    root, found = pathlib.Path(job["root"]), {}
    for path in root.rglob("*"):
        if path.is_symlink() or path.is_file():
            content = f"-> {os.readlink(path)}".encode() if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(root))] = content.decode("latin-1")
    return found


def main():
    job = json.load(sys.stdin)
    ready(job)
    for left in job["left"]:
        reset(job)
        with broken(job, left) as seen:
            done = run(job["program"])
            found = tree(job)
        # What was sent is sent again by the next run.
        put(job, [name for name in job["before"] if name.startswith("sent")])
        again = run(job["program"])
        if again.stderr.endswith("run again\n"):
            again = run(job["program"])
        reported = {"left": left, "code": done.returncode, "said": done.stdout + done.stderr}
        reported |= seen | {"tree": found, "again": [again.returncode, again.stdout + again.stderr]}
        print(json.dumps(reported | {"then": tree(job)}), flush=True)


main()
