"""A run over three hosts that formats are tried on: one is well, one has all that can be wrong."""

from bramble.checks import Result
from bramble.figures import Figures
from bramble.reporting.history import Benchmarks, History, Look
from bramble.reporting.results import Checked

AT_S = 1_796_083_200

HOSTILE = (
    "</td><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> "
    "| ' \" & `id` $(id) # SKIP \\ {{ 7 * 7 }} \x1b[2J \u202e ]]>\n---\n=1+1\ud800"
)
"""What a node may say that somebody else has taken over."""


def one(host, role, check, status, got="as planned", want="as planned", remedy=""):
    return Result(host, role, check, status, want, got, remedy)


RESULTS = (
    one("pi5-a", "base", "packages_are_installed", "pass"),
    one("pi5-a", "serving", "health_is_ok", "pass", "HTTP 200", "HTTP 200"),
    one("pi5-a", "power", "supply_is_rated_for_a_pi_5", "skip", "only a Pi 5 tells", "5000 mA"),
    one("pi4-b", "base", "packages_are_installed", "pass"),
    one(
        "pi4-b", "power", "temperature_is_moderate", "warn", "81.0 °C", "at most 75 °C", "Cool it."
    ),
    one("pi4-b", "power", "voltage_is_enough", "unknown", "no sudo", "no undervoltage", "Again."),
    one("pi4-b", "serving", "model_answers", "fail", HOSTILE, "an answer", "Deploy again."),
    one(
        "cm5-c", "ssh", "reachable", "fail", "no route", "a host that can be looked at", "The log."
    ),
)


def looks(statuses, figures, count):
    return tuple(
        Look(AT_S - 86_400 * (count - number), statuses(number), figures(number))
        for number in range(count)
    )


HISTORY = History(
    {
        "pi5-a": looks(
            lambda n: {"serving.health_is_ok": "fail" if n == 22 else "pass"},
            lambda n: Figures(55.0 + n % 5, 2400.0 + n, 2600, 10.5 + n / 10),
            30,
        ),
        "pi4-b": looks(
            lambda n: {
                "serving.model_answers": "pass" if n < 6 else "fail",
                "power.temperature_is_moderate": "warn",
            },
            lambda n: Figures(temperature_c=70.0 + n),
            9,
        ),
    },
    {"pi5-a": Benchmarks("qwen2.5-3b", ((AT_S - 9e6, 5.9), (AT_S - 8e6, 6.1)))},
    ("20261101-000000-1.jsonl",),
)

CHECKED = Checked("verify", AT_S, RESULTS, HISTORY)
NOTHING = Checked("verify", AT_S, ())
WELL = Checked("verify", AT_S, RESULTS[:3])
