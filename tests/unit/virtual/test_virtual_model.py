"""Names, addresses, requirements, processes: what needs neither root nor a node."""

import dataclasses
import os
import subprocess

import pytest

from bramble.virtual import identity, model, processes, requirements, ssh
from bramble.virtual.container import limits, network
from bramble.virtual.container.backend import Containers
from bramble.virtual.errors import VirtualPiError


def test_names_and_addresses_go_together():
    assert model.names_for(3) == ["vpi-1", "vpi-2", "vpi-3"]
    assert model.address_of("vpi-1") == "10.77.0.11"
    assert model.address_of("vpi-240") == "10.77.0.250"
    assert list(model.in_order(["vpi-10", "vpi-2", "vpi-10"])) == ["vpi-2", "vpi-10"]


@pytest.mark.parametrize("name", ["vpi-0", "vpi-241", "vpi-01", "pi-1", "vpi-1\n", "../vpi-1"])
def test_other_names_are_refused_with_those_allowed(name):
    with pytest.raises(VirtualPiError, match="allowed are vpi-1 to vpi-240"):
        model.number_of(name)


@pytest.mark.parametrize("count", [0, 241])
def test_other_counts_are_refused(count):
    with pytest.raises(VirtualPiError, match="allowed are 1 to 240"):
        model.names_for(count)


def test_hardware_addresses_are_fixed_and_differ():
    macs = {network.mac_of(name, "pi5") for name in model.names_for(200)}
    assert len(macs) == 200
    assert network.mac_of("vpi-16", "pi4") == "d8:3a:dd:77:00:10"


def test_known_hosts_lines_hold_name_and_address():
    line = identity.known_hosts_line("vpi-7", "ssh-ed25519 AAAAkey root@vpi-7\n")
    assert line == "vpi-7,10.77.0.17 ssh-ed25519 AAAAkey\n"


def test_ssh_is_strict_and_never_waits_for_ever(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path))
    node = model.VirtualNode("vpi-1", "10.77.0.11", "pi5", None, "running", 1, 1.0)
    argv = ssh.ssh_argv(node, "uptime")
    assert argv[-3:] == ["pi@10.77.0.11", "--", "uptime"]
    assert "StrictHostKeyChecking=yes" in argv
    assert f"UserKnownHostsFile={tmp_path}/virtual/known_hosts" in argv
    assert "ServerAliveInterval=5" in argv
    assert ssh.ssh_argv(node)[-1] == "pi@10.77.0.11"


def test_a_low_inotify_limit_is_raised_once_and_told(tmp_path):
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n")
    reported = []
    limits.ensure(reported.append, limit)
    limits.ensure(reported.append, limit)
    assert limit.read_text() == "1024\n"
    assert reported == ["raised fs.inotify.max_user_instances from 128 to 1024"]


@pytest.fixture
def file_systems(tmp_path):
    file = tmp_path / "filesystems"
    file.write_text("nodev\toverlay\nnodev\tcgroup2\n\text4\n")
    return file


def test_nothing_is_missing_where_all_is_there(file_systems):
    found = requirements.missing(
        Containers.needs,
        which=lambda tool: tool,
        effective_user=lambda: 0,
        platform="linux",
        file_systems=file_systems,
    )
    assert found == []


def test_each_lack_is_a_sentence_with_its_remedy(file_systems, monkeypatch):
    monkeypatch.setattr(requirements, "SBIN", file_systems.parent)
    file_systems.write_text("nodev\tcgroup2\n")
    found = requirements.missing(
        Containers.needs,
        which=lambda tool: None if tool in {"systemd-nspawn", "tinyproxy"} else tool,
        effective_user=lambda: 1000,
        platform="linux",
        file_systems=file_systems,
    )
    assert found == [
        "virtual Pis need root (mounts, namespaces, systemd-nspawn): run 'sudo -E bramble ...'",
        "systemd-nspawn is missing: 'apt-get install -y systemd-container'",
        "tinyproxy is missing: 'apt-get install -y tinyproxy'",
        "the kernel does not offer overlay: 'modprobe overlay'",
    ]


def test_only_linux_can():
    (found,) = requirements.missing(Containers.needs, platform="darwin")
    assert "need Linux, this is darwin" in found


def test_the_packages_hold_the_tools():
    base = {"apt", "mount", "util-linux"}
    assert set(Containers.needs.tools.values()) - base <= set(Containers.needs.packages)


def test_a_process_is_known_by_its_start_too(tmp_path):
    mine = processes.record_of(os.getpid())
    file = tmp_path / "record.json"
    processes.save(mine, file)
    assert processes.load(file) == mine
    processes.save(dataclasses.replace(mine, start_ticks=mine.start_ticks + 1), file)
    assert processes.load(file) is None
    processes.save(dataclasses.replace(mine, boot_id="another boot"), file)
    assert processes.load(file) is None
    file.write_text("")
    assert processes.load(file) is None


def test_a_process_is_ended_by_its_record():
    with subprocess.Popen(["sleep", "60"]) as process:
        record = processes.record_of(process.pid)
        processes.end(record, grace_s=5)
        assert processes.record_of(process.pid) is None
