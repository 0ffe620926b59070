"""Projectors for images: their headers, what they take, settings, files, arguments, what is refused."""

import json
from dataclasses import replace

import pytest

from bramble.fit.memory import Request
from bramble.fit.verdict import Room, fit, mib
from bramble.models import gguf
from bramble.models.gguf import GgufError
from bramble.models.lock import Locked, load, write
from bramble.models.projector import COMPARED, Projector, is_projector, projector
from bramble.prepared import Prepared
from bramble.roles.model.settings import Settings as ModelSettings
from bramble.roles.serving.checks import model_fits
from tests.shapes.projectors import RECORDED, all_projectors
from tests.unit.good_node import good_look, node_plan, settings
from tests.unit.looks import with_file
from tests.unit.several import LARGE, LOCK, SMALL
from tests.unit.spoiled import Node

SHAPES = all_projectors()
READ = {name: projector(gguf.read(shape.header())) for name, shape in SHAPES.items()}
MEASURED = json.loads(RECORDED.read_text(encoding="utf-8"))
SEEING = "demo:mmproj_f16"
MODEL = LOCK[LARGE].fit.geometry


def locked(of):
    return Locked(
        repo="example/demo",
        revision="e" * 40,
        file="mmproj.gguf",
        size_bytes=of.file_bytes + 4096,
        sha256="e" * 64,
        projector=of,
    )


ENTRIES = {**LOCK, SEEING: locked(READ["gemma3"])}
PREPARED = Prepared(models=ENTRIES, catalogue={use: None for use in ENTRIES})
USES = {"use": LARGE, "name": None, "url": None, "sha256": None, "projector": SEEING}


def plan(model=None, lock=None, **serving):
    own = {"ubatch_tokens": 256, **serving}
    return node_plan(locked=lock or ENTRIES, model={**USES, **(model or {})}, serving=own)


def amiss(**values):
    found = ModelSettings(**{"use": LARGE, **values}).faults({}, "pi5-a", PREPARED)
    return [str(one) for one in found]


def room_of(mib_for_the_model):
    """A node that has just so much for a model."""
    return next(Room(n) for n in range(256, 4000) if Room(n).available_mib == mib_for_the_model)


# The header


def test_a_header_says_what_it_is():
    header = gguf.read(SHAPES["gemma3"].header())
    assert is_projector(header)
    assert READ["gemma3"] == Projector(
        type="gemma3",
        embedding=1152,
        feed_forward=4304,
        image=896,
        patch=14,
        merged=4,
        file_bytes=sum(tensor.nbytes for tensor in header.tensors),
    )
    assert {one.type for one in READ.values()} == COMPARED
    assert (READ["idefics3"].merged, READ["lfm2"].merged, READ["mlp"].merged) == (4, 2, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clip.has_vision_encoder": False}, "none for images"),
        ({"clip.projector_type": ()}, "none for images"),
        ({"clip.vision.image_size": "wide"}, "clip.vision.image_size is 'wide'"),
        ({"clip.vision.embedding_length": True}, "clip.vision.embedding_length is True"),
    ],
)
def test_a_header_that_says_nothing_of_images_is_refused(changes, said):
    header = gguf.read(SHAPES["gemma3"].header())
    spoiled = replace(header, metadata={**header.metadata, **changes})
    with pytest.raises(GgufError, match=said):
        projector(spoiled)


def test_a_side_of_nothing_is_refused():
    header = gguf.read(SHAPES["gemma3"].header())
    spoiled = replace(header, metadata={**header.metadata, "clip.vision.patch_size": 0})
    with pytest.raises(ValueError, match="patch"):
        projector(spoiled)


# What it takes


@pytest.mark.parametrize("case", MEASURED)
def test_what_an_image_took_is_within_the_bound_and_not_far_below(case):
    """What llama-server's process grew by at its most, or its buffer where that alone is known."""
    name, tokens = case.split()
    most_kib = READ[name].image_bytes(int(tokens)) >> 10
    told = MEASURED[case]
    took_kib = told["more_kib"] or int(told["buffer_mib"] * 1024)
    assert took_kib <= most_kib <= 2 * took_kib + (32 << 10)


def test_each_type_that_is_called_compared_was_measured():
    assert {READ[case.split()[0]].type for case in MEASURED} == COMPARED


def test_images_of_any_size_take_by_their_tokens_and_others_by_their_own_size():
    qwen, gemma = READ["qwen2-vl"], READ["gemma3"]
    assert qwen.image_bytes(400) > 2 * qwen.image_bytes(64)
    assert gemma.image_bytes(400) == gemma.image_bytes(64)
    assert (gemma.tokens(4096), qwen.tokens(400)) == (256, 400)
    strange = gemma.model_copy(update={"type": "new"})
    assert strange.image_bytes(16) == gemma.image_bytes(16) < strange.image_bytes(4096)


def test_it_is_counted_as_the_most_that_it_may_take():
    request = Request(ctx=512, projector=READ["gemma3"])
    alone, seeing = fit(MODEL, Room(4000), Request(ctx=512)), fit(MODEL, Room(4000), request)
    assert seeing.weights_mib - alone.weights_mib == mib(READ["gemma3"].file_bytes)
    assert seeing.compute_mib - alone.compute_mib == mib(READ["gemma3"].image_bytes(512))
    assert seeing.kv_mib == alone.kv_mib
    assert (alone.doubt, seeing.verdict) == ("", "yes")
    assert "computing an image is counted as" in seeing.doubt
    assert "takes with its projector at most" in seeing.sentence


def test_where_only_the_image_may_not_fit_nobody_can_tell():
    request = Request(ctx=512, projector=READ["gemma3"])
    total = fit(MODEL, Room(4000), request).total_mib
    assert fit(MODEL, room_of(total - 1), request).verdict == "unknown"
    assert fit(MODEL, room_of(60), request).verdict == "no"


def test_a_type_that_nobody_measured_is_never_a_plain_yes():
    strange = READ["gemma3"].model_copy(update={"type": "new"})
    assert fit(MODEL, Room(8000), Request(ctx=512, projector=strange)).verdict == "tight"


# Lock, settings, plan


def test_the_lock_keeps_what_the_header_says(tmp_path):
    write(tmp_path, ENTRIES)
    assert load(tmp_path)[SEEING].projector == READ["gemma3"]
    assert load(tmp_path)[SEEING].fit is None


def test_it_is_fetched_and_kept_as_the_model_is_and_served_to_nobody_by_a_name():
    found = plan()
    serving, model = found.roles["serving"], found.roles["model"]
    assert serving.projector_path == f"{model.folder}/demo-mmproj_f16-{'e' * 12}.gguf"
    assert serving.projector_path in model.outputs.housekeeping["planned"]
    assert [*serving.models] == ["demo-f16"]
    argv = serving.argv
    at = argv.index(f"--mmproj {serving.projector_path}")
    assert argv[at + 1 : at + 4] == (
        "--image-max-tokens 512",
        "--mtmd-batch-max-tokens 1",
        "--no-warmup",
    )
    assert serving.fit.answer.verdict == "yes"


def test_without_what_its_header_says_nobody_says_that_it_fits():
    entry = ENTRIES[SEEING].model_copy(update={"projector": None})
    found = plan(lock={**ENTRIES, SEEING: entry})
    assert found.roles["serving"].fit is None
    assert found.roles["model"].warnings()[0].startswith(f"model.projector: whether {SEEING} fits")


def test_the_file_counts_where_its_header_was_not_read():
    entry = ENTRIES[SEEING].model_copy(update={"projector": None})
    found = plan(lock={**ENTRIES, SEEING: entry})
    serving, look = found.roles["serving"], good_look(found)
    path = serving.projector_path

    def judged(file):
        return model_fits(serving, Node(with_file(look, path, file), plan=found)).status

    small = look.file(path)
    assert judged(small) == "pass"
    assert judged(replace(small, size_bytes=16 << 30)) == "fail"
    assert judged(None) == "skip"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"projector": SMALL}, f"projector: {SMALL} is a model, and no projector for images"),
        ({"use": SEEING}, f"use: {SEEING} is a projector for images, and no model"),
        ({"draft": SEEING}, f"draft: {SEEING} is a projector for images, and no model"),
        ({"also": [SEEING]}, f"also: {SEEING} is a projector for images, and no model"),
        ({"also": [SMALL], "projector": SEEING}, "projector: it helps one model"),
        ({"projector": "nothing:q8_0"}, "projector: no nothing:q8_0 in models.yml"),
    ],
)
def test_a_file_of_another_kind_is_refused(values, said):
    found = amiss(**values)
    assert any(one.startswith(said) for one in found), found


def faults(projector, **serving):
    sections = settings(model={**USES, "projector": projector}, serving=serving)
    return [str(one) for one in sections["serving"].faults(sections, "pi5-a", PREPARED)]


def test_tokens_that_see_each_other_must_be_computed_at_once():
    (said,) = faults(SEEING, ubatch_tokens=128)
    assert "ubatch_tokens: it is 128, and an image is 256 tokens that see each other" in said
    assert faults(SEEING, ubatch_tokens=256) == []
    assert faults("nothing:q8_0") == []
