"""The models' folder is on the SSD where one can be used, and what is served follows it there."""

from dataclasses import replace

import pytest

from bramble import registry
from bramble.snapshot import Unknown
from bramble.steps import Step
from bramble.system.parse import Mount
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import FOLDER, link, with_file
from tests.unit.roles.serving.good import with_process

PLAN = node_plan()
GOOD = good_look(PLAN)
MODEL = PLAN.roles["model"]
PLACE = MODEL.folder
CARD = f"{PLACE}.card"
ON_CARD = with_file(GOOD, PLACE, FOLDER)


def steps(role, look, plan=PLAN, way="steps"):
    """A role's steps by name."""
    found = registry.role(role)
    made = getattr(found, way)(plan.roles[role], plan, look)
    return {step.name: step for step in made}


def place(look, plan=PLAN) -> Step:
    return steps("model", look, plan)["Choose the models' disk"]


def unmounted(look, mount="/mnt/ssd"):
    return replace(look, mounts=tuple(m for m in look.mounts if m.target != mount))


def test_models_of_the_card_go_to_an_ssd_that_is_mounted():
    step = place(ON_CARD)
    assert (step.program, step.query["what"]) == ("place_models", "bring")
    assert (step.query["to"], step.query["left"]) == ("/mnt/ssd/bramble/models", CARD)
    assert step.look_again
    assert place(with_file(GOOD, PLACE, None)).query["what"] == "bring"


def test_what_is_on_the_ssd_stays_there_and_a_link_of_a_person_is_his():
    assert place(GOOD).why is None
    assert place(with_file(GOOD, PLACE, link("/srv/of-mine"))).why is None


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (unmounted(ON_CARD), "no SSD is mounted at /mnt/ssd"),
        (with_file(ON_CARD, "/mnt/ssd", replace(FOLDER, owner="pi")), "is 0755 of pi"),
        (with_file(ON_CARD, "/mnt/ssd", replace(FOLDER, mode=0o777)), "sudo chmod 0755 /mnt/ssd"),
        (with_file(ON_CARD, "/mnt/ssd", Unknown("no")), "no"),
        (replace(ON_CARD, free_bytes={"/mnt/ssd": 10**9}), "has 953 MiB free, and the models take"),
    ],
)
def test_an_ssd_that_cannot_be_used_leaves_them_on_the_card_and_it_is_said_why(look, why):
    step = place(look)
    assert step.why is None
    assert why in step.note


@pytest.mark.parametrize(
    "look", [replace(ON_CARD, mounts=Unknown("no")), replace(GOOD, files=Unknown("no"))]
)
def test_a_node_that_does_not_tell_is_left_as_it_is(look):
    assert place(look).why is None


def test_a_folder_that_the_inventory_names_is_taken_as_it_is():
    for folder in ("/srv/models", "/var/lib/bramble/models"):
        plan = node_plan(model={"folder": folder})
        look = with_file(good_look(plan), folder, FOLDER)
        assert place(look, plan).why is None
        assert plan.roles["model"].path.startswith(f"{folder}/")
        assert "mnt-ssd.mount" not in plan.roles["serving"].files[1].text


def test_without_an_ssd_in_the_inventory_they_are_on_the_card():
    plan = node_plan(storage={"ssd": {"device": "off"}, "log2ram": "off"})
    assert place(with_file(good_look(plan), PLACE, FOLDER), plan).why is None
    assert "mnt-ssd.mount" not in plan.roles["serving"].files[1].text


def test_a_model_that_another_user_owns_is_taken_over():
    file = replace(GOOD.file(MODEL.path), owner="llama")
    step = steps("model", with_file(GOOD, MODEL.path, file))["Fetch the model"]
    assert "belongs to llama, who may change it" in step.why


def test_an_ssd_that_is_gone_has_the_card_used_again():
    step = place(unmounted(GOOD))
    assert step.query["what"] == "back"
    assert "an SSD that is not mounted at /mnt/ssd; the card is used again" in step.why


def test_an_ssd_that_is_mounted_elsewhere_now_is_followed_there():
    step = place(with_file(GOOD, PLACE, link("/srv/old/bramble/models")))
    assert step.query["what"] == "bring"
    assert step.why == "the models are on an SSD that is not mounted at /srv/old, but at /mnt/ssd"


def test_taking_the_role_back_has_the_folder_on_the_card():
    (step,) = steps("model", GOOD, way="revert").values()
    assert step.query["what"] == "back"
    for look in (ON_CARD, with_file(GOOD, PLACE, link("/srv/of-mine"))):
        (step,) = steps("model", look, way="revert").values()
        assert step.why is None


def test_what_storage_gives_back_is_taken_from_model_and_service_first():
    assert registry.dependents("storage") == ("serving", "model", "memory")


def test_the_unit_waits_for_the_ssd_and_does_not_depend_on_it():
    text = PLAN.roles["serving"].files[1].text
    assert "After=network-online.target mnt-ssd.mount\n" in text
    assert "RequiresMountsFor=/var/lib/bramble/models\n" in text


def test_a_process_that_has_the_card_s_model_is_restarted_and_then_the_card_is_cleared():
    moved = with_file(GOOD, CARD, FOLDER)
    file = MODEL.path.rpartition("/")[2]
    found = steps("serving", with_process(moved, models=(f"{CARD}/{file}",)))
    assert "the model from the card still" in found["Run the service"].why
    assert list(found).index("Remove the models from the card") > list(found).index(
        "Run the service"
    )
    assert found["Remove the models from the card"].query["what"] == "clear"
    found = steps("serving", with_process(moved, models=(f"/mnt/ssd/bramble/models/{file}",)))
    assert found["Run the service"].why is None


def test_builds_work_on_the_ssd_too_and_the_card_s_folders_go():
    release = with_file(GOOD, f"{PLAN.roles['engine'].folder}/manifest.json", None)
    query = steps("engine", release)["Install llama.cpp"].query
    assert query["work"] == "/mnt/ssd/bramble/work"
    assert query["ccache"] == "/mnt/ssd/bramble/ccache"
    assert query["old"] == ["/opt/bramble/engine/work", "/var/cache/bramble/ccache"]
    caches = Mount("/var/cache/bramble/ccache", "ext4", "/dev/sdb", ("rw",))
    query = steps("engine", replace(release, mounts=(*release.mounts, caches)))[
        "Install llama.cpp"
    ].query
    assert (query["ccache"], query["old"]) == (caches.target, ["/opt/bramble/engine/work"])
    query = steps("engine", unmounted(release))["Install llama.cpp"].query
    assert query["work"] == "/opt/bramble/engine/work"
    assert query["ccache"] == "/var/cache/bramble/ccache"
    assert "old" not in query
