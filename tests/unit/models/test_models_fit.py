"""`bramble fit` for models of the inventory by name, and for hosts of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bramble.cli import driver, main
from bramble.models import lock as lock_file
from tests.shapes.models import all_shapes

USE = "toy-3b:q4_k_m"
HEADER = all_shapes()["qwen2.5-3b-q4_k_m"].header()


@pytest.fixture
def fit(folder, there):
    """Runs `bramble fit ... --json` against the fake hub: the exit code, and the answer or error."""
    there.header = HEADER

    def run(*words, **environment):
        environment = {"HF_ENDPOINT": there.url, **environment}
        done = CliRunner().invoke(main, ["fit", *words, "--json"], env=environment)
        return done.exit_code, json.loads(done.stdout) if done.stdout else done.stderr

    return run


def lock(there, **environment):
    done = CliRunner().invoke(
        main, ["model", "lock"], env={"HF_ENDPOINT": there.url, **environment}
    )
    assert done.exit_code == 0, done.output


def test_a_name_that_is_not_locked_is_read_from_the_hub(fit, there):
    code, answer = fit(USE, "--board", "pi4-4g")
    assert (code, answer["verdict"]) == (0, "yes")
    assert [way for way, _ in there.asked] == ["GET"]


def test_a_locked_name_is_answered_without_any_connection(fit, there):
    lock(there)
    asked = len(there.asked)
    code, answer = fit(USE, "--board", "pi4-4g", HF_ENDPOINT="http://127.0.0.1:1")
    assert (code, answer["verdict"]) == (0, "yes")
    assert len(there.asked) == asked


def test_a_lock_without_dimensions_is_read_from_the_hub_by_its_commit(fit, there, folder):
    there.header = b""
    lock(there)
    there.header = HEADER
    there.asked.clear()
    assert fit(USE, "--board", "pi4-4g")[0] == 0
    assert "/resolve/0123456789abcdef" in there.asked[0][1]


def test_a_gated_repository_is_opened_with_the_token(fit, there):
    there.repos["Toys/Toy-3B-GGUF"].gated = True
    code, why = fit(USE, "--board", "pi4-4g")
    assert code == 2
    assert "wants a login" in why
    assert fit(USE, "--board", "pi4-4g", HF_TOKEN=there.token)[0] == 0


def test_a_model_without_a_quant_is_asked_back(fit):
    code, why = fit("toy-3b", "--board", "pi4-4g")
    assert code == 2
    assert "Which quant of toy-3b? There are: toy-3b:q4_k_m, toy-3b:q8_0." in why


def test_an_unknown_name_is_answered_with_what_may_have_been_meant(fit):
    code, why = fit("toy-3b:q4_k_s", "--board", "pi4-4g")
    assert code == 2
    assert "is no file" in why
    assert USE in why


def test_a_claim_is_judged_and_an_impossible_one_ends_with_1(fit):
    code, answer = fit(USE, "--board", "pi4-8g", "--claim", "3.8")
    assert (code, answer["claim"]["verdict"]) == (1, "impossible")
    code, answer = fit(USE, "--board", "pi4-8g", "--claim", "1.74")
    assert (code, answer["claim"]["verdict"]) == (0, "plausible")


def test_a_claim_about_a_board_of_which_nothing_is_known_is_refused(fit):
    code, why = fit(USE, "--memory-mib", "8000", "--claim", "3")
    assert code == 2
    assert "give --bandwidth" in why
    assert fit(USE, "--memory-mib", "8000", "--claim", "3", "--bandwidth", "6.5")[0] == 0


@pytest.fixture
def looked_at(folder, there, monkeypatch):
    """A host of the inventory that shows a Pi 5 with 2 GB; what was run is remembered."""
    lock(there)
    (folder / "fleet.yml").write_text(
        f"settings: {{model: {{use: '{USE}'}}}}\n"
        "hosts: {pi5-a: {serving: {ctx_tokens: 8192, cache_type_k: q8_0, reserve_mib: 100}}}\n"
    )
    board = {"model": "x", "kind": "pi5", "memory_mib": 1990, "cores": 4, "repacks": True}
    calls, events = [], [{"event": "plan", "host": "pi5-a", "board": board}]

    def run(deploy, hosts, *_options, show):
        calls.append((deploy, hosts))
        return driver.Outcome(0 if events else 1, tuple(events), Path("r"), Path("the-log"))

    monkeypatch.setattr(driver, "run", run)
    return calls, events


def test_a_host_is_looked_at_once_and_served_as_its_settings_say(fit, there, looked_at):
    there.header = HEADER
    code, answer = fit(USE, "--host", "pi5-a")
    assert looked_at[0] == [("plan", ["pi5-a"])]
    assert code == 1
    assert answer["available_mib"] + answer["reserve_mib"] == 1990
    assert answer["reserve_mib"] == 256 + 96 + 39 + 100
    assert (
        answer["kv_mib"] == 221
    )  # 36 layers x 256 x 8192 tokens: keys of 34/32, values of 2 bytes
    assert answer["speed"]["bound_gb_s"] == 17.1
    assert fit(USE, "--host", "pi5-a", "--ctx", "512")[1]["kv_mib"] < answer["kv_mib"]


def test_without_a_model_those_that_the_host_serves_are_judged_together(fit, folder, looked_at):
    (first,) = lock_file.load(folder).values()
    more = first.model_copy(update={"sha256": "e" * 64, "file": "other.gguf"})
    locked = {USE: first, "other-3b:q4_k_m": more}
    (folder / "models.lock").write_text(lock_file.text(locked))
    head = f"settings: {{model: {{use: '{USE}', also: ['other-3b:q4_k_m']}}}}\n"
    totals = []
    for at_once, code in ((1, 1), (2, 1)):
        serving = f"{{ctx_tokens: 512, models_at_once: {at_once}}}"
        (folder / "fleet.yml").write_text(f"{head}hosts: {{pi5-a: {{serving: {serving}}}}}\n")
        found, answer = fit("--host", "pi5-a")
        assert found == code
        totals.append(answer["total_mib"])
        assert "other-3b-q4_k_m" in answer["sentence"]
        assert answer["speed"] is None
    assert totals[1] == 2 * totals[0]


def test_without_a_model_a_host_of_one_is_judged_as_if_it_was_named(fit, looked_at):
    assert fit("--host", "pi5-a") == fit(USE, "--host", "pi5-a")


def test_without_a_model_there_must_be_a_host_and_no_claim(fit, looked_at):
    for words in (("--board", "pi4-4g"), ("--host", "pi5-a", "--claim", "3")):
        code, why = fit(*words)
        assert code == 2
        assert "without one, --host alone judges" in why


def test_a_host_that_cannot_be_looked_at_is_told(fit, looked_at):
    looked_at[1].clear()
    code, why = fit(USE, "--host", "pi5-a")
    assert code == 1
    assert "pi5-a could not be looked at: the run ended with exit code 1" in why


def test_a_host_that_there_is_not_is_refused(fit, looked_at):
    code, why = fit(USE, "--host", "pi5-b")
    assert code == 2
    assert "no host 'pi5-b'" in why
