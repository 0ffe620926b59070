"""The built wheel is the whole tool, in any folder: no checkout is on the import path."""

import json
import os
import socket
import zipfile
from pathlib import Path

import pytest

from tests.installed import ROOT, install, names

# The recipe that trained the demo model, what a checkout's own fleet may have, and what makes the site.
LEFT_OUT = ("bramble/shipped/models/demo/", "bramble/shipped/inventory/", "bramble/shipped/docs/")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("installed"))


def files_of_the_package():
    """Every file below bramble/, through its links."""
    for folder, _, found in os.walk(ROOT / "bramble", followlinks=True):
        for name in found if not folder.endswith("__pycache__") else ():
            yield str(Path(folder, name).relative_to(ROOT))


def test_the_wheel_has_all_that_the_package_has_and_nothing_else(installed):
    kept = {name for name in files_of_the_package() if not name.startswith(LEFT_OUT)}
    shipped = ("fleet.yml", "groups/virtual.yml", "known_hosts", "models.yml")
    kept |= {f"bramble/shipped/inventory/{name}" for name in shipped}
    kept |= {f"bramble/shipped/{page.relative_to(ROOT)}" for page in ROOT.glob("docs/**/*.md")}
    found = {name for name in names(installed.wheel) if ".dist-info/" not in name}
    assert found == kept
    assert len(kept) > 300


def test_what_is_run_as_a_program_can_be_run(installed):
    with zipfile.ZipFile(installed.wheel) as wheel:
        modes = {entry.filename: entry.external_attr >> 16 for entry in wheel.infolist()}
    for name in (
        "rootfs/customize.sh",
        "rootfs/files/etc/systemd/system-generators/virtual-pi-fstab",
        "trixie/files/etc/systemd/system-generators/virtual-pi-devices",
        "trixie/stand-ins/rpi-swap/usr/lib/rpi-swap/bin/rpi-resize-swap-file",
        "trixie/stand-ins/rpi-swap/usr/lib/systemd/system-generators/rpi-swap-generator",
    ):
        assert modes[f"bramble/virtual/{name}"] & 0o111


def test_no_checkout_is_importable(installed, tmp_path):
    said = installed.run("python", "-c", "import bramble; print(bramble.__file__)", cwd=tmp_path)
    assert Path(said.stdout.strip()) == installed.package / "__init__.py"
    gone = installed.run("python", "-c", "import roles", cwd=tmp_path)
    assert "No module named 'roles'" in gone.stderr


def test_an_installed_bramble_makes_a_project_and_knows_its_models_checks_and_settings(
    installed, tmp_path
):
    made = installed.run("bramble", "init", "fleet", "--host", "pi5-a=127.0.0.1", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    here = tmp_path / "fleet"
    listed = json.loads(installed.run("bramble", "model", "list", "--json", cwd=here).stdout)
    use = listed["models"][0]["use"]
    demo = installed.package / "shipped" / "models" / "bramble-demo-q8_0.gguf"
    fleet = here / "inventory" / "fleet.yml"
    pinned = f"settings:\n  model: {{name: toy, path: {demo}, sha256: {'d' * 64}}}"
    fleet.write_text(fleet.read_text().replace("\nsettings:", f"\n{pinned}", 1))
    config = installed.run("bramble", "config", "pi5-a", cwd=here / "deploys")
    assert config.returncode == 0, config.stderr
    assert config.stderr == f"Inventory {here}/inventory\n"
    assert "inventory/fleet.yml" in config.stdout
    assert use in installed.run("bramble", "model", "list", cwd=here).stdout
    fit = installed.run("bramble", "fit", demo, "--board", "pi5-8g", "--json", cwd=tmp_path)
    assert json.loads(fit.stdout)["verdict"] == "yes"
    checks = json.loads(installed.run("bramble", "checks", "--json", cwd=tmp_path).stdout)
    assert len(checks) > 50
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    assert installed.run("bramble", "docs", "reference/commands", cwd=tmp_path).stdout.strip() == (
        page.strip()
    )


def test_pytest_of_the_environment_knows_the_projects_hosts(installed, tmp_path):
    installed.run("bramble", "init", "fleet", "--host", "pi5-a=127.0.0.1", cwd=tmp_path)
    host = tmp_path / "fleet" / "inventory" / "hosts" / "pi5-a.yml"
    host.write_text("node: {roles: [base]}\n")
    ran = installed.run("python", "-m", "pytest", "--hosts=pi5-b", cwd=tmp_path / "fleet")
    assert ran.returncode == 4
    assert "there is no host 'pi5-b'; did you mean 'pi5-a'?" in ran.stderr


def test_pyinfra_and_bramble_run_the_projects_deploys_and_report_there(installed, tmp_path):
    """Nothing listens where the host would be: that far, and no further, it goes without a node."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    demo = installed.package / "shipped" / "models" / "bramble-demo-q8_0.gguf"
    here = tmp_path / "fleet"
    installed.run("bramble", "init", here, "--host", f"pi5-a=127.0.0.1:{port}", cwd=tmp_path)
    group = f"model: {{name: toy, path: {demo}, sha256: {'d' * 64}}}\n"
    (here / "inventory" / "hosts" / "pi5-a.yml").write_text(group)
    ran = installed.run("pyinfra", "inventory.py", "deploys/node.py", "-y", cwd=here)
    assert ran.returncode == 1
    assert f"Inventory {here}/inventory: pi5-a\n" in ran.stderr
    assert "nothing listens at 127.0.0.1" in ran.stderr
    (report,) = (here / "reports").iterdir()
    assert '"state": "unreachable"' in report.read_text()
    below = here / "inventory" / "hosts"
    plan = installed.run("bramble", "plan", "pi5-a", cwd=below)
    assert plan.returncode == 1
    assert plan.stderr.startswith(f"Inventory {here}/inventory: pi5-a\n")
    assert "nothing listens at 127.0.0.1" in plan.stderr
    assert len(list((here / "reports").glob("*-plan.*"))) == 2
    assert {path.name for path in below.iterdir()} == {"README.md", "pi5-a.yml"}
