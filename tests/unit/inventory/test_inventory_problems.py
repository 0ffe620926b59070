"""Every way to get an inventory wrong, with the line that is printed for it."""

import pytest
from toy_sections import SECTIONS, Needy

from bramble.documents.problems import MOST_PROBLEMS, InventoryError, Problem
from bramble.fleet import prepare
from bramble.inventory.load import load

ONE_SETTING = {
    "prot: 8080": "serving.prot: unknown setting; did you mean 'port'?",
    "dys: 1": "serving.dys: unknown setting; did you mean 'serving.tls.days'?",
    "tls: {prot: 1}": "serving.tls.prot: unknown setting; did you mean 'serving.port'?",
    "zzz: 1": "serving.zzz: unknown setting; known: port, share, mode, threads, flags, env, "
    "mounts, tls, api_key, lock, least, most, name",
    'port: "8080"': 'serving.port: found "8080", allowed: a whole number from 1 to 65535',
    "port: 0": "serving.port: found 0, allowed: a whole number from 1 to 65535",
    "port: 1.5": "serving.port: found 1.5, allowed: a whole number from 1 to 65535",
    "port: true": "serving.port: found true, allowed: a whole number from 1 to 65535",
    "port: [1]": "serving.port: found a list, allowed: a whole number from 1 to 65535",
    "port: {a: 1}": "serving.port: found a mapping, allowed: a whole number from 1 to 65535",
    "share: 2": "serving.share: found 2, allowed: a number from 0 to 1",
    "mode: ofn": 'serving.mode: found "ofn", allowed: "on", "off" or "auto"; did you mean \'on\'?',
    "mode: false": 'serving.mode: found false, allowed: "on", "off" or "auto"',
    "threads: 0": 'serving.threads: found 0, allowed: a whole number of at least 1 or "all"',
    "flags: --mlock": 'serving.flags: found "--mlock", allowed: a list, each text',
    "flags: [1]": "serving.flags[0]: found 1, allowed: text; put it in quotes",
    "env: {a: b}": "serving.env.a: the name is wrong, allowed: text that matches ^[A-Z]+$",
    "env: {A: 1}": "serving.env.A: found 1, allowed: text; put it in quotes",
    "mounts: [{path: /a}, {path: b}]": 'serving.mounts[1].path: found "b", '
    "allowed: text that matches ^/",
    "mounts: [{pth: /a}]": "serving.mounts[0].pth: unknown setting; did you mean 'path'?",
    "tls: {dys: 1}": "serving.tls.dys: unknown setting; did you mean 'days'?",
    "tls: {cert: c.pem, days: 0}": "serving.tls.days: found 0, "
    "allowed: a whole number of at least 1 (days)",
    "tls: {cert: 5}": "serving.tls.cert: found 5, allowed: a path",
    "name: root": 'serving.name: found "root": it must not be root',
    "name: 2026-10-01x": None,
    "mode: off": None,
}


@pytest.mark.parametrize(("setting", "message"), ONE_SETTING.items())
def test_setting(refused, loaded, setting, message):
    fleet = f"hosts: {{a: }}\nsettings:\n  serving:\n    {setting}\n"
    if message is None:
        loaded(fleet=fleet)
    else:
        assert [f"inv/fleet.yml:4: {message}"] == _but_missing(refused(fleet=fleet))


def _but_missing(lines):
    return [line for line in lines if "not set but needed" not in line]


# Little text that says a thousand million values.
DOUBLED_30_TIMES = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 31)
)
MERGED_30_TIMES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 31)
)
FLEETS = {
    "": ["inv/fleet.yml: no hosts; add one below `hosts:`, such as `pi5-a:`"],
    "# nothing yet\n": ["inv/fleet.yml: no hosts; add one below `hosts:`, such as `pi5-a:`"],
    "hosts: {}": ["inv/fleet.yml:1: no hosts; add one below `hosts:`, such as `pi5-a:`"],
    "- a": [
        "inv/fleet.yml:1: the file must hold a mapping (`key: value` lines)",
    ],
    "hosts: [a, b]": ["inv/fleet.yml:1: hosts: found a list, allowed: a mapping"],
    "hosts: {a: }\nsettings: 5": ["inv/fleet.yml:2: settings: found 5, allowed: a mapping"],
    "hosts: {a: }\nsetings: {}": [
        "inv/fleet.yml:2: setings: unknown at the top of fleet.yml; did you mean 'settings'?"
    ],
    "hosts: {a: }\nserving: {}": [
        "inv/fleet.yml:2: serving: unknown at the top of fleet.yml; move it under settings"
    ],
    "hosts:\n  a: 10.0.0.1": [
        'inv/fleet.yml:2: a: found "10.0.0.1", allowed: nothing, or a mapping of settings'
    ],
    "hosts:\n  a:\n  b:\n  a:": [
        "inv/fleet.yml:4: 'a' is there twice under hosts, first in line 2"
    ],
    "hosts:\n  a:\n    ssh: {port: 1, port: 2}": [
        "inv/fleet.yml:3: 'port' is there twice under hosts.a.ssh, first in line 3"
    ],
    "hosts:\n  Pi_5:": [
        "inv/fleet.yml:2: hosts: found the host name 'Pi_5', allowed: lower-case letters and "
        "digits, with '-' in between, such as pi5-a"
    ],
    "hosts:\n  a:\n    dayz: 1": [
        "inv/fleet.yml:3: a: dayz: unknown section; did you mean 'serving.tls.days'?"
    ],
    "hosts:\n  a:\n    srving: {}": [
        "inv/fleet.yml:3: a: srving: unknown section; did you mean 'serving'?"
    ],
    "hosts:\n  a:\n    serving: 5": [
        "inv/fleet.yml:3: a: serving: found 5, allowed: a mapping of settings"
    ],
    "hosts:\n  a:\n    groups: pi5": [
        'inv/fleet.yml:3: a: groups: found "pi5", allowed: a list, such as [pi5]'
    ],
    "hosts:\n  a:\n    groups: [5]": [
        "inv/fleet.yml:3: a: groups: found 5, allowed: the name of a group"
    ],
    "hosts:\n  a:\n    groups: [pi5]": [
        "inv/fleet.yml:3: a: groups: nothing defines 'pi5' (no groups/pi5.yml); there are none"
    ],
    "settings: {groups: [a]}\nhosts: {a: }": [
        "inv/fleet.yml:1: groups: not here; groups are listed at the host in fleet.yml"
    ],
    "hosts:\n  a: {ssh: {address: 10.0.0.1}}\n  b: {ssh: {address: 10.0.0.1}}": [
        "inv/fleet.yml:3: b: 10.0.0.1 port 22 is the address of a as well"
    ],
    "hosts:\n  a: {serving: {least: 5, most: 4}}": [
        "inv/fleet.yml:2: a: serving: least 5 is above most 4"
    ],
    "hosts:\n  a: {serving: {tls: {days: 4}}}": [
        "inv/fleet.yml:2: a: serving.tls.cert: not set but needed: Certificate to show."
    ],
    "hosts:\n\ta:": ["inv/fleet.yml:2: not valid YAML: found a tab; indent with spaces"],
    "hosts: {a: ": [
        "inv/fleet.yml:1: not valid YAML: expected the node content, but found the end of the file"
    ],
    "hosts: {a: }\n---\nhosts: {b: }": ["inv/fleet.yml:2: not valid YAML: found another document"],
    "hosts: {a: *nobody}": ["inv/fleet.yml:1: not valid YAML: found undefined alias 'nobody'"],
    "hosts: {a: !vault x}": ["inv/fleet.yml:1: hosts.a: the tag !vault has no meaning here"],
    "hosts: &self {a: *self}": ["inv/fleet.yml:1: hosts.a: an anchor that contains itself"],
    f"hosts: {'[' * 5000}": ["inv/fleet.yml:1: nested too deeply"],
    DOUBLED_30_TIMES: ["inv/fleet.yml:1: more than 50000 values, with what anchors repeat"],
    MERGED_30_TIMES: ["inv/fleet.yml:1: more than 50000 values, with what anchors repeat"],
    "hosts: {a: , [b]: }": ["inv/fleet.yml:1: hosts: a key must be a word"],
    "hosts: {a: {<<: 5}}": ["inv/fleet.yml:1: hosts.a: `<<` takes a mapping or a list of mappings"],
}


@pytest.mark.parametrize(("fleet", "lines"), FLEETS.items())
def test_fleet(refused, fleet, lines):
    assert refused(fleet=fleet) == lines


def test_all_problems_of_three_hosts_and_several_files_at_once(refused):
    lines = refused(
        fleet="""\
            settings:
              serving: {prot: 1}
            hosts:
              a: {groups: [pi5], serving: {share: 7}}
              b: {groups: [pi5, pi6]}
              c:
                groups: [pi5]
                ssh: {user: -pi}
            """,
        groups__pi5="serving:\n  mode: never\n",
        hosts__c="model: {fodler: /x}\n",
        hosts__d="model: {}\n",
    )
    assert lines == [
        "inv/fleet.yml:2: serving.prot: unknown setting; did you mean 'port'?",
        "inv/fleet.yml:4: a: serving.share: found 7, allowed: a number from 0 to 1",
        "inv/fleet.yml:5: b: groups: nothing defines 'pi6' (no groups/pi6.yml); "
        "did you mean 'pi5'?",
        'inv/fleet.yml:8: c: ssh.user: found "-pi", '
        r"allowed: text that matches ^[^-+~:,/\s][^:,/\s]*$",
        'inv/groups/pi5.yml:2: serving.mode: found "never", allowed: "on", "off" or "auto"',
        "inv/hosts/c.yml:1: c: model.fodler: unknown setting; did you mean 'folder'?",
        "inv/hosts/d.yml: fleet.yml has no host 'd'; known: a, b, c",
    ]


def test_a_rule_that_a_group_breaks_alone_is_said_once(refused):
    lines = refused(
        fleet="hosts: {a: {groups: [g]}, b: {groups: [g]}, c: {groups: [g]}}",
        groups__g="serving:\n  most: 1\n  least: 2\n",
    )
    assert lines == ["inv/groups/g.yml:3: serving: least 2 is above most 1"]


def test_a_rule_that_layers_break_together_is_said_at_the_host(refused):
    lines = refused(
        fleet="hosts:\n  a: {groups: [g]}\n  b: {groups: [g], serving: {least: 2}}\n",
        groups__g="serving: {most: 1}",
    )
    assert lines == ["inv/fleet.yml:3: b: serving: least 2 is above most 1"]


def test_a_bad_value_is_found_where_a_host_hides_it_and_in_a_group_that_nobody_uses(refused):
    lines = refused(
        fleet="hosts: {a: {groups: [g], serving: {port: 1}}}",
        groups__g="serving: {port: x}",
        groups__idle="serving: {port: y}",
    )
    allowed = "allowed: a whole number from 1 to 65535"
    assert lines == [
        f'inv/groups/g.yml:1: serving.port: found "x", {allowed}',
        f'inv/groups/idle.yml:1: serving.port: found "y", {allowed}',
    ]


def test_a_value_in_both_places_of_a_host(refused):
    lines = refused(
        fleet="hosts:\n  a:\n    serving:\n      port: 1\n      tls: {cert: c}\n",
        hosts__a="serving:\n  share: 1\n  port: 2\n  tls:\n",
    )
    assert lines == [
        "inv/hosts/a.yml:3: a: serving.port: also set in inv/fleet.yml:4; keep one of the two",
        "inv/hosts/a.yml:4: a: serving.tls: also set in inv/fleet.yml:5; keep one of the two",
    ]


def test_files_that_are_not_read_or_not_there(refused, tmp_path):
    (tmp_path / "inv" / "groups").mkdir(parents=True)
    (tmp_path / "inv" / "groups" / "pi5.yaml").touch()
    (tmp_path / "inv" / "groups" / "all.yml").touch()
    (tmp_path / "inv" / "groups" / "latin.yml").write_bytes(b"a: \xe9\n")
    (tmp_path / "inv" / "hosts").mkdir()
    (tmp_path / "inv" / "hosts" / "a.yml").mkdir()
    assert refused(fleet="hosts: {a: {groups: [latin, latin]}}") == [
        "inv/fleet.yml:1: a: groups: 'latin' is there twice",
        "inv/groups/all.yml: found the group name 'all', allowed: lower-case letters, digits, "
        "'-' and '_', such as pi5, but not 'all'",
        "inv/groups/latin.yml:1: not text in UTF-8",
        "inv/groups/pi5.yaml: not read; name it pi5.yml",
        "inv/hosts/a.yml: Is a directory",
    ]


def test_no_fleet_at_all(write):
    with pytest.raises(InventoryError) as caught:
        load(write(), SECTIONS, prepare)
    assert str(caught.value) == (
        "inv/fleet.yml: not found; `bramble init` makes a project, "
        "BRAMBLE_INVENTORY=DIR names another folder"
    )


def test_a_fleet_that_does_not_parse_is_not_blamed_on_other_files(refused):
    lines = refused(fleet="hosts: [", hosts__a="serving: {}", groups__g="serving: {prot: 1}")
    assert lines == [
        "inv/fleet.yml:1: not valid YAML: expected the node content, but found the end of the file",
        "inv/groups/g.yml:1: serving.prot: unknown setting; did you mean 'port'?",
    ]


def test_what_every_host_must_say_itself(write):
    folder = write(fleet="hosts:\n  a:\n  b: {needy: {url: x}}\n")
    with pytest.raises(InventoryError) as caught:
        load(folder, {"needy": Needy}, prepare)
    message = 'a: needy.url: not set but needed: Where it is. For example "http://10.0.0.1/".'
    assert caught.value.problems == (Problem("inv/fleet.yml", 2, message),)


@pytest.mark.parametrize(
    "setting",
    [
        "api_key: hunter2-and-more",
        "port: -----BEGIN OPENSSH PRIVATE KEY-----hunter2",
        "env: {TOKEN: [hunter2]}",
    ],
)
def test_secrets_are_not_printed(refused, setting):
    lines = refused(fleet=f"hosts: {{a: }}\nsettings: {{serving: {{{setting}}}}}")
    assert lines
    assert not any("hunter2" in line for line in lines)


@pytest.mark.parametrize(
    "key",
    [
        "brk_" + "a1B2" * 10,
        "sk-proj-" + "a1B2" * 10,
        "hf_" + "a1B2" * 8,
        "ghp_" + "a1B2" * 9,
        "-----BEGIN EC PRIVATE KEY-----",
        "https://example.org/?token=hf_" + "a1B2" * 8,
    ],
)
def test_a_text_that_looks_like_a_key_is_refused_wherever_it_is_and_not_shown(refused, key):
    for text in (
        f"hosts: {{a: {{needy: {{url: '{key}'}}}}}}",
        f"hosts: {{a: }}\nsettings: {{ssh: {{address: '{key}'}}}}",
        f"hosts: {{a: }}\nsettings: {{serving: {{port: '{key}'}}}}",
    ):
        lines = refused(fleet=text)
        assert any("found what looks like a key (not shown)" in line for line in lines)
        assert not any("a1B2" in line for line in lines)


def test_long_values_are_cut(refused):
    (line,) = refused(fleet=f"hosts: {{a: }}\nsettings: {{serving: {{port: {'x' * 500}}}}}")
    assert len(line) < 140


def test_of_many_problems_the_first_are_told_and_that_there_are_more():
    error = InventoryError(Problem("fleet.yml", line, "odd") for line in range(MOST_PROBLEMS + 1))
    lines = str(error).splitlines()
    assert len(lines) == MOST_PROBLEMS
    assert lines[-1].endswith("; correct these first, there are more")
    few = InventoryError(Problem("fleet.yml", line, "odd") for line in range(MOST_PROBLEMS))
    assert "there are more" not in str(few)
