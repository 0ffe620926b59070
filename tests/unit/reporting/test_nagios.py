"""Nagios itself reads the line that is written for it: its state, its text, its performance data."""

import re
import shutil
import subprocess
import time

import pytest

from bramble.reporting import formats, nagios
from tests.unit.reporting.runs import CHECKED, NOTHING, WELL

pytestmark = pytest.mark.thorough

PROGRAM = shutil.which("nagios4")
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MAIN = """\
log_file={folder}/log
cfg_file={folder}/objects.cfg
object_cache_file={folder}/cache
status_file={folder}/status
temp_file={folder}/temporary
temp_path={folder}
check_result_path={folder}/results
state_retention_file={folder}/retention
lock_file={folder}/lock
command_file={folder}/command
query_socket={folder}/socket
nagios_user=root
nagios_group=root
check_external_commands=0
enable_notifications=0
status_update_interval=1
interval_length=1
"""
OBJECTS = """\
define timeperiod {{
    timeperiod_name always
    alias always
{days}
}}
define command {{
    command_name bramble
    command_line {plugin}
}}
define contact {{
    contact_name nobody
    host_notifications_enabled 0
    service_notifications_enabled 0
    host_notification_period always
    service_notification_period always
    host_notification_commands bramble
    service_notification_commands bramble
}}
define host {{
    host_name fleet
    address 127.0.0.1
    contacts nobody
    max_check_attempts 1
    check_period always
    notification_period always
}}
define service {{
    host_name fleet
    service_description bramble
    contacts nobody
    check_command bramble
    check_period always
    max_check_attempts 1
    check_interval 1
    retry_interval 1
    notification_period always
}}
"""
READ_S = 120


@pytest.fixture
def read(tmp_path):
    """What Nagios has of a service once its command has said this: read(checked)."""
    if PROGRAM is None:
        pytest.skip("there is no nagios4 (Debian's package nagios4-core)")

    def read(checked):
        (tmp_path / "results").mkdir()
        (tmp_path / "line").write_text(formats.written("nagios", checked))
        plugin = tmp_path / "plugin"
        code = nagios.exit_code(checked)
        plugin.write_text(f"#!/bin/sh\ncat {tmp_path}/line\nexit {code}\n")
        plugin.chmod(0o755)
        days = "\n".join(f"    {day} 00:00-24:00" for day in DAYS)
        (tmp_path / "objects.cfg").write_text(OBJECTS.format(days=days, plugin=plugin))
        (tmp_path / "nagios.cfg").write_text(MAIN.format(folder=tmp_path))
        argv = [PROGRAM, str(tmp_path / "nagios.cfg")]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                return _service(tmp_path / "status", process)
            finally:
                process.terminate()

    return read


def _service(status, process):
    until_s = time.monotonic() + READ_S
    while time.monotonic() < until_s and process.poll() is None:
        text = status.read_text() if status.exists() else ""
        service = text.partition("\nservicestatus {")[2].partition("\n\t}")[0]
        found = dict(re.findall(r"^\t(\w+)=(.*)$", service, re.MULTILINE))
        if found.get("has_been_checked") == "1":
            return found
        time.sleep(0.2)
    raise AssertionError(f"nagios did not check the service: {process.stdout.read1()!r}")


@pytest.mark.parametrize("checked", [WELL, CHECKED, NOTHING], ids=["well", "failing", "nothing"])
def test_nagios_has_the_state_the_text_and_the_counts(read, checked):
    found = read(checked)
    said, _, data = formats.written("nagios", checked).rstrip("\n").partition(" | ")
    assert int(found["current_state"]) == nagios.exit_code(checked)
    assert found["plugin_output"] == said
    assert found["performance_data"] == data
