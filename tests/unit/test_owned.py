"""Green means unchanged: whatever a deploy would do about a node, some check says of that node."""

from dataclasses import replace

import pytest

from bramble import registry
from bramble.snapshot import FileState, Output
from tests.unit.good_node import ROLES
from tests.unit.looks import link, plain, with_command, with_file, with_unit_named
from tests.unit.spoiled import GOOD, PLAN, Node

OWNED = [(role.name, file.path) for role in ROLES for file in PLAN.roles[role.name].files]
# A newer bootloader and releases that are superfluous only warn, or are nobody's business.
OPTIONAL = ("stage_eeprom", "reboot", "prune_releases")


def unwell(name, look):
    """The checks of a role that do not pass on a look, with what they found."""
    role = registry.role(name)
    found = {c.name: c.run(PLAN.roles[name], Node(look)) for c in role.checks}
    return {check: f for check, f in found.items() if f.status not in ("pass", "skip")}


def left_to_do(name, look):
    """What a deploy would do of a role."""
    role = registry.role(name)
    steps = role.steps(PLAN.roles[name], PLAN, look)
    return [step for step in steps if step.why and step.program not in OPTIONAL]


def written(name):
    return "lines_are_as_written" if name == "boot" else "files_are_as_written"


CHANGES = {
    "another text": lambda seen: replace(plain(f"#{seen.text}x"), mode=seen.mode),
    "a line more": lambda seen: plain(f"{seen.text}\n# a stranger\n"),
    "open to all": lambda seen: replace(seen, mode=0o666),
    "another's": lambda seen: replace(seen, owner="pi"),
    "another group's": lambda seen: replace(seen, group="pi"),
    "a link": lambda seen: link("/tmp/x"),
    "gone": lambda seen: None,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("name", "path"), OWNED)
def test_a_change_of_a_file_that_is_ours_is_found_and_named(name, path, change):
    look = with_file(GOOD, path, CHANGES[change](GOOD.file(path)))
    finding = unwell(name, look)[written(name)]
    assert finding.status == "fail"
    assert path in finding.got


def spoiled():
    """Looks at the good node with one thing otherwise than it is there."""
    for path, seen in GOOD.files.items():
        yield f"{path} gone", with_file(GOOD, path, None)
        if isinstance(seen, FileState) and seen.kind == "file":
            yield f"{path} changed", with_file(GOOD, path, plain("0\n"))
            yield f"{path} open", with_file(GOOD, path, replace(seen, mode=0o666))
        elif isinstance(seen, FileState):
            yield f"{path} elsewhere", with_file(GOOD, path, link("elsewhere"))
        else:
            yield f"{path} there", with_file(GOOD, path, plain(""))
    for name in GOOD.units:
        for change in (
            {"enabled": "disabled"},
            {"enabled": "enabled"},
            {"active": "inactive"},
            {"active": "active"},
            {"needs_reload": True},
            {"load": "not-found", "enabled": "", "active": "inactive"},
        ):
            yield f"{name} {change}", with_unit_named(GOOD, name, **change)
    for name in GOOD.packages:
        version = None if GOOD.packages[name] else "1.0"
        yield f"package {name}", replace(GOOD, packages={**GOOD.packages, name: version})
    for line, said in GOOD.commands.items():
        for changed in (Output(1, ""), Output(0, said.output.replace("yes", "no"))):
            yield f"{line}: {changed}", with_command(GOOD, line, changed)
    for part in ("mounts", "swaps", "disks", "sockets"):
        yield f"no {part}", replace(GOOD, **{part: ()})
    for name in ("proc_cmdline", "cmdline_txt", "config_txt"):
        text = getattr(GOOD.boot, name)
        for word in text.split():
            less = text.replace(word, "", 1)
            yield f"{name} without {word}", replace(GOOD, boot=replace(GOOD.boot, **{name: less}))


SPOILED = dict(spoiled())


def test_there_are_several_hundred_ways_to_spoil_a_node():
    assert len(SPOILED) > 300


@pytest.mark.parametrize("name", [role.name for role in ROLES])
def test_whatever_a_deploy_would_do_is_found_by_a_check_of_that_role(name):
    due = {what: steps for what, look in SPOILED.items() if (steps := left_to_do(name, look))}
    assert len(due) > 2
    silent = [what for what in due if not unwell(name, SPOILED[what])]
    assert not silent, "\n".join(
        f"{what}: {due[what][0].name}: {due[what][0].why}" for what in silent
    )


@pytest.mark.parametrize("name", [role.name for role in ROLES])
def test_a_good_node_has_nothing_left_to_do(name):
    assert left_to_do(name, GOOD) == []


SENTENCES = {
    "an argument": (
        "/etc/systemd/system/llama-server.service",
        lambda text: text.replace("--ctx-size 2048", "--ctx-size 256"),
        "/etc/systemd/system/llama-server.service: has `--ctx-size 256` instead of `--ctx-size 2048`",
    ),
    "a line less": (
        "/etc/systemd/system/llama-server.service",
        lambda text: text.replace("PrivateTmp=yes\n", ""),
        "/etc/systemd/system/llama-server.service: lacks `PrivateTmp=yes`",
    ),
    "a line more": (
        "/etc/systemd/system/llama-server.service",
        lambda text: text.replace("PrivateTmp=yes\n", "PrivateTmp=yes\nMemoryMax=1M\n"),
        "/etc/systemd/system/llama-server.service: has `MemoryMax=1M`",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_what_differs_is_said_by_its_lines(case):
    path, change, said = SENTENCES[case]
    look = with_file(GOOD, path, plain(change(GOOD.file(path).text)))
    assert unwell("serving", look)["files_are_as_written"].got == said


def test_of_a_long_line_only_its_words_are_told():
    text = GOOD.boot.cmdline_txt.replace(" cgroup_enable=memory", "")
    look = replace(GOOD, boot=replace(GOOD.boot, cmdline_txt=text))
    got = unwell("boot", look)["lines_are_as_written"].got
    assert got == "/boot/firmware/cmdline.txt: lacks `cgroup_enable=memory`"


def test_a_mode_and_an_owner_are_told_with_those_that_are_planned():
    path = "/etc/systemd/system/llama-server.service"
    look = with_file(GOOD, path, replace(GOOD.file(path), mode=0o666, owner="llama"))
    got = unwell("serving", look)["files_are_as_written"].got
    assert got == f"{path}: 0666 llama:root and not 0644 root:root"
