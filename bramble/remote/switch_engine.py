"""Make a release of llama.cpp the current one, once it has computed on this node.

A program for another processor starts, prints its version and loads a model, but is killed at its
first computation. So llama-bench runs a tiny model, made here of random weights in the common
quantized types, before the link moves; if that fails, the current release keeps serving. What the
release computes with is read back meanwhile, because options are not always used. Its programs are not
trusted yet: they run as the user that builds.
"""

import json
import os
import random
import re
import signal
import struct
import subprocess
import sys

from bramble.remote import atomic, build_proof, build_user, engine_home

TIMEOUT_S = 500
WIDTH, HEADS, TOKENS = 256, 4, 64

# GGUF's numbers of types: of values, and of tensors with the bytes and the weights of a block.
U32, F32, STRING = 4, 6, 8
TYPES = {"F32": (0, 4, 1), "Q4_0": (2, 18, 32), "Q8_0": (8, 34, 32), "Q4_K": (12, 144, 256)}
# How many of a block's first bytes are scales, which random bytes must not be.
SCALES = {"Q4_0": 1, "Q8_0": 1, "Q4_K": 2}

VALUES = (
    ("general.architecture", STRING, "llama"),
    ("llama.context_length", U32, 128),
    ("llama.embedding_length", U32, WIDTH),
    ("llama.feed_forward_length", U32, WIDTH),
    ("llama.block_count", U32, 1),
    ("llama.attention.head_count", U32, HEADS),
    ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
    ("llama.vocab_size", U32, TOKENS),
    ("tokenizer.ggml.model", STRING, "no_vocab"),
)
TENSORS = (
    ("token_embd.weight", "Q8_0", (WIDTH, TOKENS)),
    ("blk.0.attn_norm.weight", "F32", (WIDTH,)),
    ("blk.0.attn_q.weight", "Q4_0", (WIDTH, WIDTH)),
    ("blk.0.attn_k.weight", "Q8_0", (WIDTH, WIDTH)),
    ("blk.0.attn_v.weight", "Q4_K", (WIDTH, WIDTH)),
    ("blk.0.attn_output.weight", "Q4_0", (WIDTH, WIDTH)),
    ("blk.0.ffn_norm.weight", "F32", (WIDTH,)),
    ("blk.0.ffn_gate.weight", "Q4_0", (WIDTH, WIDTH)),
    ("blk.0.ffn_up.weight", "Q8_0", (WIDTH, WIDTH)),
    ("blk.0.ffn_down.weight", "Q4_K", (WIDTH, WIDTH)),
    ("output_norm.weight", "F32", (WIDTH,)),
    ("output.weight", "Q8_0", (WIDTH, TOKENS)),
)


def string(text):
    """Encode a string as GGUF does."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    """Encode a value with its type."""
    if kind == STRING:
        return struct.pack("<I", kind) + string(content)
    return struct.pack("<I" + ("I" if kind == U32 else "f"), kind, content)


def weights(kind, shape, source):
    """Return a tensor's bytes: ones for norms, else random weights with small scales."""
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    if kind == "F32":
        return struct.pack(f"<{count}f", *[1.0] * count)
    _, size, per_block = TYPES[kind]
    scales = struct.pack("<e", 0.01) * SCALES[kind]
    rest = size - len(scales)
    return b"".join(scales + source.randbytes(rest) for _ in range(count // per_block))


def write_model(path):
    """Write a model of one layer, always the same, whose output means nothing."""
    source, infos, data = random.Random(1), b"", b""
    for name, kind, shape in TENSORS:
        infos += string(name) + struct.pack("<I", len(shape))
        infos += b"".join(struct.pack("<Q", length) for length in shape)
        infos += struct.pack("<IQ", TYPES[kind][0], len(data))
        new = weights(kind, shape, source)
        data += new + bytes(-len(new) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(TENSORS), len(VALUES))
    head += b"".join(string(key) + value(kind, content) for key, kind, content in VALUES) + infos
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + data)


def smoke(release, user=None):
    """Say why the release does not compute here, or None; return llama-bench's messages too."""
    with build_user.scratch() as folder:
        model = os.path.join(folder, "tiny.gguf")
        write_model(model)
        for path, mode in ((model, 0o644), (folder, 0o755)):
            os.chmod(path, mode)
        bench = os.path.join(release, "bin", "llama-bench")
        options = ["-p", "32", "-n", "4", "-r", "1", "-t", "1", "--no-warmup", "-o", "json", "-v"]
        try:
            done = run([bench, "-m", model, *options], TIMEOUT_S, user)
        except subprocess.TimeoutExpired:
            return f"llama-bench did not end within {TIMEOUT_S} s", ""
        except OSError as error:
            return f"llama-bench does not start: {error}", ""
        except subprocess.SubprocessError:
            return f"the kernel does not let it be run as {user}, apart from all else", ""
    return judged(done), done.stderr


def run(argv, timeout_s, user):
    """Run a program in the C locale."""
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        **build_user.options(user, LC_ALL="C"),
    )


def read_back(release, said, user):
    """Return what the release computes with here: its features, and the kernels and buffers in use."""
    server = os.path.join(release, "bin", "llama-server")
    return {
        "system_info": build_proof.system_info([server], user),
        "kleidiai": dict(re.findall(r"^kleidiai: primary (\w+) kernel feature (\w+)", said, re.M)),
        "buffers": sorted(set(re.findall(r"(\w+) model buffer size", said))),
    }


def lacks(record, wants):
    """Return what the plan wants and the release did not show; parts without a report are unknown."""
    return [
        f"{name} in {part}"
        for part, names in wants.items()
        if record[part] is not None
        for name in names
        if name not in record[part]
    ]


def judged(done):
    """Say what is wrong with llama-bench's result; return None where both of its tests computed."""
    if done.returncode == -signal.SIGILL:
        return "llama-bench ended with SIGILL: it was compiled for another processor"
    if done.returncode < 0:
        return f"llama-bench ended with {signal.Signals(-done.returncode).name}"
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"llama-bench ended with exit code {done.returncode}: {words}"
    try:
        speeds = [entry["avg_ts"] for entry in json.loads(done.stdout)]
    except (ValueError, KeyError, TypeError):
        return "llama-bench did not say how fast it was"
    if len(speeds) != 2 or min(speeds) <= 0:
        return f"llama-bench computed nothing: {speeds}"
    return None


def remedy(release, problem):
    """Say what to do where the processor announces instructions that the machine does not run."""
    if "SIGILL" not in problem:
        return ""
    with open(os.path.join(release, engine_home.MANIFEST), encoding="utf-8") as file:
        options = json.load(file)["options"]
    if options.get("GGML_AMX_INT8") != "ON":
        return ""
    return (
        ", or this one names AMX and cannot use it (engine.options: "
        '{GGML_AMX_TILE: "OFF", GGML_AMX_INT8: "OFF"})'
    )


def refusal(path, release, target, wants, user):
    """Say why the link must not move there; return None where it may."""
    if not os.path.isdir(release):
        return f"{target} is not there"
    if os.path.lexists(path) and not os.path.islink(path):
        return f"{path} is not a symbolic link; move it away and run again"
    problem, said = smoke(release, user)
    if problem:
        return f"{target} does not compute on this node: {problem}{remedy(release, problem)}"
    record = read_back(release, said, user)
    missing = lacks(record, wants)
    if missing:
        return (
            f"{target} computes on this node, but not as planned: no {', '.join(missing)} (see "
            f"engine.variant and engine.options); it shows {json.dumps(record, sort_keys=True)}"
        )
    text = json.dumps(record, indent=2, sort_keys=True)
    atomic.write(os.path.join(release, engine_home.SMOKE), text, 0o644)
    return None


def main(query):
    """Point the link `path` to `target` atomically."""
    path, target, user = query["path"], query["target"], query.get("user")
    folder = os.path.dirname(path)
    problem = refusal(path, os.path.join(folder, target), target, query["wants"], user)
    if problem:
        was = f"; {os.readlink(path)} stays current" if os.path.islink(path) else ""
        print(f"{problem}{was}", file=sys.stderr)
        return 1
    if os.path.islink(path) and os.readlink(path) == target:
        return 0
    atomic.link(path, target)
    return 0
