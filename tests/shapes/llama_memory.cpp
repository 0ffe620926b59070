// What llama.cpp itself takes for a header, without weights. Without arguments: the fixtures of its own
// tests/test-llama-archs.cpp, a line of JSON each. `FILE (CTX UBATCH SLOTS TYPE)...`: for each request
// the bytes of weights, cache and compute buffer. tests/shapes/record_memory.py builds and asks it.
#define main test_llama_archs
#include "test-llama-archs.cpp"
#undef main
#include "llama-ext.h"

// Every key with its value but for the vocabulary's, a line of JSON for each architecture.
static void print_value(const gguf_context * made, int64_t key) {
    const gguf_type type = gguf_get_kv_type(made, key);
    if (type != GGUF_TYPE_ARRAY) {
        const std::string text = type == GGUF_TYPE_STRING ? gguf_get_val_str(made, key) : "";
        if (type == GGUF_TYPE_STRING)  { printf("\"%s\"", text.c_str()); }
        if (type == GGUF_TYPE_BOOL)    { printf("%s", gguf_get_val_bool(made, key) ? "true" : "false"); }
        if (type == GGUF_TYPE_UINT32)  { printf("%u", gguf_get_val_u32(made, key)); }
        if (type == GGUF_TYPE_FLOAT32) { const float v = gguf_get_val_f32(made, key); printf(v == (int) v ? "%.1f" : "%.9g", v); }
        return;
    }
    const gguf_type of = gguf_get_arr_type(made, key);
    printf("{\"%s\": [", gguf_type_name(of));
    for (size_t i = 0; i < gguf_get_arr_n(made, key); i++) {
        const void * data = gguf_get_arr_data(made, key);
        printf("%s", i ? ", " : "");
        if (of == GGUF_TYPE_UINT32)  { printf("%u", ((const uint32_t *) data)[i]); }
        if (of == GGUF_TYPE_UINT64)  { printf("%llu", (unsigned long long) ((const uint64_t *) data)[i]); }
        if (of == GGUF_TYPE_FLOAT32) { printf("%.1f", ((const float *) data)[i]); }
    }
    printf("]}");
}

static int dump() {
    for (const llm_arch & arch : llm_arch_all()) {
        if (arch == LLM_ARCH_UNKNOWN) { continue; }
        gguf_context_ptr made = get_gguf_ctx(arch, moe_mandatory(arch));
        printf("{");
        for (int64_t key = 0; key < gguf_get_n_kv(made.get()); key++) {
            const std::string name = gguf_get_key(made.get(), key);
            if (name.rfind("tokenizer.", 0) == 0) { continue; }
            printf("%s\"%s\": ", key ? ", " : "", name.c_str());
            print_value(made.get(), key);
        }
        printf("}\n");
    }
    return 0;
}

static void nothing(struct ggml_tensor *, void *) {}

int main(int argc, char ** argv) {
    if (argc == 1) { return dump(); }
    if (argc < 6) { return 2; }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) { fputs(text, stderr); }
    }, nullptr);
    gguf_init_params ip = { true, nullptr };
    gguf_context_ptr meta(gguf_init_from_file(argv[1], ip));
    if (!meta) { return 3; }
    llama_model_params mp = llama_model_default_params();
    std::vector<ggml_backend_dev_t> devs = { nullptr };
    mp.devices = devs.data();
    mp.no_alloc = true;
    llama_model_ptr model(llama_model_init_from_user(meta.get(), nothing, nullptr, mp));
    if (!model) { return 4; }
    for (int i = 2; i + 3 < argc; i += 4) {
        llama_context_params cp = llama_context_default_params();
        cp.n_ctx = atoi(argv[i]);
        cp.n_ubatch = atoi(argv[i + 1]);
        cp.n_seq_max = atoi(argv[i + 2]);
        const std::string type = argv[i + 3];
        cp.type_k = cp.type_v = type == "q8_0" ? GGML_TYPE_Q8_0 : GGML_TYPE_F16;
        cp.kv_unified = false;
        cp.swa_full = false;
        llama_context_ptr ctx(llama_init_from_model(model.get(), cp));
        if (!ctx) { printf("none\n"); continue; }
        size_t m = 0, c = 0, b = 0;
        for (const auto & [buft, mb] : llama_get_memory_breakdown(ctx.get())) { m += mb.model; c += mb.context; b += mb.compute; }
        printf("%zu %zu %zu\n", m, c, b);
    }
    return 0;
}
