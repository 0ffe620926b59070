"""Files of somebody else's are set aside, and folders of ours given back to root: on real files."""

import os
import shutil

import pytest

from bramble.remote import give_to_root, set_aside


def test_what_is_set_aside_keeps_its_content_and_another_of_its_name_does_too(tmp_path, capsys):
    path = tmp_path / "mine.conf"
    for text in ("[Service]\nA=1\n", "[Service]\nB=2\n"):
        path.write_text(text)
        assert set_aside.main({"paths": [str(path)]}) == 0
    assert not path.exists()
    assert (tmp_path / "mine.conf.set-aside").read_text() == "[Service]\nA=1\n"
    assert (tmp_path / "mine.conf.set-aside-2").read_text() == "[Service]\nB=2\n"
    assert f"{path} is {path}.set-aside from now on" in capsys.readouterr().out


def test_what_is_gone_already_is_nothing_to_set_aside(tmp_path):
    assert set_aside.main({"paths": [str(tmp_path / "none.conf")]}) == 0


def test_a_link_is_set_aside_itself_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "target").write_text("x")
    (tmp_path / "link.conf").symlink_to(tmp_path / "target")
    assert set_aside.main({"paths": [str(tmp_path / "link.conf")]}) == 0
    assert (tmp_path / "target").read_text() == "x"
    assert (tmp_path / "link.conf.set-aside").is_symlink()


@pytest.fixture
def place():
    """A folder below one that nobody else may write, as /var/lib is."""
    made = f"/var/lib/bramble-test-{os.getpid()}"
    os.makedirs(f"{made}/models")
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give to root")
def test_a_folder_is_given_back_and_what_was_believed_there_goes(place):
    folder, stamp = f"{place}/models", f"{place}/models/m.gguf.json"
    open(stamp, "w").close()
    os.chown(folder, 12345, 12345)
    os.chmod(folder, 0o2777)
    query = {"paths": [folder], "forget": [stamp, f"{folder}/none.json"]}
    assert give_to_root.main(query) == 0
    status = os.stat(folder)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, 0, 0o755)
    assert not os.path.exists(stamp)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give to root")
def test_a_link_is_not_followed_and_a_folder_below_another_users_is_not_given(place, capsys):
    os.symlink("/etc", f"{place}/models/link")
    assert give_to_root.main({"paths": [f"{place}/models/link"], "forget": []}) == 1
    assert "link" in capsys.readouterr().err
    os.chown(place, 12345, 12345)
    assert give_to_root.main({"paths": [f"{place}/models"], "forget": []}) == 1
    assert f"{place} belongs to user 12345" in capsys.readouterr().err
