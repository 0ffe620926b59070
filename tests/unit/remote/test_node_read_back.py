"""A file is read back from its disk, past the page cache where the file system can."""

import errno
import hashlib
import os
import random

import pytest

from bramble.remote import read_back

MIB = 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, 4096, 9 * MIB, 9 * MIB + 4321])
def test_the_last_line_is_the_sha256(tmp_path, capsys, size):
    file = tmp_path / "model.gguf"
    file.write_bytes(content := random.Random(size).randbytes(size))
    assert read_back.main({"path": str(file)}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f":: {hashlib.sha256(content).hexdigest()}"
    assert lines[0] == f":: reading {file} back from the disk"
    if size > MIB:
        assert "[9/9] MiB" in lines


def test_a_file_system_that_knows_no_direct_reads_is_read_all_the_same(
    tmp_path, capsys, monkeypatch
):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" * MIB)
    real = os.open

    def refuse(path, flags, *more):
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    assert read_back.main({"path": str(file)}) == 0
    wanted = hashlib.sha256(b"GGUF" * MIB).hexdigest()
    assert capsys.readouterr().out.splitlines()[-1] == f":: {wanted}"


def test_a_disk_that_does_not_read_is_said_and_is_no_failure_of_the_program(
    tmp_path, capsys, monkeypatch
):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")

    def broken(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    assert read_back.main({"path": str(file)}) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == ":: cannot be read: Input/output error"


def test_a_file_that_is_gone_is_said(tmp_path, capsys):
    assert read_back.main({"path": str(tmp_path / "gone")}) == 0
    assert "cannot be read: No such file" in capsys.readouterr().out
