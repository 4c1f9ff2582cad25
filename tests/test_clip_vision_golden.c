/* test_clip_vision_golden.c - CLIP's vision tower against transformers' (quick GELU) and Wan's own
 * (exact GELU), under the three namings; and how a picture is brought to it.
 *
 * Wanted: relative error <= 3e-5. Both are f32; only the order of the sums differs.
 */
#include <math.h>
#include <unistd.h>

#include "base/str.h"
#include "golden.h"
#include "models/clip_vision.h"

#define TOLERANCE 3e-5
#define MOST      128

static char dir[64];

static void write_text(const char *name, const char *text)
{
    tb_err err = TB_ERR_INIT;
    if (!*dir) {
        snprintf(dir, sizeof dir, "/tmp/tubelet-test-XXXXXX");
        REQUIRE(mkdtemp(dir));
    }
    char *path = tb_fs_join(dir, name);
    CHECK_OK(tb_fs_write(path, text, strlen(text), false, &err));
    free(path);
}

static void remove_dir(void)
{
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
    if (*dir)
        CHECK_INT(system(cmd), 0);
    *dir = 0;
}

/* ---------------------------------------------------------------- a golden file's weights, renamed
 */

typedef enum naming { AS_IT_IS, OPENCLIP, HUGGING_FACE } naming;

/* Of Wan's names. */
static const char *const renames[][3] = {
    { "visual.cls_embedding", "visual.class_embedding", "vision_model.embeddings.class_embedding" },
    { "visual.pos_embedding", "visual.positional_embedding",
      "vision_model.embeddings.position_embedding.weight" },
    { "visual.patch_embedding.", "visual.conv1.", "vision_model.embeddings.patch_embedding." },
    { "visual.pre_norm.", "visual.ln_pre.", "vision_model.pre_layrnorm." },
    { "visual.post_norm.", "visual.ln_post.", "vision_model.post_layernorm." },
    { "visual.transformer.", "visual.transformer.resblocks.", "vision_model.encoder.layers." },
    { ".norm1.", ".ln_1.", ".layer_norm1." },
    { ".norm2.", ".ln_2.", ".layer_norm2." },
    { ".attn.to_qkv.", ".attn.in_proj_", ".self_attn.%c_proj." },
    { ".attn.proj.", ".attn.out_proj.", ".self_attn.out_proj." },
    { ".mlp.0.", ".mlp.c_fc.", ".mlp.fc1." },
    { ".mlp.2.", ".mlp.c_proj.", ".mlp.fc2." },
};

static char *renamed(const char *name, naming as)
{
    char *now = tb_xstrdup(name);
    for (size_t i = 0; as != AS_IT_IS && i < sizeof renames / sizeof *renames; i++) {
        const char *at = strstr(now, renames[i][0]);
        if (!at)
            continue;
        char *next = tb_xasprintf("%.*s%s%s", (int)(at - now), now, renames[i][as],
                                  at + strlen(renames[i][0]));
        free(now);
        now = next;
    }
    return now;
}

typedef struct files {
    const char *names[MOST];
    const tb_tensor *tensors[MOST];
    int count;
} files;

/* The i-th third of the rows. */
static tb_tensor *third(const tb_tensor *t, int i)
{
    tb_err err = TB_ERR_INIT;
    tb_shape s = *tb_tensor_shape(t);
    s.d[0] /= 3;
    tb_tensor *part = tb_tensor_new(TB_F32, &s, &err);
    REQUIRE(part);
    memcpy(tb_tensor_f32_mut(part), tb_tensor_f32(t) + i * tb_shape_count(&s),
           tb_tensor_bytes(part));
    return part;
}

static void add(files *f, const char *name, const tb_tensor *t, naming as)
{
    char *now = renamed(name, as);
    char *each = strchr(now, '%');
    for (int i = 0; i < (each ? 3 : 1); i++) {
        REQUIRE(f->count < MOST);
        if (each)
            *each = "qkv"[i];
        char *rest = each ? tb_xasprintf("%s", now) : NULL;
        if (rest) /* "%c" is two letters */
            memmove(rest + (each - now) + 1, rest + (each - now) + 2, strlen(each + 2) + 1);
        f->names[f->count] = rest ? rest : tb_xstrdup(now);
        f->tensors[f->count++] = each ? third(t, i) : tb_tensor_ref(t);
    }
    free(now);
}

/* The weights of a golden file, "w." left out, into DIR/model.safetensors; `without`: but this. */
static void put_weights(const tb_safetensors *golden, naming as, const char *without)
{
    tb_err err = TB_ERR_INIT;
    files f = { 0 };
    for (int i = 0; i < tb_safetensors_count(golden); i++) {
        const char *name = tb_safetensors_name(golden, i);
        if (!tb_str_starts(name, "w.vis") || (without && strcmp(name + 2, without) == 0))
            continue;
        tb_tensor *t = tb_safetensors_tensor(golden, i, &err);
        REQUIRE(t);
        add(&f, name + 2, t, as);
        tb_tensor_unref(&t);
    }
    char *path = tb_fs_join(dir, "model.safetensors");
    CHECK_OK(tb_safetensors_write(path, f.count, f.names, f.tensors, NULL, &err));
    for (int i = 0; i < f.count; i++) {
        free((char *)(uintptr_t)f.names[i]);
        tb_tensor *t = (tb_tensor *)(uintptr_t)f.tensors[i];
        tb_tensor_unref(&t);
    }
    free(path);
}

/* What the golden file's configuration says, as the config.json of transformers. */
static void put_config(const tb_safetensors *golden, const char *act)
{
    json_t *from = golden_config(golden), *vision = json_object_get(from, "vision");
    const json_t *heads = json_object_get(from, "num_heads");
    json_t *to = vision ? json_pack("{s:s,s:O}", "model_type", "clip", "vision_config", vision)
                        : json_pack("{s:s,s:O}", "model_type", "clip_vision_model",
                                    "num_attention_heads", heads);
    if (act)
        json_object_set_new(to, "hidden_act", json_string(act));
    char *text = json_dumps(to, 0);
    write_text("config.json", text);
    free(text);
    json_decref(to);
    json_decref(from);
}

static tb_safetensors *open_golden(const char *stem, char letter)
{
    char *path = golden_path(stem, letter, ".safetensors");
    tb_safetensors *f = golden_open(path);
    free(path);
    return f;
}

/* ------------------------------------------------------------------------------------ the numbers
 */

static void check_tokens(const tb_safetensors *golden, const char *in, const char *out)
{
    tb_err err = TB_ERR_INIT;
    tb_compute *c = tb_compute_new(2, &err);
    tb_weights *w = c ? tb_weights_open(dir, &err) : NULL;
    tb_clip_vision *m = w ? tb_clip_vision_open(w, &err) : NULL;
    if (!m)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(m);
    tb_weights_close(&w);
    const tb_clip_vision_config *k = tb_clip_vision_config_of(m);
    tb_tensor *x = golden_f32(golden, "%s", in), *want = golden_f32(golden, "%s", out);
    const int64_t pictures = tb_tensor_dim(x, 0), pixels = 3 * k->image * k->image;
    REQUIRE(tb_tensor_count(x) == pictures * pixels);
    REQUIRE(tb_tensor_count(want) == pictures * k->tokens * k->dim);
    float *got = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *got);
    for (int64_t i = 0; i < pictures; i++)
        CHECK_OK(tb_clip_vision_run(m, c, tb_tensor_f32(x) + i * pixels,
                                    got + i * k->tokens * k->dim, NULL, &err));
    golden_near(out, got, want, TOLERANCE);
    CHECK_INT(tb_scratch_mark(c), 0);
    CHECK(tb_scratch_peak(c) <= tb_clip_vision_memory(k));
    const atomic_bool cancel = true;
    CHECK_INT(tb_clip_vision_run(m, c, tb_tensor_f32(x), got, &cancel, &err), TB_ECANCELED);
    CHECK_STR(err.message, "canceled in block 0 of the image encoder");
    free(got);
    tb_tensor_unref(&x);
    tb_tensor_unref(&want);
    tb_clip_vision_close(&m);
    tb_compute_free(&c);
}

static void check_hugging_face(char letter)
{
    tb_safetensors *g = open_golden("seed_clip", letter);
    put_config(g, NULL);
    put_weights(g, AS_IT_IS, NULL);
    check_tokens(g, "vision.in.x", "vision.out.penultimate");
    tb_safetensors_close(&g);
    remove_dir();
}

static void check_wan(char letter)
{
    tb_safetensors *g = open_golden("seed_wanclip", letter);
    for (int as = AS_IT_IS; as <= HUGGING_FACE; as++) {
        put_config(g, as == AS_IT_IS ? NULL : "gelu");
        put_weights(g, (naming)as, NULL);
        check_tokens(g, "in.x", "out.tokens");
    }
    tb_safetensors_close(&g);
    remove_dir();
}

TEST(every_naming_gives_the_reference_values)
{
    golden_each("seed_clip", ".safetensors", check_hugging_face);
    golden_each("seed_wanclip", ".safetensors", check_wan);
}

/* ------------------------------------------------------------------------------- configuration */

static tb_clip_vision_config config_of(const char *config, tb_err *err)
{
    tb_clip_vision_config k = { 0 };
    write_text("config.json", config);
    tb_weights *w = tb_weights_open(dir, err);
    REQUIRE(w);
    tb_clip_vision_read_config(w, &k, err);
    tb_weights_close(&w);
    return k;
}

TEST(what_no_config_says_is_what_was_published)
{
    tb_err err = TB_ERR_INIT;
    tb_safetensors *g = open_golden("seed_clip", GOLDEN_OWN),
                   *wan = open_golden("seed_wanclip", GOLDEN_OWN);
    write_text("config.json", "{}");
    put_weights(g, AS_IT_IS, NULL);
    tb_clip_vision_config k = config_of("{}", &err);
    CHECK_INT(k.act, TB_ACT_GELU_QUICK);
    CHECK_INT(k.heads, 1);
    CHECK_INT(k.dim, 48);
    CHECK_INT(k.layers, 3);
    CHECK_INT(k.image, 28);
    CHECK_INT(k.tokens, 17);
    put_weights(wan, AS_IT_IS, NULL);
    /* the transformer's, as in an original Wan folder */
    k = config_of("{\"_class_name\": \"WanModel\", \"model_type\": \"i2v\", \"num_heads\": 40, "
                  "\"num_attention_heads\": 40}",
                  &err);
    CHECK_INT(k.act, TB_ACT_GELU_ERF);
    CHECK_INT(k.heads, 1);
    CHECK_STR(err.message, "");
    tb_safetensors_close(&g);
    tb_safetensors_close(&wan);
    remove_dir();
}

static void refuse(const char *config, const char *sentence)
{
    tb_err err = TB_ERR_INIT;
    config_of(config, &err);
    if (!strstr(err.message, sentence))
        fprintf(stderr, "wanted '%s', got '%s'\n", sentence, err.message);
    CHECK_INT(err.status, TB_EFORMAT);
    CHECK(strstr(err.message, sentence));
}

TEST(what_cannot_be_a_tower_says_why)
{
    tb_err err = TB_ERR_INIT;
    tb_clip_vision_config k;
    tb_safetensors *g = open_golden("seed_clip", GOLDEN_OWN);
    write_text("config.json", "{}");
    put_weights(g, AS_IT_IS, NULL);
    tb_safetensors_close(&g);
    refuse("{\"model_type\": \"clip\", \"hidden_act\": \"relu\"}",
           "must be gelu, quick_gelu, gelu_new or gelu_pytorch_tanh, got 'relu'");
    refuse("{\"model_type\": \"clip\", \"num_attention_heads\": 7}",
           "is no CLIP vision encoder: 48 numbers a token cannot be shared by 7 heads");
    refuse("{\"model_type\": \"clip\", \"layer_norm_eps\": 0}",
           "is no CLIP vision encoder: it has 3 blocks, 2 or more are wanted, and an epsilon of 0");
    tb_weights *w = tb_weights_open("examples/tiny/transformer", &err);
    REQUIRE(w);
    CHECK(!tb_clip_vision_is(w));
    CHECK_INT(tb_clip_vision_read_config(w, &k, &err), TB_EFORMAT);
    CHECK_STR(err.message, "'examples/tiny/transformer' is no CLIP vision encoder: it has none of "
                           "vision_model.embeddings.class_embedding, visual.cls_embedding and "
                           "visual.class_embedding");
    tb_weights_close(&w);
    remove_dir();
}

static void count_lack(void *ctx, const char *sentence)
{
    tb_str_add(ctx, sentence);
    tb_str_add(ctx, "\n");
}

TEST(what_is_missing_is_named)
{
    tb_err err = TB_ERR_INIT;
    tb_str said = TB_STR_INIT;
    const tb_weights_lack lack = { count_lack, &said };
    tb_safetensors *g = open_golden("seed_wanclip", GOLDEN_OWN);
    write_text("config.json", "{}");
    put_weights(g, AS_IT_IS, NULL);
    tb_weights *w = tb_weights_open(dir, &err);
    tb_clip_vision_check(w, &lack);
    CHECK_INT(said.len, 0);
    tb_weights_close(&w);
    put_weights(g, AS_IT_IS, "visual.transformer.1.attn.proj.bias");
    w = tb_weights_open(dir, &err);
    tb_clip_vision_check(w, &lack);
    CHECK(said.s && strstr(said.s, "has no tensor 'visual.transformer.1.attn.proj.bias'"));
    CHECK(!tb_clip_vision_open(w, &err));
    CHECK(strstr(err.message, "has no tensor 'visual.transformer.1.attn.proj.bias'"));
    tb_weights_close(&w);
    tb_str_free(&said);
    tb_safetensors_close(&g);
    remove_dir();
}

/* ------------------------------------------------------------------------------------ the picture
 */

/* Two of them; the second is black. */
static tb_tensor *picture(int64_t h, int64_t w)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new_zero(TB_F32, &TB_SHAPE(2, h, w, 3), &err);
    REQUIRE(t);
    return t;
}

TEST(colours_are_rounded_to_8_bits_and_normalised)
{
    static const float value[] = { -1, NAN, 0.5f, 2 }, want[] = { 0, 0, 128 / 255.0f, 1 };
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = picture(2, 2);
    float out[12];
    for (int i = 0; i < 12; i++)
        tb_tensor_f32_mut(t)[i] = value[i / 3];
    CHECK_OK(tb_clip_vision_pixels(t, true, 2, out, &err));
    for (int i = 0; i < 4; i++) {
        CHECK_NEAR(out[i], ((double)want[i] - 0.48145466) / 0.26862954, 1e-6);
        CHECK_NEAR(out[4 + i], ((double)want[i] - 0.4578275) / 0.26130258, 1e-6);
        CHECK_NEAR(out[8 + i], ((double)want[i] - 0.40821073) / 0.27577711, 1e-6);
    }
    tb_tensor_unref(&t);
}

/* Twelve columns, of which the middle four are white: the crop sees them alone. */
TEST(the_middle_is_cut_out_or_all_is_made_square)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = picture(4, 12);
    float out[48];
    for (int i = 0; i < 4 * 12 * 3; i++)
        tb_tensor_f32_mut(t)[i] = i / 3 % 12 >= 4 && i / 3 % 12 < 8 ? 1 : 0;
    const float white = (1 - 0.48145466f) / 0.26862954f, black = -0.48145466f / 0.26862954f;
    CHECK_OK(tb_clip_vision_pixels(t, true, 4, out, &err));
    for (int i = 0; i < 16; i++)
        CHECK_NEAR(out[i], white, 1e-5);
    CHECK_OK(tb_clip_vision_pixels(t, false, 4, out, &err));
    for (int y = 0; y < 4; y++) {
        CHECK(out[4 * y] < black + 0.2f && out[4 * y + 3] < black + 0.2f);
        CHECK(out[4 * y + 1] > 0.4f && out[4 * y + 2] > 0.4f);
    }
    tb_tensor_unref(&t);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(every_naming_gives_the_reference_values),
        TEST_CASE(what_no_config_says_is_what_was_published),
        TEST_CASE(what_cannot_be_a_tower_says_why),
        TEST_CASE(what_is_missing_is_named),
        TEST_CASE(colours_are_rounded_to_8_bits_and_normalised),
        TEST_CASE(the_middle_is_cut_out_or_all_is_made_square),
    };
    return tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
