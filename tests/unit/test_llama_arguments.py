"""What llama-server's arguments are, by its own --help."""

import json
import sys

import pytest

from bramble.llama import arguments
from bramble.roles.engine.settings import COMMIT
from docs.arguments import asked
from tests.unit.looks import recorded

HELP = "llama-server-help.0c1e57098.txt"
VERSION = "version: 0.5.0-dev (build 7, commit 0c1e57098)"


def find(flag):
    return arguments.known().find(flag)


def test_the_file_is_of_the_commit_that_engine_builds():
    assert arguments.known().commit == COMMIT
    assert f"commit {COMMIT[:9]})" in arguments.known().version


def test_the_file_holds_what_the_help_of_that_commit_says():
    known = arguments.known()
    found = arguments.of_help(recorded(HELP), known.commit, known.version)
    assert found == known
    assert arguments.written(found) == arguments.FILE.read_text(encoding="utf-8")


def test_every_line_of_the_help_that_begins_with_a_name_is_an_argument_or_says_that_it_is_none():
    text = recorded(HELP)
    lines = [line for line in text.splitlines() if line.startswith("-") and "-----" not in line]
    gone = text.count("the argument has been removed")
    assert len(lines) == len(arguments.known().arguments) + gone
    assert gone > 0


@pytest.mark.parametrize(
    ("flag", "name", "values"),
    [
        ("-c", "--ctx-size", 1),
        ("--ctx_size", "--ctx-size", 1),
        ("-fa", "--flash-attn", 1),
        ("-nr", "--repack", 0),
        ("--no-webui", "--ui", 0),
        ("--fim-qwen-1.5b-default", "--fim-qwen-1.5b-default", 0),
        ("-ot", "--override-tensor", 1),
        ("--control-vector-layer-range", "--control-vector-layer-range", 2),
    ],
)
def test_an_argument_is_found_by_each_of_its_names_with_the_values_that_it_takes(
    flag, name, values
):
    assert find(flag).name == name
    assert find(flag).values == values


@pytest.mark.parametrize("flag", ["--mlock", "--prompt-cache", "--draft", "--CTX-SIZE", "-C_", ""])
def test_what_the_build_lacks_is_not_found(flag):
    assert find(flag) is None


def test_variables_and_chat_templates_are_known_too():
    assert find("-c").env == "LLAMA_ARG_CTX_SIZE"
    assert find("-tb").env is None
    templates = arguments.known().chat_templates
    assert {"chatml", "gemma", "llama3", "mistral-v7-tekken"} <= set(templates)


def test_a_commit_is_known_by_its_first_digits():
    known = arguments.known()
    assert known.is_of(COMMIT)
    assert known.is_of(COMMIT[:9])
    assert not known.is_of("1" + COMMIT[1:])
    assert not known.is_of("")


def test_a_text_that_is_no_help_is_refused():
    with pytest.raises(ValueError, match="no line with an argument"):
        arguments.of_help("Illegal instruction\n", COMMIT, "")


def program(tmp_path, version):
    """A llama-server that says this version, and has two arguments."""
    text = (
        "-c,    --ctx-size N                     size\n" + " " * 40 + "(env: LLAMA_ARG_CTX_SIZE)\n"
    )
    told = {"--version": ("", version), "--help": (f"{text}--perf, --no-perf{' ' * 23}x\n", "")}
    file = tmp_path / "llama-server"
    file.write_text(
        f"#!{sys.executable}\nimport sys\nout, err = {told!r}[sys.argv[1]]\n"
        "sys.stdout.write(out)\nsys.stderr.write(err)\n"
    )
    file.chmod(0o755)
    return str(file)


def test_the_file_is_written_by_what_a_server_of_the_pinned_commit_answers(tmp_path):
    found = asked(program(tmp_path, VERSION))
    assert [argument.name for argument in found.arguments] == ["--ctx-size", "--perf"]
    data = json.loads(arguments.written(found))
    assert data["version"] == VERSION.removeprefix("version: ")
    assert data["arguments"][0]["env"] == "LLAMA_ARG_CTX_SIZE"


def test_a_server_of_another_commit_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="the pinned commit is"):
        asked(program(tmp_path, VERSION.replace("0c1e57098", "1c1e57098")))
