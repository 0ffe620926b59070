"""Record what the pinned llama.cpp takes for each of its architectures; for another pin, run it again.

    python -m tests.shapes.record_memory SOURCE BUILD

SOURCE is llama.cpp's tree, BUILD a folder in which `cmake -DBUILD_SHARED_LIBS=OFF` and `ninja
llama-fit-params` were done. It writes tests/unit/recorded/llama-memory.*.json.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.shapes import fixtures as made
from tests.shapes.published import PUBLISHED

HERE = Path(__file__).parent
RECORDED = HERE.parent / "unit" / "recorded" / "llama-memory.0c1e5709.json"
SMALL = ((512, 128, 1), (8192, 128, 2), (16384, 512, 1))
LARGE = ((2048, 128, 1), (8192, 128, 1), (32768, 512, 1), (8192, 256, 4))
# Fixtures are small: these of their widths would not be the published model's.
OF_FIXTURE = (
    *("attention.sliding_window_pattern", "nextn_predict_layers", "full_attention_interval"),
    *(f"attention.{part}_length{tail}" for part in ("key", "value") for tail in ("", "_swa")),
)
LATENT = tuple(f"attention.{part}_length_mla" for part in ("key", "value"))


def build(source, folder, to):
    """Compile llama_memory.cpp against a built tree."""
    parts = ("include", "src", "common", "ggml/include", "vendor", "tests")
    libraries = (
        *("common/libllama-common.a", "src/libllama.a", "common/libllama-common-base.a"),
        *("vendor/cpp-httplib/libcpp-httplib.a", "ggml/src/libggml.a"),
        *("ggml/src/libggml-cpu.a", "ggml/src/libggml-base.a"),
    )
    there = [str(folder / one) for one in libraries if (folder / one).exists()]
    argv = ["g++", "-std=c++17", "-w", *(f"-I{source / part}" for part in parts)]
    argv += [str(HERE / "llama_memory.cpp"), "-o", str(to)]
    argv += ["-Wl,--start-group", *there, "-Wl,--end-group", "-fopenmp", "-lpthread", "-ldl"]
    subprocess.run(argv, check=True)


def ask(program, metadata, requests):
    """What it takes for each request, or why it does not load the model."""
    argv = [str(word) for request in requests for word in (*request, "f16")]
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(made.header(metadata))
        file.flush()
        done = subprocess.run(
            [program, file.name, *argv],
            capture_output=True,
            text=True,
            env={"GGML_NO_BACKTRACE": "1"},
        )
    rows = [line for line in done.stdout.splitlines() if line != "none"]
    if done.returncode == 0 and len(rows) == len(requests):
        return [[int(number) for number in row.split()] for row in rows]
    said = next((line for line in done.stderr.splitlines() if line.strip()), "nothing")
    return f"exit {done.returncode}: {said.rpartition('vendor/llama.cpp/')[2]}"


def published(fixture, keys):
    """The fixture with a published model's dimensions."""
    arch = fixture["general.architecture"]
    drop = OF_FIXTURE if arch == "deepseek2" else (*OF_FIXTURE, *LATENT)
    found = made.changed(fixture, {key: None for key in drop} | keys)
    layers = keys["block_count"]
    return {
        name: value
        for name, value in found.items()
        if not isinstance(value, dict)
        or name.partition(".")[2] in keys
        or len(next(iter(value.values()))) in (4, layers)
        or ".ple." in name
    }


def kept(metadata):
    """What of the metadata a memory can depend on: whole numbers, and arrays of them."""
    words = (
        *("vocab_size", "context_length", "embedding_length", "feed_forward_length", "block_count"),
        *("attention", "ssm", "kda", "wkv", "token_shift", "shortconv", "ple.", "hyper_connection"),
        *("num_loops", "expert", "full_att", "nextn", "leading"),
    )
    arch = metadata["general.architecture"]
    found = {}
    for name, value in metadata.items():
        key = name.removeprefix(f"{arch}.")
        value = value.get("u32") if isinstance(value, dict) else value
        whole = isinstance(value, int | list) and not isinstance(value, bool)
        if whole and key != name and any(key.startswith(word) for word in words):
            found[key] = value
    return found


def main(source, folder):
    """Ask for everything and write it down."""
    with tempfile.TemporaryDirectory() as there, ThreadPoolExecutor(2) as pool:
        program = Path(there) / "llama_memory"
        build(source, folder, program)
        said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        known = {arch: made.complete(one) for arch, one in made.fixtures(said.splitlines()).items()}
        small = {
            (arch, name): made.varied(one, changes)
            for arch, one in known.items()
            for name, changes in made.variants(one).items()
        }
        large = {key: published(known[key[0]], keys) for key, keys in PUBLISHED.items()}
        answers = dict(
            zip(small, pool.map(lambda one: ask(program, one, SMALL), small.values()), strict=True)
        )
        published_answers = dict(
            zip(large, pool.map(lambda one: ask(program, one, LARGE), large.values()), strict=True)
        )
    write(known, answers, large, published_answers)


def write(known, answers, large, published_answers):
    """A line for each architecture and published model, of their keys what is not as usual."""
    bases = {arch: kept(made.deep(one)) for arch, one in known.items()}
    models = {f"{arch} {name}": kept(large[arch, name]) for arch, name in large}
    usual = usual_of(bases.values())
    by_arch = {}
    for arch, one in known.items():
        rows = {name: answers[arch, name] for name in made.variants(one)}
        caches = {
            name: [row[1] for row in found]
            for name, found in rows.items()
            if not isinstance(found, str)
        }
        deep = caches.get("deep")
        cases = {
            name: "as deep" if found == deep and name != "deep" else found
            for name, found in caches.items()
        }
        keys = {"keys": unusual(usual, bases[arch])}
        by_arch[arch] = keys | ({"cases": cases} if cases else {"fails": rows["deep"]})
    published = {
        name: {"keys": unusual(usual, keys), "rows": published_answers[tuple(name.split(" ", 1))]}
        for name, keys in models.items()
    }
    parts = (f'"usual": {json.dumps(usual)}', lines("architectures", by_arch))
    text = ",\n".join([*parts, lines("published", published)])
    RECORDED.write_text(f"{{{text}}}\n", encoding="utf-8")


def lines(name, entries):
    """An object of JSON with a line for each entry."""
    found = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())
    return f'"{name}": {{\n' + ",\n".join(found) + "\n}"


def usual_of(all_keys):
    """Of each key the value that most architectures have, if they have one."""
    all_keys = [*all_keys]
    found = {}
    for key in {key: None for keys in all_keys for key in keys}:
        values = Counter(json.dumps(keys.get(key)) for keys in all_keys)
        found[key] = json.loads(values.most_common(1)[0][0])
    return {key: value for key, value in found.items() if value is not None}


def unusual(usual, keys):
    """What these keys say otherwise, None for what they do not say; `usual | this` gives them back."""
    said = {key: value for key, value in keys.items() if usual.get(key) != value}
    return said | {key: None for key in usual if key not in keys}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
