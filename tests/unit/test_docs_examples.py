"""What the pages tell people to do can be done: each example is run here, or at least parsed.

A page's shell examples are run in order in a folder of its own, with what its YAML examples say in
the files that they name. A block ```console also quotes what its commands print (on standard error,
if nothing else), which is compared; `...` stands for lines that are left out. NEEDS has the commands
that are parsed only, and why.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from bramble import registry
from bramble.cli import main
from bramble.models import gguf, lock
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.reference import section_in
from tests.shapes.models import all_shapes

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")))
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# What a test that runs anywhere in no time has not: the first pattern that a command matches says why
# it is not run. Each stands for at least one example.
NEEDS = {
    r"(up|plan|verify|audit|revert|ask|bench|logs|usage|upgrade|rollback|trust|restart|run)\b": "a node",
    r"(enroll|replace|report|status)\b": "a node",
    r"doctor\b": "this computer's keys and agent",
    r"flash-config\b": "a card",
    r"model (list \S|verify|prune|rollback)": "a node",
    r"engine race\b": "a node",
    r"fit .*--host\b": "a node",
    r"cluster plan .*--hosts\b": "a node",
    r"model (lock|pull)\b": "a hub",
    r"fit \S+://": "a network",
    r"engine (build|prune)\b": "a compiler and this computer's store",
    r"virtual (up|down|ssh|list)\b": "root",
}
# Programs of the system that examples call.
OTHERS = {".", "apt-get", "cd", "curl", "export", "gpg", "grep", "head", "jq", "pipx", "rsync"}
OTHERS |= {"sha256sum", "ssh", "sudo", "systemctl", "systemd-analyze", "uv"}
# YAML of files that have no settings.
NO_SETTINGS = {"models", "commit", "rolling", "jobs"}

LOCKED = {
    "qwen2.5-1.5b-instruct:q4_k_m": "qwen2.5-1.5b-q4_k_m",
    "qwen2.5-3b-instruct:q4_k_m": "qwen2.5-3b-q4_k_m",
}
SHAPES = all_shapes()
HOME = "/home/me"


def blocks(page, *languages):
    """The blocks of a page in some languages, in order."""
    for language, text in FENCED.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield language, text


def lines(page):
    """Every command line of a page."""
    for language, text in blocks(page, "sh", "console"):
        joined = text.replace("\\\n", " ").splitlines()
        for line in joined:
            if language == "sh" or line.startswith("$ "):
                yield line.removeprefix("$ ")


def commands(line):
    """The words of each command of a line, without its comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words = []
    for word in (*lexer, ";"):
        if set(word) <= set("&|;"):
            if words:
                yield words
            words = []
        else:
            words.append(word)


def calls(program):
    """Each call of a program in the pages, with its page."""
    for page in WRITTEN:
        for line in lines(page):
            for words in commands(line):
                if words[0] == program:
                    yield page, words[1:]


def need(words):
    """What a call of bramble needs that is not here."""
    said = " ".join(words)
    return next((why for pattern, why in NEEDS.items() if re.match(pattern, said)), None)


def command_of(words):
    """The command that these words begin with, and the words that it gets."""
    found, context, rest = main, click.Context(main, info_name="bramble"), list(words)
    while isinstance(found, click.Group) and rest and rest[0] in found.list_commands(context):
        found = found.get_command(context, rest.pop(0))
        context = click.Context(found, parent=context)
    return found, context, rest


BRAMBLE = list(calls("bramble"))


@pytest.mark.parametrize(
    ("page", "words"),
    BRAMBLE,
    ids=[f"{page.relative_to(ROOT)}: {' '.join(words)}" for page, words in BRAMBLE],
)
def test_a_command_in_the_docs_is_one_that_bramble_knows(page, words):
    found, context, rest = command_of(words)
    assert not isinstance(found, click.Group), f"{page}: bramble {' '.join(words)}"
    found.make_parser(context).parse_args(rest)


def test_no_reason_to_leave_an_example_unrun_is_left_over():
    used = {why for _, words in BRAMBLE if (why := need(words))}
    assert used == set(NEEDS.values())
    for pattern in NEEDS:
        assert any(re.match(pattern, " ".join(words)) for _, words in BRAMBLE), pattern


def test_a_command_in_a_sentence_is_one_that_bramble_knows():
    for page in WRITTEN:
        text = FENCED.sub("", page.read_text(encoding="utf-8"))
        for said in re.findall(r"`bramble ([a-z][^`]*)`", text):
            words = said.split()
            found, context, rest = command_of(words)
            where = f"{page.relative_to(ROOT)}: bramble {said}"
            if isinstance(found, click.Group):
                assert not rest or not rest[0][0].islower(), where
            known = {name for option in found.get_params(context) for name in option.opts}
            for word in rest:
                option = re.match(r"\[?(--[a-z-]+)", word)
                assert not option or option[1] in known, where


def test_an_example_calls_programs_that_are_there():
    for page in WRITTEN:
        for line in lines(page):
            for words in commands(line):
                if "=" not in words[0] and words[0] not in OTHERS:
                    assert words[0] in {"bramble", "make", "pyinfra", "pytest"}, f"{page}: {line}"


def test_an_example_of_pyinfra_has_its_options_and_deploys():
    asked = [sys.executable, "-m", "pyinfra", "--help"]
    known = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout
    found = list(calls("pyinfra"))
    assert found
    for page, words in found:
        assert words[0] == "inventory.py"
        assert (ROOT / words[1]).is_file(), f"{page}: {words[1]}"
        for word in words[2:]:
            if word.startswith("-"):
                assert re.search(rf"^\s+(-\w, )?{word}\b", known, re.MULTILINE), f"{page}: {word}"


def test_every_deploy_and_path_in_the_docs_is_there():
    ours = r"`((?:bramble|deploys|docs|inventory|models|roles|templates|tests)/[\w./*-]+)"
    for page in WRITTEN:
        text = page.read_text(encoding="utf-8")
        for path in {*re.findall(ours, text), *re.findall(r"\b(?:deploys|tests)/[\w/]+\.py", text)}:
            if not re.search(
                "NAME|ROLE|exporter|deploys/(mixed|own).py|bramble/(models|work|ccache)$|models.lock$"
                "|inventory/tls/",
                path,
            ):
                assert list(ROOT.glob(path.rstrip("/."))), f"{page.relative_to(ROOT)}: {path}"


def test_every_make_target_in_the_docs_is_there():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in WRITTEN:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE):
            assert target in targets, f"{page.relative_to(ROOT)}: make {target}"


def test_an_example_of_jq_asks_for_events_that_reports_have():
    reported = (
        (ROOT / "docs/reference/json.md").read_text(encoding="utf-8").partition("## Report")[2]
    )
    known = set(re.findall(r"^\| `(\w+)` \|", reported, re.MULTILINE))
    asked = {one for page in WRITTEN for one in re.findall(r'\.event == "(\w+)"', page.read_text())}
    assert asked
    assert asked <= known


def test_the_packages_of_machines_are_those_that_make_test_installs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    packages = re.search(r"^MACHINE_PACKAGES := (.*)$", makefile, re.MULTILINE)[1].split()
    (words,) = [one for page, one in calls("apt-get") if page.name == "virtual-pis.md"]
    assert sorted(packages) == sorted(word for word in words[1:] if not word.startswith("-"))


# Settings and checks


def setting_names():
    """Every setting, and every section, with its whole name."""

    def walk(model, above):
        yield above
        for name, field in model.model_fields.items():
            yield f"{above}.{name}"
            if inner := section_in(field.annotation):
                yield from walk(inner, f"{above}.{name}")

    return {name for section, model in registry.sections().items() for name in walk(model, section)}


def test_a_setting_or_check_in_the_docs_is_there():
    known = setting_names()
    known |= {f"{one.role}.{one.name}" for r in registry.roles() for one in r.checks}
    known |= {"engine.lock", "ssh.reachable"}
    sections = "|".join(registry.sections())
    for page in WRITTEN:
        text = FENCED.sub("", page.read_text(encoding="utf-8"))
        for said in re.findall(rf"`((?:{sections})\.[a-z_0-9.]+)\b[^`]*`", text):
            assert said in known, f"{page.relative_to(ROOT)}: {said}"


MAPPED = ("gateway.clients",)
"""Settings of a user's own names, each with the same settings below it."""


def said_settings(value, above=""):
    """The names of all settings that YAML sets."""
    for key, inner in value.items():
        name = f"{above}{key}"
        yield name
        if name in MAPPED:
            for one in inner.values():
                yield from said_settings(one, f"{name}.")
        elif isinstance(inner, dict):
            yield from said_settings(inner, f"{name}.")


def test_an_example_of_yaml_sets_what_is_there():
    known = setting_names()
    known.add("serving.ctx_token")  # the tutorial's slip
    free = ("boot.config.", "engine.options.", "serving.also_expect.", "gateway.aliases.")
    for page in WRITTEN:
        for _, text in blocks(page, "yaml"):
            value = yaml.safe_load(text)
            if NO_SETTINGS & set(value):
                continue
            hosts = value.pop("hosts", {})
            parts = [value.pop("settings", {}), value, *(host or {} for host in hosts.values())]
            for part in parts:
                part.pop("groups", None)
                for name in said_settings(part):
                    assert name in known or name.startswith(free), f"{page.name}: {name}"


# Running them


def lock_models(folder):
    """Lock what `bramble model lock` would, with the dimensions that the models are published with."""
    entries = {
        use: lock.Locked(
            repo="OWNER/NAME",
            revision="1" * 40,
            file=f"{use.replace(':', '-')}.gguf",
            size_bytes=SHAPES[shape].data_bytes,
            sha256=hashlib.sha256(use.encode()).hexdigest(),
            fit=dims_of(geometry(gguf.read(SHAPES[shape].header()))),
        )
        for use, shape in LOCKED.items()
    }
    (folder / lock.FILE).write_text(lock.text(entries), encoding="utf-8")


def merged(old, new):
    """YAML with another laid over it."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


def put(text):
    """Write YAML to the file of the project that its first line names; it may be a part of that."""
    named = re.match(r"# (inventory/\S+\.yml)\b", text)
    if not named:
        return
    file = Path(named[1])
    value = yaml.safe_load(text)
    if file.name in ("fleet.yml", "models.yml") and "hosts" not in value:
        text = yaml.safe_dump(merged(yaml.safe_load(file.read_text(encoding="utf-8")), value))
    file.write_text(text, encoding="utf-8")


def run(line, monkeypatch):
    """Run what a line says, as far as that can be done here; what it printed, or None."""
    printed = None
    for words in commands(line):
        if words[0] == "export":
            monkeypatch.setenv(*words[1].split("=", 1))
        elif words[0] == "cd":
            monkeypatch.chdir(words[1])
        elif words[0] == "grep" and printed is not None:
            printed = "".join(one for one in printed.splitlines(True) if words[1] in one)
        elif words[0] == "bramble" and not need(words[1:]):
            done = CliRunner().invoke(main, words[1:])
            expected = re.search(r"#.*exit code (\d)", line)
            assert done.exit_code == int(expected[1] if expected else 0), done.output
            printed = (done.stdout or done.stderr).replace(os.environ["HOME"], HOME)
            if words[1:2] == ["init"]:
                lock_models(Path(words[2], "inventory"))
    return printed


def same(quoted, printed):
    """Whether a quotation is what was printed, but for the width of columns; `...`: any lines."""
    quoted, printed = (
        re.sub(" *\n", "\n", re.sub(" {2,}", "  ", one)) for one in (quoted, printed)
    )
    parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", quoted, flags=re.MULTILINE)]
    return re.fullmatch("(?:.*\n)*".join(parts), printed) is not None


def quotations(text):
    """Each command of a console block with what it is said to print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, quoted = part.partition("\n")
        yield line, quoted


RUN = [page for page in WRITTEN if any(p == page and not need(words) for p, words in BRAMBLE)]


@pytest.mark.parametrize("page", RUN, ids=[str(page.relative_to(ROOT)) for page in RUN])
def test_the_examples_of_a_page_do_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BRAMBLE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("BRAMBLE_INVENTORY", raising=False)
    shutil.copytree(ROOT / "inventory", "inventory")
    shutil.copytree(ROOT / "models", "models")
    if "bramble init my-fleet" not in page.read_text(encoding="utf-8"):
        run("bramble init my-fleet --host pi5-a=192.168.1.41 && cd my-fleet", monkeypatch)
    SHAPES["qwen2.5-3b-q4_k_m"].write(Path()).rename("model.gguf")
    for language, text in blocks(page, "yaml", "sh", "console"):
        if language == "yaml":
            put(text)
        elif language == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                run(line, monkeypatch)
        else:
            for line, quoted in quotations(text):
                printed = run(line, monkeypatch)
                assert printed is None or same(quoted, printed), f"$ {line}\n{printed}"


def test_a_quotation_that_is_wrong_is_told():
    assert same("a\n...\nc\n", "a\nb\nb\nc\n")
    assert same("a\n", "a  \n")
    assert not same("a\n...\nc\n", "a\nb\nb\nd\n")
    assert not same("a\n", "a\nb\n")
