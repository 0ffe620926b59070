"""A provisioned node by testinfra's own modules, as written without bramble: a test for each thing.

`BENCH_WANTED` names the JSON file of what is wanted, `--hosts` the hosts by any of its backends.
"""

import json
import os
from pathlib import Path

import pytest

WANTED = json.loads(Path(os.environ["BENCH_WANTED"]).read_text(encoding="utf-8"))


@pytest.mark.parametrize("wanted", WANTED["files"], ids=lambda wanted: wanted["path"])
def test_a_file_is_as_wanted(host, wanted):
    with host.sudo():
        file = host.file(wanted["path"])
        assert file.content_string == wanted["text"]
        assert (file.mode, file.user, file.group) == (
            int(wanted["mode"], 8),
            wanted["owner"],
            wanted["group"],
        )


@pytest.mark.parametrize("name", WANTED["packages"])
def test_a_package_is_installed(host, name):
    assert host.package(name).is_installed


def test_the_release_is_current(host):
    assert host.file(WANTED["current"]).linked_to.endswith(WANTED["current_target"])
    assert host.file(WANTED["manifest"]).exists


def test_the_model_is_the_pinned_one(host):
    with host.sudo():
        assert host.file(WANTED["model_path"]).sha256sum == WANTED["model_sha256"]


def test_the_service_runs(host):
    service = host.service(WANTED["unit"])
    assert service.is_running
    assert service.is_enabled
    assert host.user(WANTED["user"]).shell == "/usr/sbin/nologin"


def test_the_server_listens_where_it_is_to(host):
    assert host.socket(f"tcp://{WANTED['bound']}").is_listening
    assert host.check_output("curl -fsS %s/health", WANTED["url"])


def test_the_model_answers(host):
    request = json.dumps(WANTED["request"])
    url = f"{WANTED['url']}/v1/chat/completions"
    said = host.check_output("curl -fsS -H 'Content-Type: application/json' -d %s %s", request, url)
    assert WANTED["expect"] in said
