"""Record what the pinned llama-server takes for projectors; for another pin, run it again.

    python -m tests.shapes.projectors LLAMA_SERVER

The projectors have the widths of published ones, two layers and no weights: what an image takes does not
depend on how many layers compute it. They project to the width of the demo model, which answers nonsense
about an image. It writes tests/unit/recorded/llama-projectors.0c1e5709.json: the compute buffer that the
server tells, and how much more memory it has at its most, by /proc, while it computes an image. Of types
whose tokens the demo model does not know there is the buffer of the warm-up alone.
"""

import base64
import json
import re
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from tests.shapes.writer import Shape

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "unit" / "recorded" / "llama-projectors.0c1e5709.json"
MODEL = ROOT / "models" / "bramble-demo-f16.gguf"
WIDTH, PORT = 256, 9911
SIZE = (1200, 900)


class Builder:
    """A projector in the making."""

    def __init__(self, name, kind, width, inner, heads, image, patch, layers=2, **more):
        self.shape, self.width, self.inner, self.layers = Shape(name), width, inner, layers
        own = {
            "embedding_length": width,
            "feed_forward_length": inner,
            "attention.head_count": heads,
            "attention.layer_norm_epsilon": 1e-6,
            "block_count": layers,
            "projection_dim": WIDTH,
            "image_size": image,
            "patch_size": patch,
            "image_mean": (0.5, 0.5, 0.5),
            "image_std": (0.5, 0.5, 0.5),
            **more,
        }
        self.shape.metadata = {
            "general.architecture": "clip",
            "clip.has_vision_encoder": True,
            "clip.projector_type": kind,
            "clip.use_gelu": True,
            **{f"clip.vision.{key}": value for key, value in own.items()},
        }
        self.matrix("v.patch_embd.weight", patch, patch, 3, width)

    def matrix(self, name, *shape, kind="F16"):
        self.shape.tensors.append((name, shape, kind))

    def vector(self, *names, length=None):
        for name in names:
            self.matrix(name, length or self.width, kind="F32")

    def both(self, name, *shape):
        self.matrix(f"{name}.weight", *shape)
        self.vector(f"{name}.bias", length=shape[-1])

    def norm(self, name):
        self.vector(f"{name}.weight", f"{name}.bias")

    def blocks(self, gated=False):
        width, inner = self.width, self.inner
        for at in range(self.layers):
            block = f"v.blk.{at}."
            for part in ("q", "k", "v", "out"):
                self.both(f"{block}attn_{part}", width, width)
            for part in ("ln1", "ln2"):
                self.norm(block + part)
            for part in ("ffn_up", "ffn_gate") if gated else ("ffn_up",):
                self.both(block + part, width, inner)
            self.both(f"{block}ffn_down", inner, width)
        self.norm("v.post_ln")
        return self


def siglip(name, kind, width, inner, heads, image, patch, **more):
    made = Builder(name, kind, width, inner, heads, image, patch, **more)
    made.vector("v.patch_embd.bias")
    made.matrix("v.position_embd.weight", width, (image // patch) ** 2, kind="F32")
    return made.blocks()


def gemma3():
    made = siglip("gemma3", "gemma3", 1152, 4304, 16, 896, 14)
    made.matrix("mm.input_projection.weight", WIDTH, 1152, kind="F32")
    made.vector("mm.soft_emb_norm.weight")
    return made.shape


def idefics3():
    more = {"projector.scale_factor": 4, "preproc_image_size": 2048}
    made = siglip("idefics3", "idefics3", 768, 3072, 12, 512, 16, **more)
    made.matrix("mm.model.fc.weight", 768 * 16, WIDTH)
    return made.shape


def lfm2():
    made = siglip("lfm2", "lfm2", 768, 3072, 12, 256, 16, **{"projector.scale_factor": 2})
    made.vector("mm.input_norm.weight", "mm.input_norm.bias", length=768 * 4)
    made.both("mm.1", 768 * 4, 2048)
    made.both("mm.2", 2048, WIDTH)
    return made.shape


def mlp(width=1024, heads=16, image=224):
    made = Builder("mlp", "mlp", width, 4 * width, heads, image, 14, layers=3)
    made.matrix("v.position_embd.weight", width, (image // 14) ** 2 + 1, kind="F32")
    made.vector("v.class_embd")
    made.norm("v.pre_ln")
    made.blocks()
    made.both("mm.0", width, 2 * width)
    made.both("mm.2", 2 * width, WIDTH)
    return made.shape


def qwen(name, kind, inner, gated=False, **more):
    made = Builder(name, kind, 1280, inner, 16, 560, 14, **more)
    made.matrix("v.patch_embd.weight.1", 14, 14, 3, 1280)
    made.blocks(gated)
    made.both("mm.0", 4 * 1280, 4 * 1280)
    made.both("mm.2", 4 * 1280, WIDTH)
    return made.shape


def all_projectors():
    """Each projector by its name."""
    made = (
        gemma3(),
        idefics3(),
        lfm2(),
        mlp(),
        qwen("qwen2-vl", "qwen2vl_merger", 5120),
        qwen("qwen2.5-vl", "qwen2.5vl_merger", 3420, gated=True, n_wa_pattern=2),
    )
    return {shape.name: shape for shape in made}


# The largest images by their tokens, where a type takes any size; and those that are computed.
CASES = [
    *(("gemma3", 512, True), ("mlp", 512, True), ("idefics3", 512, False), ("lfm2", 256, False)),
    *(("qwen2-vl", 64, True), ("qwen2-vl", 400, True), ("qwen2.5-vl", 400, True)),
    # As many as the warm-up of its type computes: there its mask is half of all.
    ("qwen2.5-vl", 2116, False),
]


def picture(width, height):
    """A PNG of that size."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    row = b"\0" + bytes(range(256)) * (3 * width // 256 + 1)
    pixels = row[: 3 * width + 1] * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def ask(content):
    body = json.dumps({"messages": [{"role": "user", "content": content}], "max_tokens": 2})
    url = f"http://127.0.0.1:{PORT}/v1/chat/completions"
    head = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url, body.encode(), head), timeout=600
    ) as answer:
        return json.loads(answer.read())["usage"]["prompt_tokens"]


def status(pid, key):
    """A figure of a process, in KiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M)[1])


def measure(program, shape, tokens, computed):
    with tempfile.TemporaryDirectory() as folder:
        file = shape.write(Path(folder))
        log = Path(folder, "log")
        argv = [program, "--model", str(MODEL), "--mmproj", str(file), "--port", str(PORT)]
        argv += ["--ctx-size", "512", "--parallel", "1", "--threads", "1", "--fit", "off"]
        argv += ["--offline", "--no-ui", "--cache-ram", "0"]
        argv += ["--batch-size", "512", "--ubatch-size", "512"]
        argv += ["--image-max-tokens", str(tokens), "--mtmd-batch-max-tokens", "1"]
        argv += ["--verbosity", "4", *(["--no-warmup"] if computed else [])]
        with (
            log.open("w") as output,
            subprocess.Popen(argv, stdout=output, stderr=output) as server,
        ):
            try:
                wait(server)
                more = peak(server.pid) if computed else None
            finally:
                server.terminate()
        found = re.findall(
            r"reserve_compute_meta: .* compute buffer size = +([\d.]+) MiB", log.read_text()
        )
        return {"buffer_mib": max(map(float, found)), "more_kib": more}


def wait(server):
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health").close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise SystemExit("llama-server ended")


def peak(pid):
    """How much more it has at its most while it computes an image, in KiB."""
    ask("What is 2+2? " * 20)
    before = status(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    url = f"data:image/png;base64,{base64.b64encode(picture(*SIZE)).decode()}"
    ask([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}])
    return status(pid, "VmHWM") - before


def main(program):
    made = all_projectors()
    found = {}
    for name, tokens, computed in CASES:
        found[f"{name} {tokens}"] = measure(program, made[name], tokens, computed)
        print(name, tokens, found[f"{name} {tokens}"], flush=True)
    RECORDED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
