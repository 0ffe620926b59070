"""Dimensions like those of published models, by architecture, without weights.

They are laid over the fixture that upstream's tests/test-llama-archs.cpp has for the architecture, which
knows what else its loader wants.
"""


def plain(layers, embd, ff, heads, kv, vocab, ctx=32768, **more):
    """The keys that every architecture has; of the others, `__` stands for a dot."""
    return {
        "block_count": layers,
        "embedding_length": embd,
        "feed_forward_length": ff,
        "attention.head_count": heads,
        "attention.head_count_kv": kv,
        "vocab_size": vocab,
        "context_length": ctx,
        **{key.replace("__", "."): value for key, value in more.items()},
    }


def dense(layers, embd, ff, heads, kv, vocab, head, ctx=131072, **more):
    """The same with a width of the heads."""
    widths = {"attention__key_length": head, "attention__value_length": head}
    return plain(
        *(layers, embd, ff, heads, kv, vocab, ctx),
        **{**widths, "rope__dimension_count": head, **more},
    )


def moe(experts, used, ff, shared=None, **more):
    """A mixture of experts."""
    keys = {"expert_count": experts, "expert_used_count": used, "expert_feed_forward_length": ff}
    return keys | ({"expert_shared_feed_forward_length": shared} if shared else {}) | more


def all_but_one_in(every, layers):
    """A yes or no for each layer."""
    return {"u32": [int((i + 1) % every != 0) for i in range(layers)]}


def where(layers, total, value):
    """This value in the layers that are named, 0 in the others."""
    return {"u32": [value if i in layers else 0 for i in range(total)]}


# One model a paragraph, and not one key a line.
# fmt: off
PUBLISHED = {
    ("gemma4", "e2b"): dense(35, 1536, 6144, 8, 1, 262144, 512, attention__key_length_swa=256,
        attention__value_length_swa=256, attention__sliding_window=512,
        attention__sliding_window_pattern=all_but_one_in(5, 35), attention__shared_kv_layers=20,
        embedding_length_per_layer_input=256),
    ("gemma4", "31b"): dense(60, 5376, 21504, 32, 16, 262144, 512, attention__key_length_swa=256,
        attention__value_length_swa=256, attention__sliding_window=1024,
        attention__sliding_window_pattern=all_but_one_in(6, 60), attention__shared_kv_layers=0,
        embedding_length_per_layer_input=0),
    ("gemma4", "12b"): dense(48, 3840, 15360, 16, {"u32": [1 if (i + 1) % 6 == 0 else 8 for
        i in range(48)]}, 262144, 512, attention__key_length_swa=256,
        attention__value_length_swa=256, attention__sliding_window=1024,
        attention__sliding_window_pattern=all_but_one_in(6, 48), attention__shared_kv_layers=0,
        embedding_length_per_layer_input=0),
    ("gemma3n", "e2b"): dense(30, 2048, 8192, 8, 2, 262144, 256, 32768,
        attention__sliding_window=512, attention__sliding_window_pattern=all_but_one_in(5, 30),
        embedding_length_per_layer_input=256),
    ("gpt-oss", "20b"): dense(24, 2880, 2880, 64, 8, 201088, 64, attention__sliding_window=128,
        attention__sliding_window_pattern=2, **moe(32, 4, 2880)),
    ("granitehybrid", "4.0-h-tiny"): plain(40, 1536, 512, 12, where((5, 15, 25, 35), 40, 4), 100352,
        131072, ssm__conv_kernel=4, ssm__state_size=128, ssm__group_count=1, ssm__inner_size=3072,
        ssm__time_step_rank=48, rope__dimension_count=128, **moe(64, 6, 512, 1024)),
    ("granitehybrid", "4.0-h-350m"): plain(32, 768, 2048, 12, where((10, 13, 17, 27), 32, 4),
        100352, 32768, ssm__conv_kernel=4, ssm__state_size=128, ssm__group_count=1,
        ssm__inner_size=1536, ssm__time_step_rank=48, rope__dimension_count=64),
    ("falcon-h1", "1.5b"): dense(24, 2048, 4096, 8, 2, 65537, 128, ssm__conv_kernel=4,
        ssm__state_size=256, ssm__group_count=1, ssm__inner_size=3072, ssm__time_step_rank=48),
    ("falcon-h1", "0.5b"): dense(36, 1024, 2048, 8, 2, 32784, 64, ssm__conv_kernel=4,
        ssm__state_size=128, ssm__group_count=1, ssm__inner_size=1536, ssm__time_step_rank=24),
    ("nemotron_h", "8b"): { **plain(52, 4096, 0, 32, 8, 131072, 8192, attention__key_length=128,
        attention__value_length=128, rope__dimension_count=128, ssm__conv_kernel=4,
        ssm__state_size=128, ssm__group_count=8, ssm__inner_size=8192, ssm__time_step_rank=128),
        "feed_forward_length": where(range(1, 52, 2), 52, 21504), "attention.head_count_kv":
        where((14, 24, 34, 44), 52, 8), },
    ("lfm2moe", "8b-a1b"): plain(24, 2048, 7168, 32, where((2, 6, 10, 14, 18, 21), 24, 8), 65536,
        128000, shortconv__l_cache=3, leading_dense_block_count=2, **moe(32, 4, 1792)),
    ("qwen3next", "80b"): dense(48, 2048, 5120, 16, 2, 151936, 256, full_attention_interval=4,
        ssm__conv_kernel=4, ssm__state_size=128, ssm__group_count=16, ssm__inner_size=4096,
        ssm__time_step_rank=32, **moe(512, 10, 512, 512)),
    ("qwen35moe", "35b-a3b"): dense(40, 2048, 5120, 16, 2, 248320, 256, full_attention_interval=4,
        ssm__conv_kernel=4, ssm__state_size=128, ssm__group_count=16, ssm__inner_size=4096,
        ssm__time_step_rank=32, rope__dimension_sections={"u32": [11, 11, 10, 0]}, **moe(256, 8,
        512, 512)),
    ("smollm3", "3b"): dense(36, 2048, 11008, 16, 4, 128256, 128),
    ("mamba", "2.8b"): plain(64, 2560, 0, 0, 0, 50280, 1048576, ssm__conv_kernel=4,
        ssm__state_size=16, ssm__inner_size=5120, ssm__time_step_rank=160),
    ("mamba2", "2.7b"): plain(64, 2560, 0, 0, 0, 50288, 1048576, ssm__conv_kernel=4,
        ssm__state_size=128, ssm__group_count=1, ssm__inner_size=5120, ssm__time_step_rank=80),
    ("rwkv7", "2.9b"): plain(32, 2560, 10240, 0, 0, 65536, 1048576, wkv__head_size=64,
        attention__decay_lora_rank=96, attention__iclr_lora_rank=96,
        attention__value_residual_mix_lora_rank=64, attention__gate_lora_rank=320),
    ("rwkv6", "3b"): plain(32, 2560, 8960, 0, 0, 65536, 1048576, wkv__head_size=64,
        time_mix_extra_dim=32, time_decay_extra_dim=64),
    ("jamba", "mini-3b"): plain(28, 2560, 8192, 20, where((6, 20), 28, 1), 65536, 262144,
        ssm__conv_kernel=4, ssm__state_size=16, ssm__inner_size=5120, ssm__time_step_rank=160),
    ("deepseek2", "v2-lite"): plain(27, 2048, 10944, 16, 1, 102400, 163840,
        attention__kv_lora_rank=512, attention__key_length=576, attention__value_length=512,
        attention__key_length_mla=192, attention__value_length_mla=128, rope__dimension_count=64,
        leading_dense_block_count=1, expert_shared_count=2, **moe(64, 6, 1408)),
    ("deepseek2", "v2-lite, no mla"): plain(27, 2048, 10944, 16, 16, 102400, 163840,
        attention__kv_lora_rank=512, attention__key_length=192, attention__value_length=128,
        attention__key_length_mla=0, attention__value_length_mla=0, rope__dimension_count=64,
        leading_dense_block_count=1, expert_shared_count=2, **moe(64, 6, 1408)),
    ("deepseek", "moe-16b"): dense(28, 2048, 10944, 16, 16, 102400, 128, 4096,
        leading_dense_block_count=1, expert_shared_count=2, **moe(64, 6, 1408)),
    ("glm4moe", "air"): dense(46, 4096, 10944, 96, 8, 151552, 128, leading_dense_block_count=1,
        expert_shared_count=1, **moe(128, 8, 1408)),
    ("ernie4_5", "0.3b"): dense(18, 1024, 3072, 16, 2, 103424, 128),
    ("ernie4_5-moe", "21b-a3b"): dense(28, 2560, 12288, 20, 4, 103424, 128,
        leading_dense_block_count=1, interleave_moe_layer_step=1, **moe(64, 6, 1536, 3072)),
    ("hunyuan-dense", "1.8b"): dense(32, 2048, 6144, 16, 4, 120818, 128),
    ("hunyuan-moe", "a13b"): dense(32, 4096, 3072, 32, 8, 128167, 128, **moe(64, 8, 3072, 3072)),
    ("exaone4", "1.2b"): dense(30, 2048, 4096, 32, 8, 102400, 64),
    ("exaone", "2.4b"): dense(30, 2560, 7168, 32, 8, 102400, 80),
    ("olmo2", "7b"): dense(32, 4096, 11008, 32, 32, 100352, 128, 4096),
    ("olmo", "1b"): dense(16, 2048, 8192, 16, 16, 50304, 128, 2048),
    ("granite", "3.3-2b"): dense(40, 2048, 8192, 32, 8, 49155, 64),
    ("granitemoe", "3.1-3b-a800m"): dense(32, 1536, 512, 24, 8, 49155, 64, **moe(40, 8, 512)),
    ("cohere2", "r7b"): dense(32, 4096, 14336, 32, 8, 256000, 128, attention__sliding_window=4096),
    ("command-r", "c4ai"): dense(40, 8192, 22528, 64, 8, 256000, 128),
    ("minicpm3", "4b"): plain(62, 2560, 6400, 40, 40, 73448, 32768, attention__q_lora_rank=768,
        attention__kv_lora_rank=256, attention__key_length=96, attention__value_length=64,
        rope__dimension_count=32),
    ("minicpm", "2b"): dense(40, 2304, 5760, 36, 36, 122753, 64, 4096),
    ("plamo2", "2b"): plain(32, 2048, 8192, 16, where(range(1, 32, 2), 32, 1), 100000, 131072,
        attention__key_length=128, attention__value_length=128, ssm__conv_kernel=4,
        ssm__state_size=64, ssm__group_count=0, ssm__inner_size=4096, ssm__time_step_rank=64),
    ("mistral3", "ministral-3b"): dense(26, 3072, 9216, 32, 8, 131072, 128),
    ("qwen3vl", "4b"): dense(36, 2560, 9728, 32, 8, 151936, 128, n_deepstack_layers=3,
        rope__dimension_sections={"u32": [24, 20, 20, 0]}),
    ("qwen3vlmoe", "30b-a3b"): dense(48, 2048, 6144, 32, 4, 151936, 128, n_deepstack_layers=3,
        rope__dimension_sections={"u32": [24, 20, 20, 0]}, **moe(128, 8, 768)),
    ("qwen2vl", "2b"): dense(28, 1536, 8960, 12, 2, 151936, 128, rope__dimension_sections={"u32":
        [16, 24, 24, 0]}),
    ("qwen2moe", "1.5-2.7b"): dense(24, 2048, 5632, 16, 16, 151936, 128, 32768, **moe(60, 4, 1408,
        5632)),
    ("qwen", "1.8b"): dense(24, 2048, 11008, 16, 16, 151936, 128, 8192),
    ("bitnet", "2b-4t"): dense(30, 2560, 6912, 20, 5, 128256, 128, 4096),
    ("arcee", "4.5b"): dense(36, 2560, 18432, 20, 4, 128003, 128),
    ("smallthinker", "4b-a0.6b"): dense(32, 1536, 768, 12, 2, 151936, 128, 32768,
        attention__sliding_window=0, **moe(32, 4, 768)),
    ("smallthinker", "21b-a3b"): dense(52, 2560, 768, 28, 4, 151936, 128, 16384,
        attention__sliding_window=4096, **moe(64, 6, 768)),
    ("gemma", "2b"): dense(18, 2048, 16384, 8, 1, 256000, 256, 8192),
    ("phi2", "2.7b"): dense(32, 2560, 10240, 32, 32, 51200, 80, 2048),
    ("phimoe", "mini"): dense(32, 2048, 960, 16, 4, 32064, 128, 4096, **moe(16, 2, 960)),
    ("stablelm", "zephyr-3b"): dense(32, 2560, 6912, 32, 32, 50304, 80, 4096),
    ("starcoder2", "3b"): dense(30, 3072, 12288, 24, 2, 49152, 128, 16384),
    ("gpt2", "124m"): dense(12, 768, 3072, 12, 12, 50257, 64, 1024),
    ("gptneox", "pythia-1b"): dense(16, 2048, 8192, 8, 8, 50304, 256, 2048),
    ("falcon", "7b"): dense(32, 4544, 18176, 71, 1, 65024, 64, 2048),
    ("bloom", "1b7"): dense(24, 2048, 8192, 16, 16, 250880, 128, 2048),
    ("mpt", "7b"): dense(32, 4096, 16384, 32, 32, 50432, 128, 2048),
    ("internlm2", "1.8b"): dense(24, 2048, 8192, 16, 8, 92544, 128),
    ("chatglm", "6b"): dense(28, 4096, 13696, 32, 2, 65024, 128, 8192),
    ("glm4", "9b"): dense(40, 4096, 13696, 32, 2, 151552, 128),
    ("nemotron", "mini-4b"): dense(32, 3072, 9216, 24, 8, 256000, 128, 4096),
    ("llama4", "scout"): dense(48, 5120, 16384, 40, 8, 202048, 128, attention__sliding_window=8192,
        interleave_moe_layer_step=1, **moe(16, 1, 8192)),
    ("dots1", "142b"): dense(62, 4096, 10944, 32, 32, 152064, 128, leading_dense_block_count=1,
        expert_shared_count=2, **moe(128, 6, 1408)),
    ("bailingmoe2", "ling-mini"): dense(20, 2048, 5120, 16, 4, 157184, 128,
        leading_dense_block_count=1, expert_shared_count=1, **moe(256, 8, 512, 512)),
    ("bailingmoe", "ling-lite"): dense(28, 2048, 5632, 16, 4, 126464, 128,
        leading_dense_block_count=0, expert_shared_count=2, **moe(64, 6, 1408)),
    ("seed_oss", "36b"): dense(64, 5120, 27648, 80, 8, 155136, 128),
    ("apertus", "8b"): dense(32, 4096, 21504, 32, 8, 131072, 128),
    ("maincoder", "1b"): dense(32, 1536, 4096, 16, 4, 151936, 96),
    ("pangu-embedded", "1b"): dense(26, 1536, 6144, 12, 6, 153376, 128),
    ("baichuan", "7b"): dense(32, 4096, 11008, 32, 32, 64000, 128, 4096),
    ("xverse", "7b"): dense(32, 4096, 11008, 32, 32, 100278, 128, 8192),
    ("orion", "14b"): dense(40, 5120, 15360, 40, 40, 84608, 128, 4096),
    ("codeshell", "7b"): dense(42, 4096, 16384, 32, 8, 70144, 128, 8192),
    ("starcoder", "1b"): dense(24, 2048, 8192, 16, 1, 49152, 128, 8192),
    ("refact", "1.6b"): dense(32, 2048, 5632, 32, 1, 49216, 64, 4096),
    ("exaone-moe", "236b"): dense(48, 6144, 18432, 64, 8, 153600, 128,
        attention__sliding_window=128, leading_dense_block_count=1, expert_shared_count=1,
        **moe(128, 8, 2048, 2048)),
    ("afmoe", "trinity-nano"): dense(56, 1024, 3072, 8, 2, 200192, 128,
        attention__sliding_window=2048, leading_dense_block_count=2, expert_shared_count=1,
        **moe(128, 8, 256)),
    ("grovemoe", "33b"): dense(48, 2048, 6144, 32, 4, 151936, 128,
        expert_chunk_feed_forward_length=128, **moe(128, 8, 768)),
    ("mimo2", "309b"): dense(48, 4096, 16384, 64, 8, 152576, 192, attention__sliding_window=128,
        attention__sliding_window_pattern=all_but_one_in(6, 48), **moe(256, 8, 2048)),
    ("paddleocr", "0.9b"): dense(18, 1024, 3072, 16, 2, 103424, 128),
    ("mellum", "2-12b"): dense(28, 2304, 896, 32, 4, 98304, 128, attention__sliding_window=1024,
        **moe(64, 8, 896)),
    ("laguna", "xs"): dense(40, 2048, 8192, 48, 8, 100352, 128, attention__sliding_window=512,
        attention__sliding_window_pattern=4, leading_dense_block_count=1, **moe(256, 8, 512, 512)),
    ("minimax-m2", "230b"): dense(62, 3072, 1536, 48, 8, 200064, 128, **moe(256, 8, 1536)),
}
# fmt: on
