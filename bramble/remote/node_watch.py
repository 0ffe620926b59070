"""Watch a node by itself: its board, its service, its model, and the files that bramble left there.

The plan of this is a file that a deploy leaves (`plan` of the query). What is found is written as
metrics for node_exporter (`bramble.prom`), and as checks with their sentences for whoever tells people
(`status.json`). A check is right, wrong, or not known (None), which is never taken for right.
"""

import json
import os
import time

from bramble.remote import atomic, edge_state, exposition, gateway_state, server_state, vitals

METRICS, STATUS, ANSWER = "bramble.prom", "status.json", "answer.json"
CONDITIONS = ("undervoltage", "clock_capped", "throttled", "soft_temperature_limit")
AGAIN_S = 300  # after a wrong answer
STATES = {True: "pass", False: "fail", None: "unknown"}


def board():
    """Return what the board tells of itself; None for what it does not tell."""
    volts = vitals.vcgencmd("measure_volts", r"volt=(\d+\.\d+)V")
    return {
        "throttled": vitals.bits(),
        "temperature": vitals.temperature(),
        "volts": None if volts is None else float(volts),
    }


def server(plan, now_s):
    """Return what the service, its process and its model are; None where none is planned."""
    wanted = plan["server"]
    if wanted is None:
        return None
    state = server_state.unit(wanted["unit"])
    health = server_state.got(f"{wanted['url']}/health")
    said = server_state.props(wanted["url"]) if health is not None else {}
    models = server_state.states(wanted["url"]) if said and wanted["further"] else {}
    awake = server_state.awake_of(wanted, said, models) if health is not None else []
    figures = {
        name: server_state.figures(wanted["url"], name if models else None) for name in awake
    }
    return {
        "state": state.get("ActiveState"),
        "restarts": int(state.get("NRestarts") or 0),
        "memory": server_state.memory_bytes(state.get("MainPID") or 0),
        "healthy": health is not None,
        "build": server_state.build(said),
        "figures": figures,
        "model": server_state.model(wanted["model_path"]),
        "models": models,
        "beside": {
            one["path"]: server_state.model(one["path"])
            for one in (*wanted["further"], *wanted["helpers"])
        },
        "answer": answer(plan, now_s, wanted["model_name"] in awake, figures),
    }


def answer(plan, now_s, awake, figures):
    """Return the last known answer; ask again where it is old and the model has nothing else to do.

    A busy server is not asked: people come first, and its speed would say nothing.
    """
    path, wanted = os.path.join(plan["folder"], ANSWER), plan["server"]
    try:
        with open(path, encoding="utf-8") as file:
            last = json.load(file)
    except (OSError, ValueError):
        last = None
    every_s = wanted["answer_every_s"]
    soon_s = every_s if last and last["right"] else min(every_s, AGAIN_S)
    due = last is None or not 0 <= now_s - last["at_s"] < soon_s
    busy = any(told.get(name) for told in figures.values() for name in server_state.BUSY)
    if not (every_s and due and awake) or busy:
        return last
    found = server_state.known_answer(wanted, now_s)
    atomic.write(path, json.dumps(found), 0o644)
    return found


def checks(plan, seen):
    """Return each cheap check: its name, whether it passes, and a sentence on what was found."""
    rows = [*_of_power(seen["board"]["throttled"]), _of_files(seen["wrong"], seen["hidden"])]
    if plan["server"]:
        rows += [*_of_service(plan["server"], seen["server"])]
        rows += [*_of_content(plan["server"], seen["server"])]
    if plan["edge"]:
        up = seen["edge"] is not None
        rows += [("way_in_is_up", up, f"it tells {'its' if up else 'no'} figures")]
    if plan["gateway"]:
        rows += [_of_gateway(seen["gateway"])]
    return rows


def _of_gateway(found):
    """Judge whether each model of a gateway has a node."""
    if found is None:
        return ("gateway_has_nodes", False, "it tells no figures")
    ups = [name for name, node in found["nodes"].items() if gateway_state.is_up(node)]
    served = {name.partition("/")[0] for name in ups}
    without = [pool for pool in found["waiting"] if pool not in served]
    said = f"{len(ups)} of {len(found['nodes'])} are up"
    return ("gateway_has_nodes", not without, said)


def _of_power(bits):
    if bits is None:
        said = "the board does not tell"
        return [("voltage_is_enough", None, said), ("clock_is_not_held_down", None, said)]
    held = vitals.words(bits & 15)
    said = ", ".join(held) or "nothing"
    slow = set(held) - {vitals.UNDERVOLTAGE}
    return [
        ("voltage_is_enough", vitals.UNDERVOLTAGE not in held, said),
        ("clock_is_not_held_down", not slow, said),
    ]


def _of_files(wrong, hidden):
    named = f": {', '.join(wrong[:3])}" if wrong else ""
    ok = False if wrong else None if hidden else True
    return ("files_are_as_written", ok, f"{len(wrong)} differ{named}")


def _of_service(wanted, found):
    state, build = found["state"], found["build"]
    is_active = None if state is None else state == "active"
    said = f"{wanted['unit']} is {state or 'not known to systemd'}"
    yield "service_is_active", is_active, said
    said = f"/health is {'' if found['healthy'] else 'not '}200"
    yield "server_is_healthy", found["healthy"], said
    same = None if build is None else build == wanted["build"]
    said = f"the server tells {build or 'no build'}, planned {wanted['build']}"
    yield "build_is_the_planned_one", same, said


def _of_content(wanted, found):
    model, last = found["model"], found["answer"]
    said = f"verified {(model or 'none')[:12]}, planned {wanted['model_sha256'][:12]}"
    yield "model_is_the_verified_one", model == wanted["model_sha256"], said
    if wanted["helpers"]:
        wrong = _changed(wanted["helpers"], found)
        yield "helpers_are_the_verified_ones", not wrong, "; ".join(wrong) or "all are"
    if wanted["further"]:
        yield _of_further(wanted["further"], found)
    if last is None:
        yield "answer_is_right", None, "not asked yet"
    else:
        yield "answer_is_right", last["right"], f"it said {last['said']!r}"


def _of_further(wanted, found):
    """Judge the models beside the first one: their files, and whether one of all failed."""
    wrong = _changed(wanted, found)
    failed = [f"{name} failed" for name, state in found["models"].items() if state == "failed"]
    ok = not (wrong or failed) if found["models"] or wrong else None
    said = "; ".join([*wrong, *failed]) or (
        "none failed" if found["models"] else "no list of models"
    )
    return "further_models_are_well", ok, said


def _changed(files, found):
    return [
        f"{one['name']} is not as it was verified"
        for one in files
        if found["beside"][one["path"]] != one["sha256"]
    ]


def families(plan, seen, rows, took_s):
    """Return the metrics of what was seen and of the checks."""
    known = {**{name: value is not None for name, value in seen["board"].items()}}
    if seen["server"]:
        known |= {name: seen["server"][name] is not None for name in ("build", "model", "answer")}
    passed = [STATES[ok] for _, ok, _ in rows]
    return [
        _one("bramble_run_timestamp_seconds", "When the node last watched itself.", seen["at_s"]),
        _one("bramble_run_duration_seconds", "How long that took.", took_s),
        _one("bramble_run_interval_seconds", "How often it is to.", plan["interval_s"]),
        _one(
            "bramble_deploy_timestamp_seconds", "When a deploy last changed it.", seen["deploy_s"]
        ),
        (
            "bramble_known",
            "gauge",
            "Whether the node tells a thing at all.",
            [({"of": name}, value) for name, value in known.items()],
        ),
        *_of_board(seen["board"]),
        (
            "bramble_check_success",
            "gauge",
            "Each cheap check: 1 passes, 0 fails; what could not be told is left out.",
            [({"check": name}, ok) for name, ok, _ in rows if ok is not None],
        ),
        (
            "bramble_checks",
            "gauge",
            "How many of the cheap checks pass, fail, and could not be told.",
            [({"status": state}, passed.count(state)) for state in STATES.values()],
        ),
        _one("bramble_planned_files", "Files that it must have.", len(plan["files"])),
        _one("bramble_drift_files", "Files that are not as planned.", len(seen["wrong"])),
        *(_of_the_server(plan["server"], seen["server"]) if seen["server"] else ()),
        *(edge_state.families(plan["edge"], seen["edge"]) if plan["edge"] else ()),
        *(gateway_state.families(plan["gateway"], seen["gateway"]) if plan["gateway"] else ()),
    ]


def _one(name, about, value, /, kind="gauge", **labels):
    return (name, kind, about, [] if value is None else [(labels, value)])


def _of_board(board):
    bits = board["throttled"]
    yield _one("bramble_temperature_celsius", "The processor's.", board["temperature"])
    yield _one("bramble_core_volts", "The processor's voltage.", board["volts"])
    for name, about, shift in (
        ("bramble_throttled_now", "What holds the clock back.", 0),
        ("bramble_throttled_since_boot", "What held it back since the boot.", 16),
    ):
        samples = [] if bits is None else enumerate(CONDITIONS, shift)
        yield name, "gauge", about, [({"condition": c}, bits >> bit & 1) for bit, c in samples]


def _of_the_server(wanted, found):
    memory, last = found["memory"], found["answer"] or {}
    yield _one("bramble_server_up", "Whether /health is 200.", found["healthy"])
    build = {"build": found["build"] or "", "planned": wanted["build"]}
    told = None if found["build"] is None else 1
    yield _one("bramble_server_build_info", "The running build.", told, **build)
    model = {"name": wanted["model_name"], "sha256": found["model"] or ""}
    verified = None if found["model"] is None else 1
    yield _one("bramble_model_info", "The model on the disk.", verified, **model)
    yield (
        "bramble_model_loaded",
        "gauge",
        "Which of several models is loaded.",
        [({"name": name}, state == "loaded") for name, state in found["models"].items()],
    )
    restarts = ("bramble_server_restarts_total", "Restarts by systemd.", found["restarts"])
    yield _one(*restarts, kind="counter")
    yield _one("bramble_server_resident_bytes", "Its pages in memory.", memory.get("VmRSS"))
    yield _one("bramble_server_locked_bytes", "Those that are locked.", memory.get("VmLck"))
    yield _one("bramble_server_planned_bytes", "What was planned.", wanted["planned_bytes"])
    yield _one("bramble_known_answer_success", "Whether it was right.", last.get("right"))
    yield _one(
        "bramble_known_answer_tokens_per_second", "Its speed.", last.get("tokens_per_second")
    )
    yield _one("bramble_known_answer_timestamp_seconds", "When it was asked.", last.get("at_s"))
    for name, passed_on in server_state.PASSED_ON.items():
        kind = "counter" if passed_on.endswith("_total") else "gauge"
        yield passed_on, kind, f"llama-server's {name}.", _of_models(found, name)


def _of_models(found, name):
    """Return one of llama-server's metrics; of several models each has its own."""
    told = {model: one[name] for model, one in found["figures"].items() if name in one}
    return [({"model": model} if found["models"] else {}, value) for model, value in told.items()]


def changed_s(paths):
    """Return when the newest of these files was written; None where none is there."""
    return max((os.stat(path).st_mtime for path in paths if os.path.exists(path)), default=None)


def look(plan, marks, now_s):
    """Return all that is seen of the node now."""
    wrong, hidden = server_state.differing(plan["files"], plan["perhaps"])
    return {
        "at_s": now_s,
        "deploy_s": changed_s(marks),
        "board": board(),
        "wrong": wrong,
        "hidden": hidden,
        "server": server(plan, now_s),
        "edge": edge_state.figures(plan["edge"]["socket"]) if plan["edge"] else None,
        "gateway": gateway(plan["gateway"]),
    }


def gateway(wanted):
    """Return what a gateway tells; None where it tells nothing, or there is none."""
    return wanted and gateway_state.figures(wanted["socket"], wanted["pools"])


def status(plan, now_s, rows):
    """Return the checks for whoever tells people of them."""
    return {
        "host": plan["host"],
        "at_s": now_s,
        "interval_s": plan["interval_s"],
        "checks": [{"check": name, "ok": ok, "said": said} for name, ok, said in rows],
    }


def main(query):
    """Watch once; write what was found, whatever it is."""
    with open(query["plan"], encoding="utf-8") as file:
        plan = json.load(file)
    began, now_s = time.monotonic(), time.time()
    seen = look(plan, (query["plan"], *plan["marks"]), now_s)
    rows = checks(plan, seen)
    found = families(plan, seen, rows, time.monotonic() - began)
    texts = {METRICS: exposition.text(found), STATUS: json.dumps(status(plan, now_s, rows))}
    for name, text in texts.items():
        atomic.write(os.path.join(plan["folder"], name), text, 0o644)
    return 0
