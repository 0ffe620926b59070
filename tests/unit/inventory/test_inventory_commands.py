"""`bramble init`, `config` and `schema`, and what pyinfra sees of the fleet."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from toy_sections import SECTIONS, Needy

import bramble.registry
from bramble.cli.init import init
from bramble.cli.inventory import config, schema
from bramble.fleet import prepare
from bramble.for_pyinfra import hosts_for_pyinfra
from bramble.inventory.load import load
from bramble.project import folder
from bramble.starter import starter

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run `bramble ARGUMENTS` over the sections of these tests, in an empty folder."""
    monkeypatch.setattr(bramble.registry, "sections", lambda: SECTIONS)
    monkeypatch.delenv("BRAMBLE_INVENTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    group = click.Group("bramble", commands=[init, config, schema])
    return lambda *arguments: CliRunner().invoke(group, arguments)


def uncommented(fleet: str) -> str:
    return re.sub(r"(?m)^(  +)# ", r"\1", fleet)


def test_a_first_inventory_with_hosts_is_ready(run, tmp_path):
    made = run("init", "--host", "pi5-a=192.168.1.41", "--host", "pi4-b=pi4.lan", "--key", "~/k")
    assert made.exit_code == 0
    assert made.output.splitlines() == [
        "wrote inventory: 2 hosts",
        "next: `bramble trust HOST` for each host, then `bramble up`",
    ]
    fleet = load(tmp_path / "inventory", SECTIONS, prepare)
    ssh = fleet.hosts["pi5-a"].settings["ssh"]
    assert (ssh.address, ssh.user, ssh.key) == ("192.168.1.41", None, Path("~/k").expanduser())
    assert fleet.groups == {"pi4": ("pi4-b",), "pi5": ("pi5-a",)}
    assert (tmp_path / "inventory/known_hosts").read_text() == ""
    for file in ("fleet.yml", "groups/pi5.yml"):
        first = (tmp_path / "inventory" / file).read_text().splitlines()[0]
        schema = first.removeprefix("# yaml-language-server: $schema=")
        assert (tmp_path / "inventory" / file).parent.joinpath(schema).is_file()


@pytest.mark.parametrize(
    ("name", "groups"),
    [("pi5", ("pi5",)), ("pi4b", ("pi4",)), ("pi5-kitchen", ("pi5",)), ("pi42", ()), ("api4", ())],
)
def test_a_first_inventory_has_hosts_in_the_group_of_the_board_that_their_names_say(
    run, tmp_path, name, groups
):
    assert run("init", "--host", f"{name}=10.0.0.1").exit_code == 0
    assert load(tmp_path / "inventory", SECTIONS, prepare).hosts[name].groups == groups


def test_a_host_with_the_name_of_the_others_group_is_not_written(run, tmp_path):
    done = run("init", "--host", "pi5=10.0.0.1", "--host", "pi5-b=10.0.0.2")
    assert done.exit_code == 2
    assert "pi5 is the group of other hosts here; allowed: such as pi5-a" in done.output
    assert not (tmp_path / "inventory").exists()


def test_a_first_inventory_takes_ports_and_accounts_as_ssh_does(run, tmp_path):
    hosts = (
        "a=192.168.1.41:2222",
        "b=[fd00::7]:22",
        "c=jane.doe@pi.lan",
        "d=fe80::1%eth0",
        "e=mypi",
    )
    made = run("init", *(word for host in hosts for word in ("--host", host)))
    assert made.exit_code == 0, made.output
    fleet = load(tmp_path / "inventory", SECTIONS, prepare)
    found = [host.settings["ssh"] for host in fleet.hosts.values()]
    assert [(ssh.address, ssh.port, ssh.user) for ssh in found] == [
        ("192.168.1.41", 2222, None),
        ("fd00::7", 22, None),
        ("pi.lan", None, "jane.doe"),
        ("fe80::1%eth0", None, None),
        ("mypi", None, None),
    ]


def test_a_first_inventory_without_hosts_says_what_to_do(run):
    assert run("init", "mine").output.splitlines() == [
        "wrote mine/inventory: no hosts",
        "next: name your Pis in mine/inventory/fleet.yml",
        f"next: cd {Path.cwd()}/mine",
        "next: `bramble trust HOST` for each host, then `bramble up`",
    ]


def test_a_project_has_what_pyinfra_and_bramble_run_there(run, tmp_path):
    assert run("init", "mine", "--host", "a=10.0.0.1").exit_code == 0
    made = {str(f.relative_to(tmp_path / "mine")) for f in (tmp_path / "mine").rglob("*")}
    assert made >= {"inventory.py", "inventory/fleet.yml", "README.md", ".gitignore"}
    for name in ("inventory.py", *(f"deploys/{f.name}" for f in REPOSITORY.glob("deploys/*.py"))):
        assert (tmp_path / "mine" / name).read_text() == (REPOSITORY / name).read_text()
    assert "reports/" in (tmp_path / "mine/.gitignore").read_text().splitlines()
    assert len((tmp_path / "mine/README.md").read_text().splitlines()) <= 25


def test_a_projects_inventory_counts_in_each_of_its_folders_and_no_other_does(run, tmp_path):
    run("init", "mine", "--host", "a=10.0.0.1")
    run("init", "mine/sub/other", "--host", "b=10.0.0.2")
    for stand in ("mine", "mine/deploys", "mine/inventory", "mine/inventory/hosts", "mine/sub"):
        os.chdir(tmp_path / stand)
        done = run("config", "a")
        assert done.stderr == f"Inventory {tmp_path}/mine/inventory\n"
        assert run("config", "b").exit_code == 2
    os.chdir(tmp_path / "mine/sub/other")
    assert run("config", "b").stderr == f"Inventory {tmp_path}/mine/sub/other/inventory\n"


def test_an_inventory_alone_is_made_where_one_is_asked_for(run, tmp_path):
    made = run("init", "mine/staging", "--inventory-only", "--host", "a=10.0.0.1")
    assert made.output.splitlines()[0] == "wrote mine/staging: 1 host"
    assert not (tmp_path / "mine/staging/inventory.py").exists()
    os.chdir(tmp_path / "mine/staging/groups")
    assert run("config", "a").stderr == f"Inventory {tmp_path}/mine/staging\n"


def test_init_beside_a_variable_that_names_another_inventory_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path / "other"))
    made = run("init", "mine")
    assert f"next: export BRAMBLE_INVENTORY={tmp_path}/mine/inventory" in made.output.splitlines()


def test_virtual_pis_have_a_project_too(shipped, tmp_path):
    made = shipped("init", "mine", "--virtual")
    assert made.output.splitlines()[-1] == "next: `bramble virtual up`, then `bramble up`"
    hosts = load(tmp_path / "mine/inventory", bramble.registry.sections(), prepare).hosts
    assert set(hosts) == {"vpi-1", "vpm-1"}
    model = hosts["vpi-1"].settings["model"]
    found = hashlib.sha256(Path(model.path).read_bytes()).hexdigest()
    assert (found, Path(model.path).resolve().is_relative_to(tmp_path)) == (model.sha256, True)
    assert shipped("init", "--virtual", "--host", "a=10.0.0.1").exit_code == 2


GATEWAYS = (
    "next: `bramble key create gateway`, and have what it prints in GATEWAY_KEY when you deploy"
)


@pytest.fixture
def shipped(run, monkeypatch, tmp_path):
    """The same with the sections that bramble has."""
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRAMBLE_INVENTORY", raising=False)
    return run


def loaded(inventory):
    """The hosts of an inventory with a model for them all."""
    model = {"name": "toy", "url": "http://10.0.0.9/toy.gguf", "sha256": "0" * 64}
    group = inventory / "groups" / "behind.yml"
    group.write_text(f"{group.read_text()}\nmodel: {model}\n")
    return load(inventory, bramble.registry.sections(), prepare)


def test_a_gateway_has_a_host_of_its_own_before_nodes_that_let_it_alone_in(shipped, tmp_path):
    pis = ("--host", "pi5-a=192.168.1.41", "--host", "pi4-b=192.168.1.42")
    made = shipped("init", *pis, "--gateway", "gw=192.168.1.40")
    assert made.output.splitlines()[-3:] == [
        GATEWAYS,
        "next: `bramble trust HOST` for each host, then `bramble up`",
        "next: `bramble key create NAME` for each client, then `bramble up gw` and `bramble connect gw`",
    ]
    fleet = loaded(tmp_path / "inventory")
    gateway, node = fleet.hosts["gw"], fleet.hosts["pi5-a"]
    assert fleet.groups == {"pi4": ("pi4-b",), "pi5": ("pi5-a",), "behind": ("pi5-a", "pi4-b")}
    assert (node.settings["serving"].expose, node.settings["serving"].edge.allow) == (
        "lan",
        ("192.168.1.40/32",),
    )
    assert gateway.settings["node"].roles == ("base", "gateway", "firewall")
    assert gateway.settings["gateway"].behind(gateway.prepared) == ("pi5-a", "pi4-b")
    assert gateway.settings["gateway"].secrets.node_key.environment == "GATEWAY_KEY"


def test_a_pi_can_be_the_gateway_of_all_and_its_own(shipped, tmp_path):
    pis = ("--host", "pi5-a=fd00::41", "--host", "pi5-b=fd00::42")
    assert shipped("init", *pis, "--gateway", "pi5-a").exit_code == 0
    hosts = loaded(tmp_path / "inventory").hosts
    assert hosts["pi5-a"].groups == ("pi5", "behind")
    assert hosts["pi5-a"].settings["node"].roles is None
    section = hosts["pi5-a"].settings["gateway"]
    assert section.behind(hosts["pi5-a"].prepared) == ("pi5-a", "pi5-b")
    assert hosts["pi5-b"].settings["serving"].edge.allow == ("fd00::41/128",)


def test_virtual_pis_can_be_behind_a_gateway(shipped, tmp_path):
    made = shipped("init", "mine", "--virtual", "--gateway", "vpi-4")
    assert made.output.splitlines()[-2] == (
        "next: `bramble virtual up vpi-1 vpi-2 vpi-3 vpi-4`, then `bramble up`"
    )
    hosts = load(tmp_path / "mine/inventory", bramble.registry.sections(), prepare).hosts
    assert hosts["vpi-4"].settings["gateway"].behind(hosts["vpi-4"].prepared) == (
        "vpi-1",
        "vpi-2",
        "vpi-3",
    )
    assert all(host.settings["node"].virtual for host in hosts.values())
    assert hosts["vpi-4"].settings["node"].roles == ("base", "gateway", "firewall")
    beside = shipped("init", "other", "--virtual", "--gateway", "vpi-1")
    assert beside.exit_code == 0, beside.output
    one = load(tmp_path / "other/inventory", bramble.registry.sections(), prepare).hosts["vpi-1"]
    assert (one.groups, one.settings["node"].roles) == (("virtual", "behind"), None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--gateway", "gw=10.0.0.1"),
            "there is no node for it; name one with --host NAME=ADDRESS",
        ),
        (
            ("--host", "a=10.0.0.1", "--gateway", "gw"),
            "found 'gw', allowed: NAME=ADDRESS, or the NAME",
        ),
        (("--host", "a=10.0.0.1", "--gateway", "a=10.0.0.2"), "a is a --host: allowed is its name"),
        (
            ("--host", "a=10.0.0.1", "--gateway", "gw=10.0.0.1"),
            "10.0.0.1 is there twice",
        ),
        (("--host", "a=10.0.0.1", "--gateway", "g w=10.0.0.2"), "found the name 'g w'"),
        (
            ("--host", "pi5-a=10.0.0.1", "--gateway", "pi5=10.0.0.2"),
            "pi5 is the group of other hosts",
        ),
        (
            ("--host", "a=a.lan", "--gateway", "gw=10.0.0.1"),
            "found a.lan as the address of a, allowed:",
        ),
        (
            ("--host", "a=10.0.0.1", "--gateway", "gw=fe80::1%eth0"),
            "found fe80::1%eth0 as the address",
        ),
        (("--virtual", "--gateway", "gw"), "found 'gw', allowed with --virtual: the name of one"),
        (("--virtual", "--gateway", "vpm-1"), "found 'vpm-1', allowed with --virtual"),
    ],
)
def test_a_gateway_that_could_not_work_is_not_written(run, tmp_path, words, said):
    done = run("init", *words)
    assert (done.exit_code, said in done.output) == (2, True), done.output
    assert [*tmp_path.iterdir()] == []


def test_what_has_no_default_is_named(run, monkeypatch):
    monkeypatch.setattr(bramble.registry, "sections", lambda: {**SECTIONS, "needy": Needy})
    assert "next: set there what has no default: needy.url\n" in run("init").output


def test_every_comment_of_a_first_inventory_is_a_setting_that_holds(write):
    files = starter({**SECTIONS, "needy": Needy}, {}, None, None)
    folder = write(fleet=uncommented(files["fleet.yml"]), groups__pi4="", groups__pi5="")
    fleet = load(folder, {**SECTIONS, "needy": Needy}, prepare)
    assert list(fleet.hosts) == ["pi5-a", "pi4-b"]
    settings = fleet.hosts["pi5-a"].settings
    assert settings["ssh"].address == "192.168.1.41"
    assert settings["needy"].url == "http://10.0.0.1/"
    for name in ("serving", "model"):
        defaults = SECTIONS[name].model_validate({}, context={"folder": folder})
        assert settings[name] == defaults


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/known_hosts").write_text("precious")
    made = run("init")
    assert (made.exit_code, made.stdout) == (2, "")
    assert made.stderr.startswith("inventory/known_hosts is there already and stays as it is; ")
    assert [file.name for file in tmp_path.rglob("*")] == ["inventory", "known_hosts"]


@pytest.mark.parametrize("name", ["inventory.py", "deploys/node.py"])
def test_a_project_is_not_made_over_other_code(run, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine = []")
    made = run("init")
    assert (made.exit_code, made.stdout) == (2, "")
    assert made.stderr.startswith(f"{name} is there already and stays as it is; ")
    assert not (tmp_path / "inventory").exists()
    assert (tmp_path / name).read_text() == "mine = []"


def test_a_folder_with_an_inventory_and_a_readme_becomes_a_project_around_them(run, tmp_path):
    run("init", "--inventory-only", "inventory", "--host", "a=10.0.0.1")
    before = (tmp_path / "inventory/fleet.yml").read_text()
    (tmp_path / "README.md").write_text("mine")
    made = run("init")
    assert made.output.splitlines()[:2] == [
        "README.md is there already and stays as it is",
        "inventory is there already and stays as it is",
    ]
    assert (tmp_path / "README.md").read_text() == "mine"
    assert (tmp_path / "inventory/fleet.yml").read_text() == before
    assert (tmp_path / "deploys/node.py").is_file()
    assert run("init", "--host", "b=10.0.0.2").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--host", "pi5-a"],
        ["--host", "pi5-a="],
        ["--host", "Pi=10.0.0.1"],
        ["--host", "a=10.0.0.1", "--host", "a=10.0.0.2"],
        ["--host", "a=10.0.0.1", "--host", "b=10.0.0.1"],
        ["--host", "a=-oProxyCommand=x"],
        ["--user", "no body"],
    ],
)
def test_bad_arguments_write_nothing(run, tmp_path, arguments):
    assert run("init", *arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_config_prints_values_with_their_layers(run, write):
    write(fleet="hosts:\n  a: {serving: {port: 5}}\n").rename("inventory")
    lines = run("config", "a").output.splitlines()
    assert ["serving.port", "5", "host", "(inventory/fleet.yml:2)"] in map(str.split, lines)
    assert ["serving.share", "0.5", "default"] in map(str.split, lines)


def test_config_shows_the_port_and_account_that_ssh_config_gives(run, write, tmp_path, monkeypatch):
    write(fleet="hosts: {a: {ssh: {address: mypi}}, b: }\n").rename("inventory")
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    file = tmp_path / "home" / ".ssh" / "config"
    file.write_text("Host mypi\n  User jane.doe\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    lines = [line.split() for line in run("config", "a").output.splitlines()]
    assert ["ssh.user", "jane.doe", "ssh", "(home/.ssh/config)"] in lines
    assert ["ssh.port", "22", "default"] in lines
    lines = [line.split() for line in run("config", "b").output.splitlines()]
    assert ["ssh.user", "pi", "default"] in lines


def test_config_as_json_is_what_its_schema_says(run, write):
    write(fleet="hosts:\n  a: {serving: {port: 5}}\n").rename("inventory")
    made = json.loads(run("config", "a", "--json").stdout)
    schema = json.loads(run("schema", "--for", "config").stdout)
    assert made.keys() == schema["properties"].keys() == set(schema["required"])
    row = next(row for row in made["settings"] if row["setting"] == "serving.port")
    assert row == {
        "setting": "serving.port",
        "value": 5,
        "unit": None,
        "layer": "host",
        "file": "inventory/fleet.yml",
        "line": 2,
        "pinned": None,
    }
    assert row.keys() == schema["$defs"]["Effective"]["properties"].keys()


def test_the_schema_of_results_is_that_of_verify(run):
    schema = json.loads(run("schema", "--for", "results").stdout)
    assert schema["properties"]["kind"]["const"] == "bramble results"
    assert set(schema["required"]) == {"kind", "version", "command", "at", "results"}


def test_config_of_an_unknown_host_and_of_a_broken_fleet(run, write):
    folder = write(fleet="hosts: {pi5-a: }").rename("inventory")
    made = run("config", "pi5a")
    assert (made.exit_code, made.stdout) == (2, "")
    assert made.stderr == "no host 'pi5a' in inventory/fleet.yml; did you mean 'pi5-a'?\n"
    (folder / "fleet.yml").write_text("host: {a: }")
    made = run("config", "a", "--json")
    assert (made.exit_code, made.stdout) == (2, "")
    assert "inventory/fleet.yml:1: host: unknown at the top of fleet.yml" in made.stderr


def test_the_schema_knows_names_bounds_units_and_null(run, tmp_path):
    schema = json.loads(run("schema").stdout)
    assert schema["properties"].keys() == {"settings", "hosts"}
    entry = schema["properties"]["hosts"]["additionalProperties"]
    assert entry["properties"].keys() == {"groups", *SECTIONS}
    assert entry["additionalProperties"] is False
    port = schema["$defs"]["Serving"]["properties"]["port"]
    assert port["description"] == "Port it listens on."
    assert port["anyOf"] == [
        {"type": "integer", "minimum": 1, "maximum": 65535},
        {"type": "null"},
    ]
    assert schema["$defs"]["Tls"]["properties"]["days"]["description"].endswith("Unit: days.")
    assert "required" not in schema["$defs"]["Tls"]
    group = json.loads(run("schema", "--for", "group").stdout)
    assert group["properties"].keys() == SECTIONS.keys()
    run("init")
    (tmp_path / "inventory/fleet.schema.json").write_text("old")
    assert run("schema", "--write").output.startswith("wrote inventory/fleet.schema.json\n")
    assert json.loads((tmp_path / "inventory/fleet.schema.json").read_text()) == schema


def test_where_the_inventory_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRAMBLE_INVENTORY", raising=False)
    assert folder() == tmp_path / "inventory"
    monkeypatch.setenv("BRAMBLE_INVENTORY", "other")
    assert folder() == tmp_path / "other"


@pytest.mark.parametrize("words", [("config", "a"), ("schema", "--write")], ids=" ".join)
def test_without_an_inventory_no_other_one_is_taken(run, tmp_path, words):
    """The repository's own, which names virtual Pis, was taken in silence."""
    made = run(*words)
    assert (made.exit_code, made.stdout) == (2, "")
    assert re.match(r"inventory(/fleet.yml)?: not found; `bramble init`", made.stderr)
    assert list(tmp_path.iterdir()) == []


def test_help_does_not_wait_for_pydantic():
    code = "import sys, bramble.cli.init; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_pyinfra_gets_hosts_groups_and_a_strict_connection(loaded, tmp_path):
    fleet = loaded(
        fleet="""\
            hosts:
              a: {groups: [g], ssh: {address: 10.0.0.1, port: 2222, key: id}}
              b: {serving: {port: 5}}
            """,
        groups__g="",
    )
    hosts = hosts_for_pyinfra(fleet)
    assert [(name, groups) for name, _, groups in hosts] == [("a", ["g"]), ("b", [])]
    a, b = (data for _, data, _ in hosts)
    assert a == {
        "_sudo": True,
        "bramble": {"ssh": {"address": "10.0.0.1", "port": 2222, "key": str(tmp_path / "inv/id")}},
        "ssh_hostname": "10.0.0.1",
        "ssh_port": 2222,
        "ssh_user": "pi",
        "ssh_key": str(tmp_path / "inv/id"),
        "ssh_known_hosts_file": str(tmp_path / "inv/known_hosts"),
        "ssh_strict_host_key_checking": "yes",
        "ssh_paramiko_connect_kwargs": {"timeout": 10},
    }
    assert b["bramble"] == {"serving": {"port": 5}}
    assert "ssh_key" not in b
    assert json.loads(json.dumps(a)) == a


def test_the_ssh_data_are_those_that_pyinfra_reads(loaded):
    fleet = loaded(fleet="hosts: {a: {ssh: {key: id}}}")
    code = "import json; from pyinfra.connectors.ssh import connector_data_meta as known"
    listing = subprocess.run(
        [sys.executable, "-c", f"{code}; print(json.dumps(list(known)))"],
        capture_output=True,
        check=True,
    )
    ((_, data, _),) = hosts_for_pyinfra(fleet)
    assert data.keys() - {"_sudo", "bramble"} <= set(json.loads(listing.stdout))


def test_pyinfra_refuses_a_broken_fleet_before_any_connection(write):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        inventory = write(
            fleet=f"""\
                hosts:
                  a: {{ssh: {{address: 127.0.0.1, port: {port}}}}}
                  b:
                    ssh: {{adress: 127.0.0.2}}
                """
        )
        pyinfra = Path(sys.executable).with_name("pyinfra")
        ran = subprocess.run(
            [pyinfra, "inventory.py", "exec", "--", "true"],
            cwd=REPOSITORY,
            env={**os.environ, "BRAMBLE_INVENTORY": str(inventory)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 2, ran.stderr
        line = f"{inventory}/fleet.yml:4: b: ssh.adress: unknown setting; did you mean 'address'?"
        assert line in ran.stderr.splitlines()
        assert "Traceback" not in ran.stderr
        assert "Connecting" not in ran.stdout + ran.stderr
        with pytest.raises(BlockingIOError):
            server.accept()
