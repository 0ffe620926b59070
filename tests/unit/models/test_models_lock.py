"""`bramble model`: names for people become pinned files, and what changed upstream is told."""

import json
from dataclasses import replace
from urllib.parse import unquote

import pytest
import yaml
from click.testing import CliRunner
from fake_hub import COMMIT, NEW, OLD, REPO, Repo

from bramble.cli import main
from bramble.documents.problems import InventoryError
from bramble.fleet import load
from bramble.llama.builder import board_for
from bramble.models import catalogue, gguf, lock
from bramble.models.dims import Dims, dims_of
from bramble.models.geometry import geometry
from bramble.models.hub import Hub, HubError, HubUnreachable
from bramble.plan import Inputs
from bramble.roles.model.plan import plan
from bramble.sanitize import address
from tests.shapes.models import all_shapes

USE = "toy-3b:q4_k_m"


@pytest.fixture
def model(folder, there):
    """Runs `bramble model ...` against the fake hub."""

    def run(*words, **environment):
        environment = {"HF_ENDPOINT": there.url, **environment}
        return CliRunner().invoke(main, ["model", *words], env=environment)

    return run


def test_what_the_inventory_uses_is_locked_by_commit_size_and_sha256(model, folder, there):
    done = model("lock")
    assert done.exit_code == 0, done.output
    assert yaml.safe_load((folder / "models.lock").read_text()) == {
        "models": {
            USE: {
                "repo": REPO,
                "revision": COMMIT,
                "file": "toy-3b-q4_k_m.gguf",
                "size_bytes": 2_104_932_768,
                "sha256": OLD,
            }
        }
    }
    assert there.asked == [
        ("HEAD", f"/{REPO}/resolve/main/toy-3b-q4_k_m.gguf"),
        ("GET", f"/{REPO}/resolve/{COMMIT}/toy-3b-q4_k_m.gguf"),
    ]
    assert f"{USE}: locked: {REPO} at {COMMIT[:12]}, 2.10 GB, sha256 {OLD}" in done.output
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


QWEN = all_shapes()["qwen2.5-3b-q4_k_m"]


def test_the_lock_has_what_a_plan_needs_to_know_of_the_model(model, folder, there):
    there.header = QWEN.header()
    assert model("lock").exit_code == 0
    found = lock.load(folder)[USE].fit
    assert found.geometry == geometry(gguf.read(QWEN.header()))
    text = (folder / "models.lock").read_text()
    assert '        - {"count": 36, "key": 256, ' in text
    asked = len(there.asked)
    before = (folder / "models.lock").stat().st_ino
    assert "nothing to change in" in model("lock").output
    assert len(there.asked) == asked + 1  # its header is not read again
    assert (folder / "models.lock").stat().st_ino == before


def test_config_warns_of_a_context_that_the_model_was_not_trained_for(model, folder, there):
    there.header = QWEN.header()
    assert model("lock").exit_code == 0
    fleet = folder / "fleet.yml"
    said = "serving.ctx_tokens: a context of 65536 tokens: the model was trained for 32768, so"
    assert said not in CliRunner().invoke(main, ["config", "pi5-a"]).output
    fleet.write_text(
        fleet.read_text().replace("settings: {", "settings: {serving: {ctx_tokens: 65536}, ")
    )
    assert f"warning: {said}" in CliRunner().invoke(main, ["config", "pi5-a"]).output
    as_json = json.loads(CliRunner().invoke(main, ["config", "pi5-a", "--json"]).stdout)
    assert as_json["warnings"][0].startswith(said)


def test_what_older_rules_read_is_read_anew_by_the_next_lock(model, folder, there):
    there.header = QWEN.header()
    model("lock")
    locked = lock.load(folder)
    old = locked[USE].fit.model_copy(update={"arch": "gemma4", "rules": 1})
    lock.write(folder, {USE: locked[USE].model_copy(update={"fit": old})})
    assert lock.load(folder)[USE].fit.stale
    assert model("lock").exit_code == 0
    assert lock.load(folder)[USE].fit.arch == "qwen2"


def test_a_lock_without_it_gets_it_with_the_next_lock(model, folder, there):
    reported = model("lock")
    assert reported.exit_code == 0
    assert "deploys cannot tell whether it fits" in reported.output
    assert lock.load(folder)[USE].fit is None
    there.header = QWEN.header()
    assert "cannot tell" not in model("lock").output
    assert lock.load(folder)[USE].fit is not None


@pytest.mark.parametrize("name", all_shapes())
def test_what_is_kept_of_a_model_is_all_that_its_fit_depends_on(name):
    found = geometry(gguf.read(all_shapes()[name].header()))
    text = dims_of(found).model_dump_json()
    assert Dims.model_validate_json(text).geometry == found


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace('"count": 36', '"count": 5000'), "count"),
        (lambda text: text.replace('"arch"', '"arhc"').replace("arch:", "arhc:"), "arhc"),
        (lambda text: text.replace("vocabulary: 151936", "vocabulary: -1"), "vocabulary"),
    ],
)
def test_dimensions_that_cannot_be_are_told_with_their_place(model, folder, there, spoil, said):
    there.header = QWEN.header()
    model("lock")
    file = folder / "models.lock"
    file.write_text(spoil(file.read_text()))
    with pytest.raises(InventoryError, match=said):
        lock.load(folder)


def test_a_name_without_a_quant_locks_all_of_a_model_sorted_and_stable(model, folder):
    assert model("lock", "toy-3b:q8_0").exit_code == 0
    assert model("lock", "toy-3b").exit_code == 0
    text = (folder / "models.lock").read_text()
    assert list(yaml.safe_load(text)["models"]) == [USE, "toy-3b:q8_0"]
    assert text.startswith("# Written by `bramble model lock`")
    before = (folder / "models.lock").stat().st_ino
    again = model("lock", "toy-3b")
    assert "nothing to change in" in again.output
    assert (folder / "models.lock").stat().st_ino == before


def test_a_sha256_of_digits_alone_is_read_back_as_text(folder):
    entry = lock.Locked(
        repo=REPO, revision="1" * 40, file="a.gguf", size_bytes=1, sha256="0" * 63 + "7"
    )
    exponent = replace_sha256(entry, "12e" + "4" * 61)
    lock.write(folder, {USE: entry, "toy-3b:q8_0": exponent})
    assert lock.load(folder) == {USE: entry, "toy-3b:q8_0": exponent}


def replace_sha256(entry, sha256):
    return entry.model_copy(update={"sha256": sha256})


def test_a_file_uploaded_anew_is_told_with_both_hashes_and_only_an_update_takes_it(
    model, folder, there
):
    model("lock")
    before = (folder / "models.lock").read_text()
    there.repos[REPO] = Repo("f" * 40, {"toy-3b-q4_k_m.gguf": (NEW, 5)})
    reported = model("lock")
    assert reported.exit_code == 1
    assert OLD in reported.output
    assert NEW in reported.output
    assert f"bramble model lock --update {USE}" in reported.output
    assert (folder / "models.lock").read_text() == before
    assert model("lock", "--update", USE).exit_code == 0
    assert lock.load(folder)[USE].sha256 == NEW
    assert lock.load(folder)[USE].revision == "f" * 40


def test_a_new_commit_with_the_same_file_leaves_the_lock_alone(model, folder, there):
    model("lock")
    before = (folder / "models.lock").read_text()
    there.repos[REPO] = replace(there.repos[REPO], commit="e" * 40)
    done = model("lock")
    assert (done.exit_code, (folder / "models.lock").read_text()) == (0, before)


def test_a_repository_of_another_name_is_found_through_the_hubs_own_redirect(model, folder, there):
    there.repos["Toys/New"] = there.repos[REPO]
    there.repos[REPO] = Repo("9" * 40, renamed_to="Toys/New")
    assert model("lock").exit_code == 0
    assert lock.load(folder)[USE].sha256 == OLD


def test_a_mirror_that_tells_no_etag_is_asked_for_its_listing(model, folder, there):
    there.without_etag = True
    assert model("lock").exit_code == 0
    assert lock.load(folder)[USE].size_bytes == 2_104_932_768
    assert there.asked[1] == ("GET", f"/api/models/{REPO}/revision/{COMMIT}?blobs=true")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda hub: hub.repos.clear(), "has no repository Toys/Toy-3B-GGUF, or a private one"),
        (
            lambda hub: hub.repos.update({REPO: Repo(COMMIT, {"toy-3B-Q4_K_M.gguf": (OLD, 5)})}),
            "has no file toy-3b-q4_k_m.gguf at main; did you mean toy-3B-Q4_K_M.gguf?",
        ),
        (
            lambda hub: hub.repos.update({REPO: Repo(COMMIT, {"x.gguf": (OLD, 5)})}),
            "it has: x.gguf",
        ),
        (
            lambda hub: hub.repos.update({REPO: Repo(COMMIT, {"\x1b]0;x\x07.gguf": (OLD, 5)})}),
            "it has: ?]0;x?.gguf\n",
        ),
        (
            lambda hub: setattr(hub.repos[REPO], "gated", True),
            "is gated, and no token was given: accept its terms at",
        ),
        (lambda hub: setattr(hub, "without_commit", True), "does not give the commit"),
        (lambda hub: setattr(hub, "status", 429), "refuses further requests"),
        (lambda hub: setattr(hub, "status", 503), "answers 503"),
        (
            lambda hub: hub.repos.update({REPO: Repo(COMMIT, renamed_to=REPO)}),
            "redirects in a circle",
        ),
    ],
)
def test_what_cannot_be_resolved_is_said_and_the_lock_stays(model, folder, there, spoil, said):
    spoil(there)
    done = model("lock")
    assert done.exit_code == 1
    assert said in done.output
    assert not (folder / "models.lock").exists()


@pytest.mark.parametrize(
    "file", ["Q4 K M/toy 3b (v2).gguf", "toy-3b-00001-of-00001.gguf", "Größe/toy&3b#1.GGUF"]
)
def test_a_file_of_any_name_that_a_hub_has_is_locked_listed_and_read_back(
    model, folder, there, file
):
    there.repos[REPO].files[file] = (NEW, 77)
    text = (folder / "models.yml").read_text()
    (folder / "models.yml").write_text(text.replace("toy-3b-q4_k_m.gguf", f"'{file}'"))
    there.header = QWEN.header()
    done = model("lock")
    assert done.exit_code == 0, done.output
    found = lock.load(folder)[USE]
    assert (found.file, found.sha256) == (file, NEW)
    asked = [unquote(path) for _, path in there.asked]
    assert asked == [f"/{REPO}/resolve/main/{file}", f"/{REPO}/resolve/{COMMIT}/{file}"]
    assert all(" " not in path and "#" not in path for _, path in there.asked)
    (row, _) = json.loads(model("list", "--json").stdout)["models"]
    assert row["file"] == file


def test_a_branch_that_is_not_there_is_said(model, folder, there):
    text = (folder / "models.yml").read_text()
    (folder / "models.yml").write_text(text.replace("    files:", "    revision: v2\n    files:"))
    assert "has no revision 'v2'" in model("lock").output


def test_one_that_fails_does_not_keep_the_others_from_the_lock(model, folder, there):
    del there.repos[REPO].files["toy-3b-q8_0.gguf"]
    assert model("lock", "toy-3b").exit_code == 1
    assert list(lock.load(folder)) == [USE]


def test_a_hub_that_is_not_there_ends_the_command_at_once(model, folder):
    done = model("lock", "toy-3b", HF_ENDPOINT="http://127.0.0.1:1")
    assert done.exit_code == 1
    assert done.output.count("Connection refused") == 1


def test_a_token_opens_a_gated_repository_and_stands_nowhere(model, folder, there, tmp_path):
    there.repos[REPO].gated = True
    done = model("lock", HF_TOKEN=there.token)
    assert done.exit_code == 0
    assert set(there.tokens) == {f"Bearer {there.token}"}
    assert there.token not in done.output + (folder / "models.lock").read_text()
    file = tmp_path / "token"
    file.write_text(f"{there.token}\n")
    assert model("lock", "--token-file", str(file)).exit_code == 0
    wrong = model("lock", HF_TOKEN="hf_wrong")
    assert "the token that was given does not open it" in wrong.output
    assert "hf_wrong" not in wrong.output


def test_a_token_is_not_shown_to_another_machine_without_tls():
    assert Hub("http://mirror.example.org", "hf_x")._token is None
    assert Hub("https://mirror.example.org", "hf_x")._token == "hf_x"


def test_a_password_of_netrc_does_not_take_the_tokens_place(model, there, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert model("lock", HF_TOKEN=there.token).exit_code == 0
    assert model("lock").exit_code == 0
    assert there.tokens == [f"Bearer {there.token}"] * 2 + [None] * 2


@pytest.mark.parametrize("endpoint", ["ftp://x", "huggingface.co", "https://"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint):
    with pytest.raises(HubError, match="is no http"):
        Hub(endpoint)


def test_an_unreachable_hub_says_why_without_the_libraries_words():
    with pytest.raises(HubUnreachable, match="cannot be asked") as raised:
        Hub("http://127.0.0.1:1").resolve(catalogue.Place(REPO, "main", "a.gguf"))
    assert "Max retries" not in str(raised.value)


def test_an_unknown_name_is_answered_with_what_may_have_been_meant(model):
    done = model("lock", "toy-3b:q4_k_s")
    assert done.exit_code == 2
    assert f"did you mean '{USE}'?" in done.output


def test_list_shows_the_catalogue_and_what_is_locked(model, folder):
    model("lock")
    plain = model("list").stdout.splitlines()
    assert plain == [
        f"{USE}  {REPO}  2.10 GB, sha256 {OLD[:12]}, commit {COMMIT[:12]}",
        f"toy-3b:q8_0    {REPO}  not locked",
    ]
    (folder / "models.yml").write_text("models: {}\n")
    (row,) = json.loads(model("list", "--json").stdout)["models"]
    assert (row["use"], row["in_catalogue"], row["sha256"]) == (USE, False, OLD)
    again = model("lock")
    assert again.exit_code == 2
    assert "no model" in again.output


def test_what_models_yml_names_no_longer_stays_locked_and_is_said(model, folder):
    model("lock")
    (folder / "models.yml").write_text("models: {}\n")
    (folder / "fleet.yml").write_text("hosts: {pi5-a: {}}\n")
    done = model("lock")
    assert done.exit_code == 0
    assert "models.yml does not name it any more" in done.output
    assert list(lock.load(folder)) == [USE]


def test_further_models_of_a_host_are_locked_too(model, folder):
    also = "toy-3b:q8_0"
    (folder / "fleet.yml").write_text(
        f"settings: {{model: {{use: '{USE}'}}}}\nhosts: {{pi5-a: {{model: {{also: ['{also}']}}}}}}\n"
    )
    done = model("lock")
    assert done.exit_code == 0, done.output
    assert {*lock.load(folder)} == {USE, also}


def test_nothing_to_lock_is_said(model, folder):
    (folder / "fleet.yml").write_text("hosts: {pi5-a: {}}\n")
    done = model("lock")
    assert done.exit_code == 0
    assert "no host sets model.use" in done.output
    assert not (folder / "models.lock").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: {toy: {repo: x, files: {q4: a.gguf}}}", 'toy.repo: found "x"'),
        ("models: {toy: {repo: a/b, files: {q4: a.bin}}}", "toy.files.q4"),
        ("models: {toy: {repo: a/b, files: {q4: ../a.gguf}}}", "toy.files.q4"),
        ("models: {toy: {repo: a/b, files: {q4: a//b.gguf}}}", "toy.files.q4"),
        ("models: {toy: {repo: a/b, files: {q4: /a.gguf}}}", "toy.files.q4"),
        ('models: {toy: {repo: a/b, files: {q4: "a\\nb.gguf"}}}', "toy.files.q4"),
        (
            "models: {toy: {repo: a/b, files: {q4: a-00001-of-00002.gguf}}}",
            "a-00001-of-00002.gguf is part 1 of 2, and a node serves one file",
        ),
        ("models: {Toy: {}}", "found a model's name that does not match"),
        ("models: {toy: {repo: a/b}}", "toy.files: not set but needed"),
        ("model: {}", "the only key here is models"),
        ("models: [toy]", "models: found a list, allowed: a mapping"),
        ("models: {", "not valid YAML"),
    ],
)
def test_a_catalogue_that_is_wrong_is_told_with_its_line(model, folder, text, said):
    (folder / "models.yml").write_text(f"{text}\n")
    done = model("list")
    assert done.exit_code == 2
    assert said in done.output
    assert "models.yml:" in done.output


def test_a_lock_that_was_edited_by_hand_is_told_with_its_line(folder):
    (folder / "models.lock").write_text(f"models:\n  {USE}:\n    repo: a/b\n    sha256: 12\n")
    with pytest.raises(InventoryError, match=r"models\.lock:4: .*sha256"):
        lock.load(folder)


def test_the_shipped_catalogue_is_good_and_is_what_an_inventory_without_one_has(tmp_path):
    places = catalogue.places(catalogue.load(tmp_path))
    assert places["qwen2.5-3b-instruct:q4_k_m"].repo == "Qwen/Qwen2.5-3B-Instruct-GGUF"
    assert {place.revision for place in places.values()} == {"main"}


def test_init_writes_the_catalogue(tmp_path):
    done = CliRunner().invoke(main, ["init", str(tmp_path / "mine")])
    assert "model.use" in done.output
    assert (tmp_path / "mine/inventory/models.yml").read_text() == catalogue.shipped().read_text()


# What a host's settings make of it


def pin(folder):
    host = load(folder).hosts["pi5-a"]
    return host.settings["model"].chosen(host.name, host.prepared)


def problems(folder):
    with pytest.raises(InventoryError) as raised:
        load(folder)
    return str(raised.value)


def test_a_host_that_uses_a_locked_model_gets_it_by_commit(model, folder):
    model("lock")
    found = pin(folder)
    assert (found.name, found.sha256, found.size_bytes) == ("toy-3b-q4_k_m", OLD, 2_104_932_768)
    assert found.url == f"https://huggingface.co/{REPO}/resolve/{COMMIT}/toy-3b-q4_k_m.gguf"


def test_a_host_may_fetch_from_a_mirror(model, folder):
    model("lock")
    (folder / "hosts").mkdir()
    (folder / "hosts/pi5-a.yml").write_text("model: {endpoint: 'http://nas:8090/'}\n")
    assert pin(folder).url == f"http://nas:8090/{REPO}/resolve/{COMMIT}/toy-3b-q4_k_m.gguf"


def test_a_mirror_may_be_asked_before_the_hub(model, folder):
    model("lock")
    (folder / "hosts").mkdir()
    (folder / "hosts/pi5-a.yml").write_text("model: {mirror: 'http://nas:8090/'}\n")
    path = f"{REPO}/resolve/{COMMIT}/toy-3b-q4_k_m.gguf"
    found = pin(folder)
    assert (found.mirror_url, found.url) == (
        f"http://nas:8090/{path}",
        f"https://huggingface.co/{path}",
    )
    host = load(folder).hosts["pi5-a"]
    board = board_for("x86-64", None, 2, 8192)
    made = plan(host.settings["model"], board, Inputs(prepared=host.prepared))
    assert made.sources == (found.mirror_url, found.url)


def test_a_model_that_is_not_locked_is_refused_with_the_command(folder):
    assert f"{USE} is not locked" in problems(folder)
    assert f"run `bramble model lock {USE}`" in problems(folder)


def test_the_lock_is_enough_without_a_catalogue(model, folder):
    model("lock")
    (folder / "models.yml").write_text("models: {\n")
    assert pin(folder).sha256 == OLD


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{use: 'toy-3b:q4'}", "did you mean 'toy-3b:q4_k_m'?"),
        ("{use: toy-3b}", 'model.use: found "toy-3b"'),
        (
            "{use: 'toy-3b:q4_k_m', url: 'http://x/y'}",
            "use takes the place of name, url, path and sha256",
        ),
        ("{use: 'toy-3b:q4_k_m', name: toy}", "use takes the place of name"),
        ("{}", "no model is named; set use"),
        ("{name: toy, url: 'http://x/y'}", "sha256 is not set"),
        (f"{{sha256: {OLD}, url: 'http://x/y'}}", "name is not set"),
        (f"{{name: toy, sha256: {OLD}}}", "give url or path, one of them"),
        (
            "{url: 'https://huggingface.co/a/b/resolve/main/c.gguf'}",
            "'main' is whatever was uploaded last; write the commit (40 digits)",
        ),
        ("{url: 'https://nas:8090/a/b/resolve/v1.0/c.gguf'}", "'v1.0' is whatever"),
        (
            f"{{url: 'https://huggingface.co/a/b/blob/{COMMIT}/c.gguf'}}",
            "/blob/ is not where the hub has the file itself",
        ),
        (
            "{url: 'https://me:secret-word@nas/c.gguf'}",
            "not shown: it may be a secret): url has a name or password in it, and nodes have no login",
        ),
        ("{use: 'toy-3b:q4_k_m', endpoint: 'nas'}", 'model.endpoint: found "nas"'),
    ],
)
def test_settings_that_name_no_one_file_are_refused_with_what_to_write(folder, settings, said):
    (folder / "fleet.yml").write_text(f"settings: {{model: {settings}}}\nhosts: {{pi5-a: {{}}}}\n")
    assert said in problems(folder)
    assert "secret-word" not in problems(folder)


def test_what_an_address_asks_for_is_told_to_nobody():
    assert address("https://nas:8090/c.gguf?token=secret-word") == "https://nas:8090/c.gguf"


def test_a_url_of_a_commit_is_taken(folder):
    url = f"https://huggingface.co/a/b/resolve/{COMMIT}/c.gguf"
    (folder / "fleet.yml").write_text(
        f"settings: {{model: {{name: toy, sha256: {OLD}, url: '{url}'}}}}\nhosts: {{pi5-a: {{}}}}\n"
    )
    assert pin(folder).url == url


def test_a_lock_that_cannot_be_read_is_the_hosts_problem(folder):
    (folder / "models.lock").write_text("models: [\n")
    assert "models.lock" in problems(folder)
