"""A key in an account's authorized_keys: once, beside the others, and for nobody else to write."""

import pytest

from bramble.remote import authorize_key

KEY = "ssh-ed25519 AAAAours bramble"


@pytest.fixture
def file(tmp_path):
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path / ".ssh" / "authorized_keys"


def put(file):
    assert authorize_key.main({"path": str(file), "key": KEY}) == 0
    return file.read_text()


def test_the_first_key_makes_folder_and_file_for_the_account_alone(tmp_path):
    file = tmp_path / ".ssh" / "authorized_keys"
    assert put(file) == f"{KEY}\n"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("line", [KEY, "ssh-ed25519 AAAAours", f'from="10.0.0.1" {KEY}'])
def test_a_key_that_is_there_is_not_added(file, line):
    file.write_text(f"{line}\n")
    assert put(file) == f"{line}\n"


@pytest.mark.parametrize("text", [f"# {KEY}\n", "ssh-ed25519 AAAAoursAndMore me\n", "no end"])
def test_what_is_no_such_key_stays_before_it(file, text):
    file.write_text(text)
    assert put(file) == f"{text.rstrip()}\n{KEY}\n"


def test_bytes_that_are_no_text_stay(file):
    file.write_bytes(b"# \xff\n")
    authorize_key.main({"path": str(file), "key": KEY})
    assert file.read_bytes() == b"# \xff\n" + KEY.encode() + b"\n"


def test_a_link_is_not_replaced(file, tmp_path):
    file.symlink_to(tmp_path / "shared")
    (tmp_path / "shared").write_text("theirs\n")
    with pytest.raises(FileExistsError, match="is a symbolic link"):
        put(file)
    assert (tmp_path / "shared").read_text() == "theirs\n"
