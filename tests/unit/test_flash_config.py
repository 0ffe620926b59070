"""What `bramble flash-config` writes onto a card, and which cards and wishes it refuses."""

import os
import shlex
import stat
import subprocess
import tomllib

import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization

from bramble.cli import main
from bramble.firstboot import cloud_init, custom_toml, public_keys, wanted, wifi, writing
from bramble.firstboot.volume import VolumeError, read
from bramble.firstboot.wanted import FirstBoot, Wifi
from bramble.remote import atomic
from tests.unit.boot_volumes import FIRSTBOOT, ROOT, bookworm, trixie, volume

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRsTu0eTyjs6XYFjKNEtbOmOlEdWAIMxuzt3pL22Tvm me@here"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAf+e9KWS63RDXa6lSm0c2M9XBQiq8hDw/kvZNjKXTDB other"
FLEET = """
hosts:
  pi5-a: {{ssh: {{address: 192.0.2.41, user: llm{ssh}}}}}
settings:
  node: {{roles: [base]}}
  base: {{timezone: Europe/Vienna, authorized_keys: ["{key}"]{base}}}
"""
PASSPHRASE = "correct horse battery"
WIFI = ("--wifi", "Joe's home", "--wifi-country", "AT", "--wifi-from-env", "WIFI_PASSPHRASE")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An inventory of one Pi, and a home without anybody's own ~/.ssh/config."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path / "inventory"))
    monkeypatch.setenv("WIFI_PASSPHRASE", PASSPHRASE)
    monkeypatch.chdir(tmp_path)
    fleet(tmp_path)
    return tmp_path / "home"


def fleet(folder, ssh="", base="", key=KEY):
    (folder / "inventory").mkdir(exist_ok=True)
    (folder / "inventory" / "fleet.yml").write_text(FLEET.format(ssh=ssh, base=base, key=key))
    (folder / "inventory" / "known_hosts").touch()


def flash(folder, *words):
    words = ("flash-config", "pi5-a", "--boot-volume", str(folder), *words)
    return CliRunner().invoke(main, words)


def texts(folder):
    return {file.name: file.read_text() for file in folder.iterdir()}


def written(folder):
    """The user-data of a volume, after its first line was looked at."""
    text = (folder / "user-data").read_text()
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


# What is on the card


def test_bookworm_is_told_by_its_first_boot_and_trixie_by_the_files_of_cloud_init(tmp_path):
    one, other = volume(tmp_path / "b", bookworm()), volume(tmp_path / "t", trixie())
    assert (read(one).way, read(one).release, read(one).day) == (
        "custom.toml",
        "Bookworm",
        "2024-11-19",
    )
    assert (read(other).way, read(other).release) == ("cloud-init", "Trixie")


def without(files, *names):
    return {name: text for name, text in files.items() if name not in names}


BOOKWORM, TRIXIE = bookworm(), trixie()
STRANGE = {
    "nothing": ({}, "found no file"),
    "no volume": ({"a.jpg": ""}, "found a.jpg"),
    "Ubuntu": (without(TRIXIE, "issue.txt"), "is no boot volume of Raspberry Pi OS: found cmdline"),
    "another maker": (BOOKWORM | {"issue.txt": "DietPi v9\n"}, "found 'DietPi v9'"),
    "Bullseye": (BOOKWORM | {"config.txt": "arm_64bit=1\n"}, "no auto_initramfs=1"),
    "32 bits": (BOOKWORM | {"kernel7l.img": ""}, "has kernel7l.img, which a 32-bit system has"),
    "started": (BOOKWORM | {"cmdline.txt": f"{ROOT}\n"}, "is of a card that was started before"),
    "first Trixie": (
        without(trixie("2025-10-01"), "user-data", "meta-data", "network-config"),
        "as the first image of Trixie (2025-10-01): take a later one",
    ),
    "part of cloud-init": (without(TRIXIE, "meta-data"), "lacks meta-data"),
    "two lines": (TRIXIE | {"cmdline.txt": f"{ROOT}\nresize\n"}, "has 2 lines, and must have one"),
    "empty line": (TRIXIE | {"cmdline.txt": ""}, "has 0 lines, and must have one"),
    "no root": (BOOKWORM | {"cmdline.txt": f"quiet {FIRSTBOOT}\n"}, "names no root="),
    "Imager's script": (BOOKWORM | {"firstrun.sh": "#!/bin/sh\n"}, "firstrun.sh is there"),
    "Imager's words": (
        BOOKWORM | {"cmdline.txt": f"{ROOT} {FIRSTBOOT} systemd.run=/boot/firstrun.sh\n"},
        "has systemd.run=/boot/firstrun.sh",
    ),
    "userconf": (BOOKWORM | {"userconf.txt": "pi:$6$x\n"}, "userconf.txt is there, by which"),
    "preseed": (TRIXIE | {"rpi-preseed.toml": ""}, "rpi-preseed.toml is there"),
}


@pytest.mark.parametrize("which", STRANGE)
def test_a_volume_that_is_not_known_is_refused_with_what_was_found(tmp_path, which):
    files, said = STRANGE[which]
    folder = volume(tmp_path / "card", files)
    done = flash(folder)
    assert done.exit_code == 1
    assert said in done.output
    assert "nothing was written" in done.output
    assert texts(folder) == files


def test_a_volume_of_fat_has_its_names_in_any_case(tmp_path):
    files = without(BOOKWORM, "issue.txt") | {"ISSUE.TXT": BOOKWORM["issue.txt"]}
    folder = volume(tmp_path / "card", files)
    (folder / "issue.txt").write_text(BOOKWORM["issue.txt"])
    (folder / "USERCONF.TXT").write_text("x")
    with pytest.raises(VolumeError, match=r"userconf\.txt is there"):
        read(folder)


# Bookworm


def test_bookworm_gets_a_custom_toml_and_nothing_else(tmp_path):
    folder = volume(tmp_path / "card", BOOKWORM)
    done = flash(folder, *WIFI)
    assert done.exit_code == 0, done.output
    left = texts(folder)
    assert without(left, "custom.toml") == BOOKWORM
    assert tomllib.loads(left["custom.toml"]) == {
        "config_version": 1,
        "system": {"hostname": "pi5-a"},
        "user": {"name": "llm"},
        "ssh": {"enabled": True, "password_authentication": False, "authorized_keys": [KEY]},
        "wlan": {
            "ssid": "Joe's home",
            "password": wifi.psk("Joe's home", PASSPHRASE),
            "password_encrypted": True,
            "country": "AT",
        },
        "locale": {"timezone": "Europe/Vienna"},
    }
    assert f"wrote {folder / 'custom.toml'}" in done.output
    assert "next: `bramble trust pi5-a` once 192.0.2.41:22 answers" in done.output


def test_a_toml_that_would_be_read_otherwise_is_not_written(monkeypatch):
    monkeypatch.setattr(custom_toml.json, "dumps", lambda value, **_: "'x'")
    with pytest.raises(ValueError, match=r"custom\.toml would not be read as it is meant"):
        custom_toml.files(FirstBoot("pi5-a", "pi5-a", "llm", (KEY,)))


def test_a_key_with_options_is_quoted(tmp_path):
    key = f'from="192.0.2.0/24",command="echo \\"x\\"" {KEY}'
    text = custom_toml.files(FirstBoot("pi5-a", "pi5-a", "llm", (key,)))["custom.toml"]
    assert tomllib.loads(text)["ssh"]["authorized_keys"] == [key]


# Trixie


def test_trixie_gets_its_three_files_and_one_word_of_the_command_line(tmp_path):
    folder = volume(tmp_path / "card", TRIXIE)
    done = flash(folder, *WIFI)
    assert done.exit_code == 0, done.output
    left = texts(folder)
    instance = yaml.safe_load(left["meta-data"])["instance-id"]
    assert instance.startswith("bramble-")
    assert left["cmdline.txt"] == f"{ROOT} resize ds=nocloud;i={instance}\n"
    network = yaml.safe_load(left["network-config"])["network"]
    assert network["ethernets"]["eth0"]["dhcp4"] is True
    assert network["wifis"]["wlan0"]["regulatory-domain"] == "AT"
    assert network["wifis"]["wlan0"]["access-points"] == {
        "Joe's home": {"password": wifi.psk("Joe's home", PASSPHRASE)}
    }
    said = written(folder)
    assert said["hostname"] == "pi5-a"
    assert said["timezone"] == "Europe/Vienna"
    assert said["ssh_pwauth"] is False
    assert said["user"] == {
        "name": "llm",
        "shell": "/bin/bash",
        "lock_passwd": True,
        "ssh_authorized_keys": [KEY],
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
    }
    assert said["runcmd"][-1] == ["systemctl", "enable", "--now", "ssh"]
    # The list would take the groups of the image's own user away, and this would undo base.hostname.
    assert not {"users", "manage_etc_hosts"} & said.keys()


def test_without_wifi_the_images_own_network_stays(tmp_path):
    folder = volume(tmp_path / "card", TRIXIE)
    assert flash(folder).exit_code == 0
    assert texts(folder)["network-config"] == TRIXIE["network-config"]


def test_the_command_line_is_written_last(tmp_path, monkeypatch):
    folder, order = volume(tmp_path / "card", TRIXIE), []
    real = atomic.write
    monkeypatch.setattr(
        writing.atomic, "write", lambda path, *more: (order.append(path), real(path, *more))
    )
    assert flash(folder, *WIFI).exit_code == 0
    names = [os.path.basename(path) for path in order]
    assert names == ["user-data", "network-config", "meta-data", "cmdline.txt"]


def commands(folder, *places):
    """The commands of the first boot, on files of this test in place of the node's."""
    for words in written(folder)["runcmd"]:
        for there, here in places:
            words = [word.replace(there, str(here)) for word in words]
        yield words


def test_the_first_boots_commands_name_the_node_and_let_the_account_become_root(tmp_path):
    folder = volume(tmp_path / "card", TRIXIE)
    assert flash(folder).exit_code == 0
    hosts, rules = tmp_path / "hosts", tmp_path / "sudoers.d"
    hosts.write_text("127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n")
    rules.mkdir()
    for words in commands(folder, ("/etc/hosts", hosts), ("/etc/sudoers.d", rules)):
        if words[0] != "systemctl":
            subprocess.run(words, check=True)
    assert hosts.read_text() == "127.0.0.1\tlocalhost\n127.0.1.1 pi5-a\n"
    (rule,) = rules.iterdir()
    assert (rule.name, rule.read_text()) == ("010_llm-nopasswd", "llm ALL=(ALL) NOPASSWD:ALL\n")
    assert stat.S_IMODE(rule.stat().st_mode) == 0o440


def test_a_yaml_that_would_be_read_otherwise_is_not_written(tmp_path, monkeypatch):
    there = read(volume(tmp_path / "card", TRIXIE))
    monkeypatch.setattr(cloud_init, "_dumped", lambda values: "hostname: other\n")
    with pytest.raises(ValueError, match="user-data would not be read as it is meant"):
        cloud_init.files(FirstBoot("pi5-a", "pi5-a", "llm", (KEY,)), there)


# The host key


def test_a_host_key_is_trusted_ahead_and_goes_from_the_card_at_the_first_boot(tmp_path):
    folder = volume(tmp_path / "card", TRIXIE)
    done = flash(folder, "--host-key")
    assert done.exit_code == 0, done.output
    private, public = written(folder)["write_files"]
    assert (private["path"], private["permissions"]) == ("/etc/ssh/ssh_host_ed25519_key", "0600")
    # After the system has made its own, which would take their place.
    assert private["defer"] is True
    key = serialization.load_ssh_private_key(private["content"].encode(), None).public_key()
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    line = key.public_bytes(*form).decode()
    assert public["content"].startswith(f"{line} ")
    known = (tmp_path / "inventory" / "known_hosts").read_text()
    assert known == f"192.0.2.41 {line}\n"
    assert "PRIVATE" not in done.output + known
    assert "next: `bramble up pi5-a` once 192.0.2.41:22 answers" in done.output
    assert "bramble trust" not in done.output
    whole = (folder / "user-data").read_text()
    told = [*commands(folder, ("/boot/firmware/", f"{folder}/"))]
    cleaning, starting = told[-2:]
    subprocess.run(cleaning, check=True)
    assert starting[0] == "systemctl"
    assert (folder / "user-data").read_text() == cloud_init.without_host_key(whole)
    assert "PRIVATE" not in (folder / "user-data").read_text()
    assert written(folder)["user"]["name"] == "llm"


def test_each_host_key_is_another_one(tmp_path):
    known = []
    for name in "ab":
        (tmp_path / "inventory" / "known_hosts").write_text("")
        assert flash(volume(tmp_path / name, TRIXIE), "--host-key").exit_code == 0
        known.append((tmp_path / "inventory" / "known_hosts").read_text())
    assert known[0] != known[1]


def test_bookworm_takes_no_host_key(tmp_path):
    folder = volume(tmp_path / "card", BOOKWORM)
    done = flash(folder, "--host-key")
    assert done.exit_code == 2
    assert "the first boot of Bookworm takes no host key" in done.output
    assert "bramble trust pi5-a" in done.output
    assert texts(folder) == BOOKWORM


def test_a_host_key_is_refused_where_sshd_would_start_before_it_is_there(tmp_path):
    folder = volume(tmp_path / "card", TRIXIE | {"ssh": ""})
    done = flash(folder, "--host-key")
    assert (done.exit_code, "starts sshd before the key is there" in done.output) == (2, True)
    assert flash(folder).exit_code == 0


def test_the_key_of_the_card_before_is_replaced_only_on_request(tmp_path):
    known = tmp_path / "inventory" / "known_hosts"
    known.write_text(f"192.0.2.41 {OTHER}\n")
    folder = volume(tmp_path / "card", TRIXIE)
    done = flash(folder, "--host-key")
    assert (done.exit_code, texts(folder)) == (2, TRIXIE)
    assert "--replace" in done.output
    assert known.read_text() == f"192.0.2.41 {OTHER}\n"
    assert flash(folder, "--host-key", "--replace").exit_code == 0
    assert OTHER.split()[1] not in known.read_text()
    assert len(known.read_text().splitlines()) == 1


def test_without_a_host_key_the_old_one_is_named_in_what_is_next(tmp_path):
    (tmp_path / "inventory" / "known_hosts").write_text(f"192.0.2.41 {OTHER}\n")
    done = flash(volume(tmp_path / "card", TRIXIE))
    assert "next: `bramble trust pi5-a --replace` once" in done.output


# What is there already


@pytest.mark.parametrize("files", [BOOKWORM, TRIXIE], ids=["bookworm", "trixie"])
def test_a_second_run_changes_nothing_and_says_so(tmp_path, files):
    folder = volume(tmp_path / "card", files)
    assert flash(folder, *WIFI).exit_code == 0
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    done = flash(folder, *WIFI)
    assert (done.exit_code, "wrote" in done.output) == (0, False)
    assert "as it is:" in done.output
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


FOREIGN = {
    "custom.toml": BOOKWORM | {"custom.toml": "config_version = 1\n"},
    "user-data": TRIXIE | {"user-data": "#cloud-config\nhostname: imager\n"},
    "broken user-data": TRIXIE | {"user-data": "#cloud-config\nhostname: [\n"},
    "meta-data": TRIXIE | {"meta-data": "instance-id: rpi-imager-1\n"},
    "cmdline.txt": TRIXIE | {"cmdline.txt": f"{ROOT} resize ds=nocloud;i=rpi-imager-1\n"},
}


@pytest.mark.parametrize("which", FOREIGN)
def test_what_another_customisation_wrote_is_replaced_only_on_request(tmp_path, which):
    folder = volume(tmp_path / "card", FOREIGN[which])
    done = flash(folder)
    assert (done.exit_code, texts(folder)) == (2, FOREIGN[which])
    assert f"has {which.rpartition(' ')[2]} of another customisation: --replace" in done.output
    assert flash(folder, "--replace").exit_code == 0
    left = texts(folder)
    assert left != FOREIGN[which]
    assert "imager" not in "".join(left.values())


def test_a_network_of_another_customisation_stays_and_that_is_told(tmp_path):
    network = "network:\n  version: 2\n"
    folder = volume(tmp_path / "card", TRIXIE | {"network-config": network})
    done = flash(folder)
    assert (done.exit_code, texts(folder)["network-config"]) == (0, network)
    assert "network-config is of another customisation, and stays as it is" in done.output


def test_a_card_without_room_is_left_as_it_is(tmp_path, monkeypatch):
    folder = volume(tmp_path / "card", TRIXIE)
    monkeypatch.setattr(
        writing.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100 << 10})
    )
    done = flash(folder)
    assert (done.exit_code, texts(folder)) == (1, TRIXIE)
    assert "has 100 KiB free" in done.output


def test_a_card_that_takes_no_file_is_told_with_what_to_do(tmp_path, monkeypatch):
    folder = volume(tmp_path / "card", BOOKWORM)

    def refuse(path, *_more):
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(writing.atomic, "write", refuse)
    done = flash(folder)
    assert (done.exit_code, texts(folder)) == (1, BOOKWORM)
    assert "was not written: Read-only file system; see that the volume is mounted" in done.output


# What would leave a board that nobody can log in to


GOOD = FirstBoot("pi5-a", "pi5-a", "llm", (KEY,))
BAD = {
    "no key": ({"keys": ()}, "no public key: the account gets no password"),
    "a damaged key": ({"keys": (KEY[:40],)}, "a public key cannot be used: it is cut off"),
    "upper case": ({"user": "Llm"}, "ssh.user: found 'Llm'"),
    "no user": ({"user": ""}, "ssh.user: found ''"),
    "root": ({"user": "root"}, "root is an account of the system itself"),
    "a system's account": ({"user": "www-data"}, "www-data is an account of the system itself"),
    "a domain": ({"hostname": "pi5.home"}, "'pi5.home' is none that a node can have"),
    "a zone": ({"timezone": "Europe/Vienna\n"}, "base.timezone: found 'Europe/Vienna\\n'"),
    "no country": ({"wifi": Wifi("a", "", "0" * 64)}, "--wifi-country: found ''"),
    "a long network": ({"wifi": Wifi("a" * 33, "AT", "0" * 64)}, "1 to 32 bytes"),
    "an odd network": ({"wifi": Wifi('a"b', "AT", "0" * 64)}, "is in the name"),
}


@pytest.mark.parametrize("which", BAD)
@pytest.mark.parametrize("way", ["custom.toml", "cloud-init"])
def test_a_wish_that_locks_its_owner_out_is_found(which, way):
    change, said = BAD[which]
    assert wanted.problems(GOOD, way) == []
    (found,) = wanted.problems(type(GOOD)(**vars(GOOD) | change), way)
    assert said in found


def test_an_underscore_in_a_name_is_for_cloud_init_alone():
    named = FirstBoot("pi5-a", "pi5-a", "my_pi", (KEY,))
    assert wanted.problems(named, "cloud-init") == []
    assert len(wanted.problems(named, "custom.toml")) == 1


def test_all_problems_are_told_at_once_and_nothing_is_written(tmp_path):
    folder = volume(tmp_path / "card", BOOKWORM)
    (tmp_path / "inventory" / "fleet.yml").write_text(
        "hosts: {pi5-a: {ssh: {user: Llm}}}\nsettings: {node: {roles: [base]}}\n"
    )
    done = flash(folder)
    assert (done.exit_code, texts(folder)) == (2, BOOKWORM)
    assert "ssh.user: found 'Llm'" in done.output
    assert "no public key" in done.output
    assert "--public-key ~/.ssh/id_ed25519.pub" in done.output


def test_sudo_that_asks_for_a_password_is_refused_as_the_account_has_none(tmp_path):
    fleet(tmp_path, base=", passwordless_sudo: false")
    done = flash(volume(tmp_path / "card", TRIXIE))
    assert (done.exit_code, "base.passwordless_sudo is false" in done.output) == (2, True)


def test_a_host_without_the_role_base_gets_its_name_and_the_keys_that_are_named(tmp_path):
    (tmp_path / "inventory" / "fleet.yml").write_text(
        "hosts: {pi5-a: {ssh: {user: llm}}}\nsettings: {node: {roles: [power]}}\n"
    )
    (tmp_path / "id.pub").write_text(f"# mine\n{OTHER}\n")
    folder = volume(tmp_path / "card", TRIXIE)
    assert flash(folder, "--public-key", "id.pub").exit_code == 0
    said = written(folder)
    assert (said["hostname"], "timezone" in said) == ("pi5-a", False)
    assert said["user"]["ssh_authorized_keys"] == [OTHER]


def test_the_key_that_bramble_logs_in_with_is_let_in_first(tmp_path, home):
    (home / ".ssh" / "fleet.pub").write_text(f"{OTHER}\n")
    (home / ".ssh" / "config").write_text("Host 192.0.2.41\n  IdentityFile ~/.ssh/fleet\n")
    folder = volume(tmp_path / "card", TRIXIE)
    assert flash(folder).exit_code == 0
    assert written(folder)["user"]["ssh_authorized_keys"] == [OTHER, KEY]


def test_a_key_without_its_public_half_gives_it_itself_unless_it_has_a_passphrase(tmp_path):
    file, words = tmp_path / "fleet", ("ssh-keygen", "-q", "-t", "ed25519", "-f")
    subprocess.run([*words, file, "-N", "", "-C", ""], check=True)
    public = file.with_name("fleet.pub")
    line = public.read_text().strip()
    public.unlink()
    fleet(tmp_path, ssh=f", key: {file}")
    folder = volume(tmp_path / "card", TRIXIE)
    assert flash(folder).exit_code == 0
    assert written(folder)["user"]["ssh_authorized_keys"] == [line, KEY]
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "word", "-f", file], check=True)
    done = flash(volume(tmp_path / "other", TRIXIE))
    assert (done.exit_code, texts(tmp_path / "other")) == (2, TRIXIE)
    assert f"`ssh-keygen -y -f {file} > {public}` writes it; nothing was written" in done.output


def test_the_inventorys_name_for_the_node_counts(tmp_path):
    fleet(tmp_path, base=", hostname: llm-1")
    folder = volume(tmp_path / "card", TRIXIE)
    assert flash(folder).exit_code == 0
    assert written(folder)["hostname"] == "llm-1"


# Keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", "is a private key, which stays here"),
        ("hello\n", "none of its words is a type of key"),
        (KEY[:50] + "\n", "it is"),
        (KEY.replace("ssh-ed25519 ", "ssh-rsa "), "of no key of that type"),
        ("\n", "has no public key in it"),
    ],
)
def test_a_file_that_is_no_public_key_is_refused_and_not_repeated(tmp_path, text, said):
    (tmp_path / "id.pub").write_text(text)
    folder = volume(tmp_path / "card", BOOKWORM)
    done = flash(folder, "--public-key", "id.pub")
    assert (done.exit_code, texts(folder)) == (2, BOOKWORM)
    assert said in done.output
    assert "c2VjcmV0" not in done.output


def test_a_key_that_is_cut_off_is_told():
    assert public_keys.problem(KEY) is None
    assert public_keys.problem(KEY.split()[0]) is not None
    assert public_keys.problem(f"{KEY.split()[0]} AAA") == (
        "it is cut off: what follows its type is not base64"
    )


# Wi-Fi


def test_a_networks_key_is_derived_as_wpa2_does_it():
    """The first test vector of IEEE 802.11, annex J.4.2."""
    derived = "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
    assert wifi.psk("IEEE", "password") == derived
    assert wifi.psk("IEEE", derived.upper()) == derived


@pytest.mark.parametrize("files", [BOOKWORM, TRIXIE], ids=["bookworm", "trixie"])
def test_the_passphrase_is_neither_on_the_card_nor_told(tmp_path, files):
    folder = volume(tmp_path / "card", files)
    done = flash(folder, *WIFI)
    key = wifi.psk("Joe's home", PASSPHRASE)
    assert PASSPHRASE not in done.output + "".join(texts(folder).values())
    assert key not in done.output
    assert key not in repr(Wifi("a", "AT", key))
    assert sum(key in text for text in texts(folder).values()) == 1


@pytest.mark.parametrize("kind", ["file", "command"])
def test_the_passphrase_comes_from_a_file_or_a_command_too(tmp_path, kind):
    (tmp_path / "word").write_text(f"{PASSPHRASE}\n")
    source = {"file": "word", "command": f"cat {shlex.quote(str(tmp_path / 'word'))}"}[kind]
    folder = volume(tmp_path / "card", BOOKWORM)
    done = flash(folder, *WIFI[:4], f"--wifi-from-{kind}", source)
    assert done.exit_code == 0, done.output
    said = tomllib.loads(texts(folder)["custom.toml"])["wlan"]["password"]
    assert said == wifi.psk("Joe's home", PASSPHRASE)


WRONG_WIFI = {
    "no passphrase": (WIFI[:4], "--wifi needs its passphrase"),
    "no country": ((*WIFI[:2], *WIFI[4:]), "--wifi-country is needed with --wifi"),
    "no network": (WIFI[2:], "--wifi NAME is needed"),
    "an empty source": (
        (*WIFI[:5], "NOT_SET_ANYWHERE"),
        "the variable NOT_SET_ANYWHERE is not set",
    ),
    "two sources": ((*WIFI, "--wifi-from-file", "x"), "give one of --wifi-from-env"),
}


@pytest.mark.parametrize("which", WRONG_WIFI)
def test_wifi_that_is_not_whole_is_refused(tmp_path, which):
    words, said = WRONG_WIFI[which]
    folder = volume(tmp_path / "card", BOOKWORM)
    done = flash(folder, *words)
    assert (done.exit_code, texts(folder)) == (2, BOOKWORM)
    assert said in done.output


def test_a_passphrase_that_no_network_takes_is_refused_and_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("WIFI_SHORT", "zu kurz")
    done = flash(volume(tmp_path / "card", BOOKWORM), *WIFI[:5], "WIFI_SHORT")
    assert (done.exit_code, "zu kurz" in done.output) == (2, False)
    assert "has 7 characters, allowed: 8 to 63" in done.output
