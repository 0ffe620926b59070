"""`bramble cluster`: models as people name them, what is refused, exit codes and JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bramble.bench.result import keep
from bramble.cli import driver, main
from tests.shapes.models import all_shapes
from tests.unit.good_result import result


@pytest.fixture(autouse=True)
def inventory(tmp_path, monkeypatch):
    (tmp_path / "fleet.yml").write_text(
        "hosts: {pi5-a: {node: {roles: [base]}}, pi5-b: {node: {roles: [base]}}}\n"
    )
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)


def run(*words):
    return CliRunner().invoke(main, ["cluster", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("llama-3.1-8b", "--boards", "pi4-8g*4"), 0),
        (("Llama-3.1-8B", "--boards", "pi4-8g*4"), 0),
        (("llama-3.3-70b", "--boards", "pi4-8g*2"), 1),
        (("qwen2.5-7b-instruct", "--boards", "pi5-8g*2"), 0),
    ],
)
def test_a_plan_ends_with_whether_anything_fits(words, code):
    done = run("plan", *words)
    assert done.exit_code == code, done.output


def test_a_file_is_read_with_its_heads(tmp_path):
    model = all_shapes()["llama-3.1-8b-q4_k_m"].write(tmp_path)
    done = run("plan", model, "--boards", "pi5-8g*3", "--json")
    assert done.exit_code == 0, done.output
    by_name = {one["name"]: one for one in json.loads(done.stdout)["ways"]}
    assert "KV heads (8)" in by_name["dllama"]["why"]
    assert sum(one["layers"] for one in by_name["rpc layers"]["shares"]) == 32


def test_a_file_and_what_ships_of_it_plan_alike(tmp_path):
    model = all_shapes()["llama-3.1-8b-q4_k_m"].write(tmp_path)
    found = []
    for name in (model, "llama-3.1-8b-instruct:q4_k_m"):
        said = json.loads(run("plan", name, "--boards", "pi5-8g*4", "--json").stdout)
        found.append([(one["name"], one["tokens_per_s"], one["verdict"]) for one in said["ways"]])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "where", "what_to_do"),
    [
        (("xx", "--boards", "pi4-8g*2"), "xx is no file", "published are: llama-2-7b"),
        (("qwen3-14", "--boards", "pi4-8g*2"), "qwen3-14", "qwen3-14b"),
        (("none.gguf", "--boards", "pi4-8g*2"), "none.gguf", ""),
        (("llama-3.1-8b", "--boards", "pi6-8g*4"), "--boards pi6-8g*4", "did you mean pi5-8g?"),
        (("llama-3.1-8b",), "Give --boards", "--hosts"),
        (
            ("llama-3.1-8b", "--boards", "pi4-8g", "--hosts", "pi5-a"),
            "Give --boards",
            "one of them",
        ),
        (("llama-3.1-8b", "--boards", "pi4-8g", "--measured"), "--measured wants --hosts", ""),
        (("llama-3.1-8b", "--hosts", "pi5-a,pi5-a"), "--hosts pi5-a,pi5-a", "named twice"),
        (("llama-3.1-8b", "--hosts", "pi5-a,pi5-x"), "pi5-x", "did you mean"),
        (("llama-3.1-8b", "--hosts", ""), "", ""),
        (("llama-3.1-8b", "--boards", "pi4-8g", "--ctx", "1"), "--ctx", "128"),
        (("llama-3.1-8b", "--boards", "pi4-8g", "--link-mbit", "nan"), "--link-mbit", "no number"),
        (("llama-3.1-8b", "--boards", "pi4-8g", "--delay-ms", "0"), "--delay-ms", "0.001"),
    ],
)
def test_bad_input_is_refused(words, where, what_to_do):
    done = run("plan", *words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert where in done.stderr
    assert what_to_do in done.stderr
    assert "Traceback" not in done.output


def looked(monkeypatch, *names, kind="pi5"):
    """Have hosts looked at: what a run of plans would report of them."""
    board = {"memory_mib": 8063, "cores": 4, "repacks": True, "kind": kind}
    events = [{"event": "run", "hosts": [*names]}]
    events += [{"event": "plan", "host": name, "board": board} for name in names]
    made = driver.Outcome(0, tuple(events), Path("report"), Path("log"))
    monkeypatch.setattr(driver, "run", lambda *words, **options: made)


def test_hosts_are_planned_for_by_name(monkeypatch):
    looked(monkeypatch, "pi5-a", "pi5-b")
    done = run("plan", "llama-3.1-8b", "--hosts", "pi5-a,pi5-b", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["root"] == "pi5-a"
    assert [one["name"] for one in said["nodes"]] == ["pi5-a", "pi5-b"]
    assert len(said["ways"][3]["tokens_per_s"]) == 2


def test_a_host_that_could_not_be_looked_at_is_named(monkeypatch):
    looked(monkeypatch, "pi5-a")
    done = run("plan", "llama-3.1-8b", "--hosts", "pi5-a,pi5-b")
    assert done.exit_code == 1
    assert "pi5-b could not be looked at" in done.stderr


def test_a_host_without_a_benchmark_is_told_to_have_one(monkeypatch):
    looked(monkeypatch, "pi5-a", "pi5-b")
    done = run("plan", "llama-3.1-8b", "--hosts", "pi5-a,pi5-b", "--measured")
    assert done.exit_code == 2
    assert "run `bramble bench pi5-a`" in done.stderr


def test_hosts_own_benchmarks_take_the_place_of_published_figures(monkeypatch, tmp_path):
    looked(monkeypatch, "pi5-a", "pi5-b", kind="pi4")
    for name, answers in (("pi5-a", (1.7, 1.8)), ("pi5-b", (1.0, 1.1))):
        keep(tmp_path, result(answers, host=name))
    words = ("plan", "llama-3.1-8b", "--hosts", "pi5-a,pi5-b", "--json")
    by_bench, published = (
        {one["name"]: one for one in json.loads(run(*words, *more).stdout)["ways"]}
        for more in (["--measured"], [])
    )
    alone = by_bench["one node"]
    assert alone["shares"][0]["node"] == "pi5-a"
    assert "measured on pi5-a" in alone["calibrated_on"]
    low, high = alone["tokens_per_s"]
    assert 1 < high / low < 1.1
    assert by_bench["rpc layers"]["tokens_per_s"] != published["rpc layers"]["tokens_per_s"]
    assert by_bench["dllama"] == published["dllama"]


def test_a_better_link_is_told_in_the_plan():
    words = ("plan", "llama-3.1-8b", "--boards", "pi5-8g*4", "--json")
    slow, fast = (
        json.loads(run(*words, "--link-mbit", mbit).stdout)["ways"][3]["tokens_per_s"]
        for mbit in (50, 1000)
    )
    assert slow[1] < fast[1]


def test_the_json_has_its_version():
    said = json.loads(run("plan", "llama-3.1-8b", "--boards", "pi4-8g*4", "--json").stdout)
    assert (said["kind"], said["version"]) == ("bramble cluster plan", 1)
    said = json.loads(run("points", "--json").stdout)
    assert (said["kind"], said["version"]) == ("bramble cluster points", 1)


def test_points_print_each_error_and_how_many_are_within():
    done = run("points")
    assert done.exit_code == 0
    assert "+11.7%" in done.stdout
    assert "MISSED" in done.stdout
    assert "All: 38 of 40 within (95%)" in done.stdout


def test_points_fail_where_predictions_miss_too_many(monkeypatch):
    from bramble.cluster import speed

    monkeypatch.setitem(speed.STAR, ("pi4", "0.1.0"), speed.Star(9.0, 3.54, 0, (40, 14), 0.10))
    done = run("points")
    assert done.exit_code == 1, done.output
