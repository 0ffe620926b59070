"""The docs say what the code does: generated pages, JSON keys, commands and links."""

import ast
import json
import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_origin

import click
import pytest
from click.testing import CliRunner

import bramble.ssh.client
from bramble import registry, report, steps
from bramble.audit.result import Audit, HostAudit
from bramble.audit.strangers import KINDS
from bramble.bench import result as bench_result
from bramble.bench.race import Contestant, RaceRun, decide
from bramble.checks import Result
from bramble.cli import ask as ask_module
from bramble.cli import driver, engine, enroll, main, race, summary, upgrade
from bramble.doctor.finding import Finding
from bramble.figures import Figures
from bramble.inventory.effective import Effective, Report
from bramble.lan.meetings import Met
from bramble.lan.pis import Pi
from bramble.llama import store
from bramble.llama.lock import Lock
from bramble.models import lock
from bramble.models.hub import Hub
from bramble.models.lock import Locked
from bramble.reference import section_in
from bramble.remote import prune_models
from bramble.reporting import json_text
from bramble.reporting.results import Checked
from bramble.settings import Section
from bramble.snapshot import Snapshot
from bramble.ssh.each import Said
from bramble.status.result import fleet_status
from bramble.usage.sums import HostJournal
from bramble.virtual.model import VirtualNode
from docs import generate, pictures
from docs.pages.written import WRITTEN
from tests.shapes.models import all_shapes
from tests.unit.audited import audit
from tests.unit.good_node import PI5, ROLES, node_plan
from tests.unit.good_result import result
from tests.unit.status_made import audited, status
from tests.unit.test_audit import CHANGED_S, changed, edited, ran
from tests.unit.test_audit_waivers import waiver
from tests.unit.test_status_gateway import status as status_of_a_gateway
from tests.unit.test_usage import whole as whole_usage

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bramble/**/*.md"))
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


GENERATED = generate.pages()


def names(model, above):
    """Every setting of a section, those inside of others too."""
    for name, field in model.model_fields.items():
        yield f"{above}.{name}"
        inner = section_in(field.annotation)
        if inner:
            assert issubclass(inner, Section)
            mapped = get_origin(field.annotation) is dict
            yield from names(inner, f"{above}.{name}.NAME" if mapped else f"{above}.{name}")


@pytest.mark.parametrize("page", GENERATED)
def test_a_generated_page_is_what_the_code_makes(page):
    there = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert there == GENERATED[page], "stale: run `make docs`"


def test_every_setting_stands_in_the_reference():
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    for section, model in registry.sections().items():
        for name in names(model, section):
            assert f"| `{name}` |" in page


def test_every_check_stands_in_the_reference():
    page = (REFERENCE / "checks.md").read_text(encoding="utf-8")
    for role in registry.roles():
        for check in role.checks:
            assert f"| `{role.name}.{check.name}` |" in page


def test_every_kind_of_stranger_stands_in_the_how_to():
    page = (ROOT / "docs/how-to/audit.md").read_text(encoding="utf-8").replace("`", "")
    for kind in KINDS:
        fails = "warns" if kind.severity == "warn" else "yes"
        assert f"| {kind.name} | {kind.about} | {fails} |" in page


def commands(found, name):
    """Every command with its whole name."""
    yield name
    for inner, below in getattr(found, "commands", {}).items():
        yield from commands(below, f"{name} {inner}")


def test_every_command_stands_in_the_reference():
    page = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    for name in commands(main, "bramble"):
        assert f"\n## {name}\n" in page


def test_every_command_that_people_run_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in main.commands:
        assert f"bramble {name}" in readme


@pytest.mark.parametrize("session", pictures.texts(), ids=lambda session: session.stem)
def test_the_picture_of_a_session_is_what_its_text_makes(session):
    assert session.with_suffix(".svg").read_text(encoding="utf-8") == pictures.drawn(session)


def test_every_program_that_writes_is_known_to_the_page_of_files():
    plan = node_plan()
    for role in ROLES:
        for step in role.steps(plan.roles[role.name], plan, Snapshot()):
            assert step.why is None or step.program in WRITTEN


# JSON


def documented(heading):
    """The keys in the table below a heading of json.md."""
    page = (REFERENCE / "json.md").read_text(encoding="utf-8")
    part = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.M | re.S)[1]
    return set(re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE))


def keys(value, above=""):
    """Every way to a value in JSON, with [] for the elements of lists."""
    if isinstance(value, dict):
        dot = "." if above else ""
        return {way for key, inner in value.items() for way in keys(inner, f"{above}{dot}{key}")}
    if isinstance(value, list):
        return {way for inner in value for way in keys(inner, f"{above}[]")} or {f"{above}[]"}
    return {above}


def outcome(*events):
    """What a run of pyinfra left, with a report of these events."""
    return driver.Outcome(0, events, Path("report"), Path("log"))


def test_the_keys_of_up_are_documented():
    step = {"event": "step", "host": "a", "step": "Install llama.cpp", "why": "", "problem": None}
    (row,) = summary.rows_of(outcome({"event": "run", "hosts": ["a"]}, step))
    assert keys({"hosts": [row]}) == documented("bramble up --json")


def test_the_keys_of_history_are_documented(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    kept = report.Report(report.new("node"))
    kept.write("run", hosts=["a"], who="ann@desk", command="bramble up")
    kept.write("step", host="a", step="Install llama.cpp", why="", state="done", problem=None)
    done = CliRunner().invoke(main, ["history", "--json"])
    assert keys(json.loads(done.stdout)) == documented("bramble history --json")


def test_the_keys_of_run_are_documented():
    found = {f"hosts[].{name}" for name in Said.__dataclass_fields__}
    assert found == documented("bramble run --json")


def test_the_keys_of_plan_are_documented():
    demo = str(ROOT / "models" / "bramble-demo-q8_0.gguf")
    small = replace(PI5, memory_mib=360)
    plan = node_plan(small, model={"name": "demo", "url": None, "path": demo})
    todo = {role.name: role.steps(plan.roles[role.name], plan, Snapshot()) for role in ROLES}
    value = json.loads(json.dumps({"plans": [steps.as_dict(plan, todo)]}))
    assert keys(value) == documented("bramble plan --json")


def test_the_keys_of_verify_are_documented():
    one = Result("a", "serving", "health_is_ok", "pass", "HTTP 200", "HTTP 200", "")
    made = json.loads(json_text.text(Checked("verify", 0, (one,))))
    assert keys(made) == documented("bramble verify --json")


def test_the_keys_of_doctor_are_documented():
    found = {f"findings[].{name}" for name in Finding.__dataclass_fields__}
    assert found == documented("bramble doctor --json")


def test_the_keys_of_enroll_are_documented():
    found = {f"boards[].{name}" for name in enroll.as_dict(Met(Pi("192.0.2.1")))}
    assert found == documented("bramble enroll --json")


def test_the_keys_of_audit_are_documented():
    """Of one item that has all of them."""
    lines = changed((CHANGED_S - 9, ran("/bin/nano x")), begins_s=CHANGED_S - 5)
    host = audit(look=edited(), waivers=[waiver("serving: *")], **lines)
    items = tuple(item for item in host.items if item.diffs and item.waiver)
    printed = Audit(at=datetime.now(UTC), hosts=(host.model_copy(update={"items": items}),))
    assert keys(printed.model_dump(mode="json")) == documented("bramble audit --json")


def test_the_keys_of_usage_are_documented():
    host = HostJournal(host="pi5-a")
    printed = whole_usage(hosts=(host,)).model_dump(mode="json")
    assert keys(printed) == documented("bramble usage --json")


def test_the_keys_of_status_are_documented():
    told = status(throttled=0x10001, changes=audited()).model_dump(mode="json")
    told["gateway"] = status_of_a_gateway().model_dump(mode="json")["gateway"]
    printed = {**fleet_status(()).model_dump(mode="json"), "hosts": [told]}
    assert keys(printed) == documented("bramble status --json")


def test_the_keys_of_checks_are_documented():
    done = CliRunner().invoke(main, ["checks", "--json"])
    assert done.exit_code == 0
    assert keys(json.loads(done.stdout)) == documented("bramble checks --json")


def test_the_keys_of_roles_are_documented():
    done = CliRunner().invoke(main, ["role", "list", "--json"])
    assert done.exit_code == 0
    assert keys(json.loads(done.stdout)) == documented("bramble role list --json")


def test_the_keys_of_engine_are_documented(capsys):
    entry = store.StoredRelease("abc", Path("abc.tar.gz"), "0" * 64, 1, 1, {})
    engine._print([entry], True)
    found = keys(json.loads(capsys.readouterr().out)) | {"releases[].manifest"}
    assert found == documented("bramble engine build --json, bramble engine list --json")
    assert documented("bramble engine prune --json") == {"removed[]"}


def test_the_keys_of_a_race_are_documented(capsys):
    verdict = decide([Contestant("plain", (RaceRun(9.0, 9.0),))])
    assert verdict is not None
    raced = {"host": "a", "soc": "cortex-a76", "model": "m", "releases": {"plain": "abc"}}
    race._tell(raced, verdict, True)
    found = keys(json.loads(capsys.readouterr().out))
    assert found == documented("bramble engine race --json")


def test_the_keys_of_upgrade_and_rollback_are_documented(capsys):
    row = upgrade._row("a", "upgraded")
    with pytest.raises(click.exceptions.Exit):
        upgrade._tell([row], Lock(), as_json=True)
    found = keys(json.loads(capsys.readouterr().out))
    assert found == documented("bramble upgrade --json")
    assert keys(row) == documented("bramble rollback --json")
    other = keys(row) - {"release"} | {"model"}
    assert other == documented("bramble model rollback --json")


def test_the_keys_of_ask_are_documented(monkeypatch, tmp_path):
    model = f"{{name: toy, url: 'http://example.org/a.gguf', sha256: '{'0' * 64}'}}"
    (tmp_path / "fleet.yml").write_text(f"settings: {{model: {model}}}\nhosts: {{a: }}\n")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))

    @contextmanager
    def connected(*_args):
        yield None

    monkeypatch.setattr(bramble.ssh.client, "connect", connected)
    monkeypatch.setattr(bramble.ssh.client, "http_connection", lambda *_args: None)
    monkeypatch.setattr(ask_module, "answer", lambda *_args: iter(["4"]))
    done = CliRunner().invoke(main, ["ask", "--json", "What is 2+2?"])
    assert done.exit_code == 0, done.output
    assert keys(json.loads(done.stdout)) == documented("bramble ask --json")


def test_the_keys_of_config_are_documented():
    found = {
        name
        for name in Report.model_fields
        if name not in ("groups", "pins", "warnings", "settings")
    }
    found |= {"groups[]", "pins[]", "warnings[]"} | {
        f"settings[].{name}" for name in Effective.model_fields
    }
    assert found == documented("bramble config --json")


def test_the_keys_of_virtual_list_are_documented():
    found = {f"[].{name}" for name in VirtualNode.__dataclass_fields__}
    assert found == documented("bramble virtual list --json")


def written_events():
    """The report's events with the keys that the code gives them, read from its text."""
    found = {}
    for path in (ROOT / "bramble" / "pyinfra").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
            if called == "write_all":
                found.setdefault(node.args[0].value, set()).add(None)
            if called == "write" and node.keywords and isinstance(node.args[0], ast.Constant):
                given = {keyword.arg for keyword in node.keywords}
                found.setdefault(node.args[0].value, set()).update(given)
    plan = {way.split(".")[1].removesuffix("[]") for way in documented("bramble plan --json")}
    spread = {
        "plan": plan,
        "result": set(Result.__dataclass_fields__),
        "figures": set(Figures.__dataclass_fields__),
        "audit": set(HostAudit.model_fields),
    }
    return {
        event: (given - {None}) | (spread[event] if None in given else set())
        for event, given in found.items()
    }


def test_the_events_of_a_report_are_documented():
    page = (REFERENCE / "json.md").read_text(encoding="utf-8")
    part = page.partition("## Report")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", part, re.MULTILINE)
    assert {event: set(re.findall(r"`(\w+)`", cell)) for event, cell in rows} == written_events()


def test_the_keys_of_model_are_documented(tmp_path, monkeypatch):
    locked = Locked(repo="a/b", revision="1" * 40, file="c.gguf", size_bytes=1, sha256="2" * 64)
    (tmp_path / "models.lock").write_text(lock.text({"toy:q4_0": locked}))
    (tmp_path / "fleet.yml").write_text("hosts: {pi5-a: {model: {use: 'toy:q4_0'}}}\n")
    (tmp_path / "models.yml").write_text("models: {toy: {repo: a/b, files: {q4_0: c.gguf}}}\n")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    monkeypatch.setattr(Hub, "resolve", lambda hub, place: locked)
    for words in ("model list", "model lock"):
        done = CliRunner().invoke(main, [*words.split(), "--json"])
        assert keys(json.loads(done.stdout)) == documented(f"bramble {words} --json")


def test_the_keys_of_the_models_on_a_host_are_documented(monkeypatch, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "fleet.yml").write_text("hosts: {pi5-a: {node: {roles: [base]}}}\n")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    row = {
        "state": None,
        "damaged": None,
        **prune_models.listed(str(tmp_path), "", "")["models"][0],
    }
    event = {"event": "models", "host": "pi5-a", "free_bytes": 1, "models": [row]}
    runs = {"event": "run", "hosts": ["pi5-a", "HOST"]}
    monkeypatch.setattr(driver, "run", lambda *words, **options: outcome(runs, event))
    for words in ("list", "verify"):
        done = CliRunner().invoke(main, ["model", words, "pi5-a", "--json"])
        found = keys(json.loads(done.stdout))
        assert found == documented("bramble model list HOST --json, bramble model verify --json")


def test_the_keys_of_fit_are_documented(tmp_path):
    model = all_shapes()["qwen2.5-3b-q4_k_m"].write(tmp_path)
    words = ["fit", str(model), "--board", "pi5-8g", "--claim", "5", "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert keys(json.loads(done.stdout)) == documented("bramble fit --json")


def test_the_keys_of_cluster_are_documented():
    words = ["cluster", "plan", "llama-3.1-8b", "--boards", "pi4-8g*2", "--json"]
    for command in (words, ["cluster", "points", "--json"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        assert keys(json.loads(done.stdout)) == documented(
            f"bramble {' '.join(command[:2])} --json"
        )


def test_the_keys_of_bench_are_documented(tmp_path, monkeypatch):
    (tmp_path / "fleet.yml").write_text("hosts: {pi4-a: {node: {roles: [base]}}}\n")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    busy = {"held_back": ("throttled",), "busiest": {}}
    seen = {"held_back_now": ("throttled",), "held_back_since_boot": ("throttled",)}
    made = result((1.7, 1.8), in_runs=busy, in_seen=seen, in_release={"lacks": ("DOTPROD",)})
    file = bench_result.keep(tmp_path, made)
    done = CliRunner().invoke(main, ["bench", "pi4-a", "--kept", "--json"])
    reported = json.loads(done.stdout)
    kept = {"chart", "hosts[].result"}
    found = {key for key in keys(reported) if not key.startswith("hosts[].result.")} | kept
    assert found == documented("bramble bench --json")
    whole = json.loads(file.read_text())
    assert whole["model"].pop("dimensions")
    assert whole == reported["hosts"][0]["result"]
    assert keys(whole) | {"runs[].busiest"} == documented("A kept benchmark")


def test_every_line_of_a_report_has_its_event_and_time(tmp_path):
    file = tmp_path / "report.jsonl"
    report.Report(file).write("run", hosts=[])
    assert set(next(report.read(file))) == {"event", "at", "hosts"}


def test_every_table_has_a_head():
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.startswith("|") and not lines[number - 1].startswith("|"):
                assert lines[number + 1].startswith("|---"), f"{page}:{number + 1}"


# Links


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_no_relative_link_is_broken(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} is not there"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_page_is_reached_from_the_readme(page):
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        here = waiting.pop()
        if here in reached or here.suffix != ".md":
            continue
        reached.add(here)
        links = re.findall(r"\]\(([^)#\s]+)", here.read_text(encoding="utf-8"))
        found = [(here.parent / link).resolve() for link in links if "://" not in link]
        waiting += [path for path in found if path.is_file()]
    assert page in reached
