"""Arguments of llama-server beyond the settings: what may be given, and what is said of the rest."""

import shlex
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from bramble.documents.problems import InventoryError
from bramble.documents.validation import validate
from bramble.fleet import load, prepare
from bramble.llama import recipe
from bramble.llama.arguments import known
from bramble.roles.engine.settings import COMMIT
from bramble.roles.serving import flags, reserved
from bramble.roles.serving.checks import process_runs_the_plan
from bramble.roles.serving.settings import Settings
from tests.unit.good_node import PI5, good_look, node_plan, settings
from tests.unit.roles.serving.good import UNIT, with_process
from tests.unit.spoiled import Node

OTHER = "1" * 40
FLEET = """settings:
  model: {{name: m, url: "https://example.org/m.gguf", sha256: "{sha256}"}}
  engine: {{source: {{git: {{commit: "{commit}"}}}}}}
hosts:
  pi5-a:
    serving:
      extra_args:
        - "--top-k 20"
        - {entry}
"""


def told(*entries):
    """What is said of these entries before anything else is known."""
    _, faults = validate(
        "serving", Settings, {"extra_args": [*entries]}, host="pi5-a", folder=Path()
    )
    return "\n".join(fault.message for fault in faults)


def inventory(folder, entry, commit=COMMIT):
    """The loaded inventory of a host that has this argument besides another."""
    text = FLEET.format(sha256="d" * 64, commit=commit, entry=f'"{entry}"')
    (folder / "fleet.yml").write_text(text)
    (folder / "known_hosts").write_text("")
    return load(folder)


def problems(folder, entry, **more):
    """What loading that inventory ends with."""
    with pytest.raises(InventoryError) as caught:
        inventory(folder, entry, **more)
    return str(caught.value)


def test_arguments_are_part_of_the_command_line_in_their_order():
    entries = ("--top-k=20", "--temp  -0.5", "--no-perf", "-ot exps=CPU")
    argv = node_plan(serving={"extra_args": entries}).roles["serving"].argv
    assert argv[-4:] == ("--top-k 20", "--temp -0.5", "--no-perf", "-ot exps=CPU")
    assert argv[:-4] == node_plan().roles["serving"].argv


def test_they_make_another_plan_that_is_run_anew_and_measured_anew():
    plain, more = (
        node_plan(serving={"extra_args": entries}).roles["serving"]
        for entries in ((), ("--top-k 20",))
    )
    assert more.plan_id != plain.plan_id
    assert more.attempt != plain.attempt
    assert more.identity["argv"] != plain.identity["argv"]


KWARGS = '--chat-template-kwargs {"enable_thinking": false, "say": "50 % of $HOME \\\\ it\'s"}'


def test_a_value_with_blanks_and_signs_is_one_word_of_the_unit():
    plan = node_plan(serving={"extra_args": (KWARGS,)}).roles["serving"]
    (line,) = (line.strip() for line in plan.unit_text.splitlines() if "kwargs" in line)
    flag, value = shlex.split(line.removesuffix("\\"))
    assert f"{flag} {value.replace('%%', '%').replace('$$', '$')}" == KWARGS
    assert "50 %% of $$HOME" in line


def test_the_process_is_held_against_them():
    plan = node_plan(serving={"extra_args": (KWARGS,)})
    serving, look = plan.roles["serving"], good_look(plan)
    assert process_runs_the_plan(serving, Node(look, plan=plan)).status == "pass"
    *others, value = look.process(UNIT).argv
    changed = with_process(look, argv=(*others, value.replace("false", "true")))
    found = process_runs_the_plan(serving, Node(changed, plan=plan))
    assert found.status == "fail"
    assert "--chat-template-kwargs is" in found.got


@pytest.mark.parametrize("entry", ["--top-k 20", "-s 1", "--seed=-1", "-l 15043-1", "--no-perf"])
def test_what_has_no_setting_and_breaks_no_promise_is_taken(entry):
    assert told(entry) == ""


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("--ctx-size 4096", "--ctx-size is not given here: serving.ctx_tokens sets it"),
        ("-c=4096", "-c (--ctx-size) is not given here: serving.ctx_tokens sets it"),
        ("--ctx_size 1", "--ctx_size (--ctx-size) is not given here: serving.ctx_tokens"),
        ("-b 2048", "serving.ubatch_tokens sets it"),
        ("-fa", "-fa (--flash-attn) is not given here: serving.flash_attention sets it"),
        ("--no-jinja", "serving.chat.jinja sets it"),
        ("--chat-template-file /x", "serving.chat.template sets it"),
        ("--host 0.0.0.0", "serving.expose sets it"),
        ("--port 1", "serving.port sets it"),
        ("-m /x.gguf", "model.name sets it"),
        ("-hf ggml-org/x", "name one in `model`"),
        ("--fim-qwen-3b-default", "name one in `model`"),
        ("-fit on", "bramble gives it always"),
        ("-lm none", "serving.lock_weights sets it"),
        ("--slots", "bramble gives it always"),
        ("--rpc 10.0.0.1:50052", "without any authentication"),
        ("--ssl-cert-file x", "serving.expose and serving.edge"),
        ("--cors-methods GET", "serving.expose and serving.edge"),
        ("--log-file /x", "journalctl -u llama-server"),
        ("--tools all", "run programs"),
        ("-ag", "run programs"),
        ("--slot-save-path /x", "hand out and write files"),
        ("--props", "change how the server works"),
        ("--models-dir /x", "the models that `model.use` and `model.also` name"),
        ("--models-max 0", "serving.models_at_once sets it"),
        ("--models-preset /x", "model.also sets it"),
        ("--sleep-idle-seconds 60", "serving.idle_unload_s sets it"),
        ("--webui", "has no page"),
        ("--lora /x", "is not counted"),
        ("-md /x", "model.draft sets it"),
        ("--spec-draft-n-max 8", "draft_tokens sets it"),
        ("--mmproj /x", "model.projector sets it"),
        ("--spec-draft-p-min 0.5", "is not counted"),
        ("--spec-type ngram-mod", "serving.speculation.type sets it"),
        ("--spec-default", "serving.speculation.type sets it"),
        ("--spec-ngram-mod-n-min 8", "serving.speculation.fewest_tokens sets it"),
        ("--spec-ngram-map-k4v-min-hits 2", "serving.speculation.min_hits sets it"),
        ("--spec-ngram-map-k-min-hits 2", "llama-server ignores it"),
        ("-kvu", "is not counted"),
        ("--version", "ends with it"),
        ("-dt 0.1", "llama-server ignores it"),
    ],
)
def test_what_bramble_gives_or_must_not_be_given_is_refused_with_what_to_do(entry, said):
    assert said in told(entry)
    assert told(entry).startswith("serving.extra_args[0]: found ")


@pytest.mark.parametrize(
    ("entry", "secret"),
    [
        ("--api-key hunter2", "hunter2"),
        ("-hft abcdef", "abcdef"),
        ("--apikey=hunter2", "hunter2"),
        ("--reasoning-budget-message hf_abcdefghijklmnopqrs", "hf_abc"),
        ("--grammar sk-abcdefghijklmnopqrs", "sk-abc"),
        ("--tags https://me:hunter2@example.org", "hunter2"),
    ],
)
def test_a_secret_is_refused_and_not_shown(entry, secret):
    assert "every list of processes" in told(entry)
    assert secret not in told(entry)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("top-k 20", "this is no argument"),
        ("", "this is no argument"),
        ("--", "this is no argument"),
        ("--top-k 20\n--host x", "this is no argument"),
        ("--top-k 20 --temp 1", "followed by --temp; make that an entry of its own"),
        ("--no-perf --temp 1", "followed by --temp; make that an entry of its own"),
        ("--chat-template-kwargs '{}'", "write the value without them"),
    ],
)
def test_what_is_no_argument_is_refused_with_how_one_is_written(entry, said):
    assert said in told(entry)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("--mlock", "has no --mlock: set serving.lock_weights (today"),
        ("--no-mmap", "has no --no-mmap: bramble maps the weights"),
        ("--no_mmap", "has no --no_mmap: bramble maps the weights"),
        ("--prompt-cache /x", "an argument of llama-completion"),
        ("--prompt-cache-ro", "an argument of llama-completion"),
        ("--memory-f32", "set serving.cache_type_k and serving.cache_type_v to f32"),
        ("--top-kk 20", "has no --top-kk: did you mean '--top-k'?"),
        ("--numa", "--numa wants a value (TYPE)"),
        ("--top-k=", "--top-k wants a value (N)"),
        ("--no-perf false", "--no-perf takes no value; its other names are --perf"),
    ],
)
def test_what_the_pinned_build_would_not_start_with_is_refused_before_any_connection(
    tmp_path, entry, said
):
    text = problems(tmp_path, entry)
    assert said in text
    assert "fleet.yml:9: pi5-a: serving.extra_args[1]: " in text


def test_one_that_is_given_twice_by_whichever_name_is_refused(tmp_path):
    assert "--top_k is given twice (as --top-k)" in problems(tmp_path, "--top_k 30")


@pytest.mark.parametrize("entry", ["--mlock", "--numa", "--top-kk 20", "--no-perf false"])
def test_of_another_commit_it_is_told_that_nobody_knows(tmp_path, entry):
    host = inventory(tmp_path, entry, commit=OTHER).hosts["pi5-a"]
    serving = host.settings["serving"]
    (said,) = serving.warnings(host.settings, "pi5-a", host.prepared)
    flag = entry.split(maxsplit=1)[0]
    assert f"whether llama-server of commit 111111111 takes --top-k, {flag} is not known" in said


def test_the_plan_tells_it_too():
    engine = {"source": {"git": {"commit": OTHER}}}
    plan = node_plan(PI5, engine=engine, serving={"extra_args": ("--top-k 20",)})
    assert any("takes --top-k is not known" in said for said in plan.warnings)
    assert not node_plan(PI5, engine=engine).warnings
    assert not node_plan(PI5, serving={"extra_args": ("--top-k 20",)}).warnings


def test_what_must_not_be_given_is_refused_whichever_commit_is_built(tmp_path):
    assert "serving.expose sets it" in problems(tmp_path, "--host 0.0.0.0", commit=OTHER)
    assert "is not counted" in problems(tmp_path, "--draft 16", commit=OTHER)


def test_all_that_bramble_gives_is_refused_here():
    given = [word.split(maxsplit=1)[0] for word in node_plan().roles["serving"].argv[1:]]
    assert len(given) > 15
    assert [flag for flag in given if not told(flag)] == []


def test_what_is_reserved_is_what_the_build_has():
    names = [argument.name for argument in known().arguments]
    patterns = {*reserved.SET_BY, *(name for found in reserved._WHY.values() for name in found)}
    older = {"--draft*"}
    assert {p for p in patterns if not any(fnmatchcase(n, p) for n in names)} == older


def test_what_is_called_stale_is_what_the_build_lacks():
    assert [flag for flag in reserved.STALE if known().find(flag)] == []


def test_a_node_of_such_a_plan_has_nothing_to_do():
    plan = node_plan(serving={"extra_args": ("--top-k 20",)})
    assert good_look(plan).process(UNIT).argv[-2:] == ("--top-k", "20")


def test_a_word_that_systemd_would_read_otherwise_is_quoted():
    assert flags.unit_word("--samplers top_k;temp") == '--samplers "top_k;temp"'
    assert flags.unit_word("--tags a%b") == "--tags a%%b"
    assert flags.unit_word('--tags a"b\\') == '--tags "a\\"b\\\\"'
    assert flags.unit_word("--no-ui") == "--no-ui"


def test_the_page_is_refused_with_why_and_what_to_take_instead(tmp_path):
    sections = settings(serving={"web_ui": True})
    found = sections["serving"].faults(sections, "pi5-a", prepare(tmp_path, (sections,)))
    (said,) = (str(one) for one in found)
    assert said.startswith("web_ui: llama-server has no page for browsers inside")
    assert "use a client that has a page of its own" in said


def test_builds_have_no_page_inside_as_is_said():
    assert recipe.OPTIONS["LLAMA_BUILD_UI"] == recipe.OPTIONS["LLAMA_USE_PREBUILT_UI"] == "OFF"
    assert "--no-ui" in node_plan().roles["serving"].argv
