/* test_vae_golden.c - the Wan2.1 and Wan2.2 autoencoders against the reference, under both naming
 * schemes. */
#include "golden.h"
#include "models/wan_vae_internal.h"

#define TOL 3e-5

static tb_compute *compute;

static tb_wan_vae *open_vae(const char *stem, char letter, const char *tail, const json_t *config)
{
    char *path = golden_path(stem, letter, tail);
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(path, &err);
    tb_wan_vae *m = w ? tb_wan_vae_open_config(compute, w, config, &err) : NULL;
    if (!m)
        fprintf(stderr, "%s: %s\n", path, err.message);
    tb_weights_close(&w);
    free(path);
    REQUIRE(m);
    return m;
}

/* ------------------------------------------------------------------------- videos as they come */

typedef struct video {
    int64_t t, h, w;
    float *x; /* [3][t][h][w], as the files have it */
    int64_t seen;
} video;

static tb_status collect(void *ctx, int64_t first, int64_t count, const float *pixels, tb_err *err)
{
    (void)err;
    video *v = ctx;
    CHECK_INT(first, v->seen);
    const int64_t plane = v->h * v->w;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < plane; j++)
            for (int64_t k = 0; k < 3; k++)
                v->x[(k * v->t + first + i) * plane + j] = *pixels++;
    v->seen += count;
    return TB_OK;
}

static float *to_frames(const float *x, int64_t t, int64_t plane)
{
    float *out = tb_xcalloc((size_t)(t * plane * 3), sizeof *out), *at = out;
    for (int64_t i = 0; i < t * plane; i++)
        for (int64_t k = 0; k < 3; k++)
            *at++ = x[k * t * plane + i];
    return out;
}

static void check_decode(tb_wan_vae *m, const char *what, const float *latent,
                         const tb_tensor *shape, int64_t frames, const tb_tensor *want)
{
    video v = { .t = tb_tensor_dim(want, 1),
                .h = tb_tensor_dim(want, 2),
                .w = tb_tensor_dim(want, 3) };
    v.x = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *v.x);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_wan_vae_decode(m, compute, latent, frames, tb_tensor_dim(shape, 2),
                               tb_tensor_dim(shape, 3), collect, &v, NULL, &err));
    CHECK_INT(v.seen, v.t);
    golden_near(what, v.x, want, TOL);
    free(v.x);
}

/* The first latent frame alone: [z][1][h][w]. */
static float *first_latent(const tb_tensor *z)
{
    const int64_t plane = tb_tensor_dim(z, 2) * tb_tensor_dim(z, 3);
    float *out = tb_xcalloc((size_t)(tb_tensor_dim(z, 0) * plane), sizeof *out);
    for (int64_t c = 0; c < tb_tensor_dim(z, 0); c++)
        memcpy(out + c * plane, tb_tensor_f32(z) + c * tb_tensor_dim(z, 1) * plane,
               (size_t)plane * sizeof *out);
    return out;
}

static void decoder_naming(const char *stem, char letter, const char *tail,
                           const tb_safetensors *io, const json_t *config)
{
    tb_wan_vae *m = open_vae(stem, letter, tail, config);
    tb_tensor *z = golden_f32(io, "dec.in"), *want = golden_f32(io, "dec.out_raw");
    tb_tensor *want_1 = golden_f32(io, "dec.out_single_latent_raw");
    float *z_1 = first_latent(z);
    check_decode(m, "dec.out_raw", tb_tensor_f32(z), z, tb_tensor_dim(z, 1), want);
    check_decode(m, "dec.out_single_latent_raw", z_1, z, 1, want_1);
    if (golden_has(io, "roundtrip.out_raw")) {
        tb_tensor *mu = golden_f32(io, "enc.out"), *round = golden_f32(io, "roundtrip.out_raw");
        check_decode(m, "roundtrip.out_raw", tb_tensor_f32(mu), mu, tb_tensor_dim(mu, 1), round);
        tb_tensor_unref(&mu);
        tb_tensor_unref(&round);
    }
    free(z_1);
    tb_tensor_unref(&z);
    tb_tensor_unref(&want);
    tb_tensor_unref(&want_1);
    tb_wan_vae_close(&m);
}

static void check_encode(tb_wan_vae *m, const char *what, const float *frames,
                         const tb_tensor *shape, int64_t t, const tb_tensor *want)
{
    float *latent = tb_xcalloc((size_t)tb_tensor_count(want), sizeof *latent);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_wan_vae_encode(m, compute, frames, t, tb_tensor_dim(shape, 2),
                               tb_tensor_dim(shape, 3), latent, NULL, &err));
    golden_near(what, latent, want, TOL);
    free(latent);
}

static void encoder_naming(const char *stem, char letter, const char *tail,
                           const tb_safetensors *io, const json_t *config)
{
    tb_wan_vae *m = open_vae(stem, letter, tail, config);
    tb_tensor *x = golden_f32(io, "enc.in"), *want = golden_f32(io, "enc.out");
    tb_tensor *want_1 = golden_f32(io, "enc.out_first_frame_only");
    float *frames =
        to_frames(tb_tensor_f32(x), tb_tensor_dim(x, 1), tb_tensor_dim(x, 2) * tb_tensor_dim(x, 3));
    check_encode(m, "enc.out", frames, x, tb_tensor_dim(x, 1), want);
    check_encode(m, "enc.out_first_frame_only", frames, x, 1, want_1);
    free(frames);
    tb_tensor_unref(&x);
    tb_tensor_unref(&want);
    tb_tensor_unref(&want_1);
    tb_wan_vae_close(&m);
}

static void check_set(const char *stem, char letter)
{
    char *path = golden_path(stem, letter, "_io.safetensors");
    tb_safetensors *io = golden_open(path);
    json_t *config = golden_config(io);
    decoder_naming(stem, letter, "_decoder_orig.safetensors", io, config);
    decoder_naming(stem, letter, "_decoder_diffusers.safetensors", io, config);
    encoder_naming(stem, letter, "_encoder_orig.safetensors", io, config);
    encoder_naming(stem, letter, "_encoder_diffusers.safetensors", io, config);
    json_decref(config);
    tb_safetensors_close(&io);
    free(path);
}

static void wan21_set(char letter)
{
    check_set("vae", letter);
}
static void wan22_set(char letter)
{
    check_set("vae22", letter);
}

TEST(wan21_matches)
{
    golden_each("vae", "_io.safetensors", wan21_set);
}

TEST(wan22_matches)
{
    golden_each("vae22", "_io.safetensors", wan22_set);
}

/* ------------------------------------------------------------------------------------ ourselves */

static float *decode_all(tb_wan_vae *m, const float *z, int64_t f, int64_t h, int64_t w)
{
    const tb_wan_vae_config *k = tb_wan_vae_config_of(m);
    video v = { (f - 1) * k->stride_t + 1, h * k->stride_hw, w * k->stride_hw, NULL, 0 };
    v.x = tb_xcalloc((size_t)(3 * v.t * v.h * v.w), sizeof *v.x);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_wan_vae_decode(m, compute, z, f, h, w, collect, &v, NULL, &err));
    return v.x;
}

/* Behind the first latent, small ones run together: five here, one there. */
TEST(chunks_of_any_length_give_the_same_video)
{
    enum { F = 6, H = 4, W = 4 };
    tb_wan_vae *m = open_vae("vae", GOLDEN_OWN, "_decoder_orig.safetensors", NULL);
    const int64_t z = tb_wan_vae_config_of(m)->z;
    float *latent = tb_xcalloc((size_t)(z * F * H * W), sizeof *latent);
    float *part = tb_xcalloc((size_t)(z * 2 * H * W), sizeof *part);
    for (int64_t i = 0; i < z * F * H * W; i++)
        latent[i] = sinf((float)i);
    for (int64_t c = 0; c < z; c++)
        memcpy(part + c * 2 * H * W, latent + c * F * H * W, 2 * H * W * sizeof *part);
    float *whole = decode_all(m, latent, F, H, W), *start = decode_all(m, part, 2, H, W);
    const int64_t plane = 8 * H * 8 * W, frames = 4 * (F - 1) + 1;
    for (int64_t k = 0; k < 3; k++)
        CHECK(tb_test_relative(whole + k * frames * plane, start + k * 5 * plane, 5 * plane) <
              1e-6);
    free(latent);
    free(part);
    free(whole);
    free(start);
    tb_wan_vae_close(&m);
}

TEST(one_thread_gives_the_same_bytes)
{
    enum { F = 2, H = 5, W = 7, N = 8 * F * H * W, PIXELS = 3 * 5 * 80 * 112 };
    char *path = golden_path("vae22", GOLDEN_OWN, "_io.safetensors");
    tb_safetensors *io = golden_open(path);
    json_t *config = golden_config(io);
    tb_wan_vae *m = open_vae("vae22", GOLDEN_OWN, "_decoder_diffusers.safetensors", config);
    float latent[N];
    for (int i = 0; i < N; i++)
        latent[i] = cosf((float)i);
    float *two = decode_all(m, latent, F, H, W);
    tb_compute *both = compute;
    tb_err err = TB_ERR_INIT;
    compute = tb_compute_new(1, &err);
    REQUIRE(compute);
    float *one = decode_all(m, latent, F, H, W);
    CHECK(memcmp(one, two, PIXELS * sizeof *one) == 0);
    tb_compute_free(&compute);
    compute = both;
    free(one);
    free(two);
    tb_wan_vae_close(&m);
    json_decref(config);
    tb_safetensors_close(&io);
    free(path);
}

/* Large frames leave the last levels one by one, so that fewer are in memory. */
TEST(frame_by_frame_is_the_same_video)
{
    enum { F = 3, H = 3, W = 4, N = 16 * F * H * W, PIXELS = 3 * 9 * 24 * 32 };
    tb_wan_vae *m = open_vae("vae", GOLDEN_OWN, "_decoder_orig.safetensors", NULL);
    float latent[N];
    for (int i = 0; i < N; i++)
        latent[i] = cosf((float)i);
    float *together = decode_all(m, latent, F, H, W);
    m->split_above = 0;
    float *apart = decode_all(m, latent, F, H, W);
    CHECK(memcmp(together, apart, PIXELS * sizeof *apart) == 0);
    free(together);
    free(apart);
    tb_wan_vae_close(&m);
}

static float *decode_tiled(tb_wan_vae *m, const float *latent, int64_t f, int64_t h, int64_t w,
                           int64_t tile, int64_t stride)
{
    const int64_t s = tb_wan_vae_config_of(m)->stride_hw;
    float *x = tb_xcalloc((size_t)(((f - 1) * 4 + 1) * h * w * s * s * 3), sizeof *x);
    tb_err err = TB_ERR_INIT;
    CHECK_OK(tb_wan_vae_decode_tiled(m, compute, latent, f, h, w, tile, stride, x, NULL, &err));
    return x;
}

/* One tile is the whole. Of tiles of 8x8 latents every 6, the corner shows the first one alone. */
TEST(tiles_join)
{
    enum { F = 2, H = 10, W = 14, S = 8, T = 5 };
    tb_wan_vae *m = open_vae("vae", GOLDEN_OWN, "_decoder_orig.safetensors", NULL);
    const int64_t z = tb_wan_vae_config_of(m)->z;
    float *latent = tb_xcalloc((size_t)(z * F * H * W), sizeof *latent);
    float *corner = tb_xcalloc((size_t)(z * F * 8 * 8), sizeof *corner), *at = corner;
    for (int64_t i = 0; i < z * F * H * W; i++)
        latent[i] = sinf((float)i);
    for (int64_t plane = 0; plane < z * F; plane++)
        for (int64_t y = 0; y < 8; y++, at += 8)
            memcpy(at, latent + (plane * H + y) * W, 8 * sizeof *at);
    float *whole = decode_tiled(m, latent, F, H, W, 128, 96),
          *tiled = decode_tiled(m, latent, F, H, W, 64, 48);
    float *alone = decode_all(m, corner, F, 8, 8), *frames = to_frames(alone, T, 64 * 64);
    float *direct = decode_all(m, latent, F, H, W), *want = to_frames(direct, T, H * S * W * S);
    CHECK(memcmp(whole, want, (size_t)T * H * S * W * S * 3 * sizeof *want) == 0);
    for (int64_t t = 0; t < T; t++)
        for (int64_t y = 0; y < 16; y++)
            CHECK(memcmp(tiled + (t * H * S + y) * W * S * 3, frames + (t * 64 + y) * 64 * 3,
                         48 * 3 * sizeof *tiled) == 0);
    float *apart = decode_tiled(m, latent, F, H, W, 64, 64); /* without overlap */
    for (int64_t t = 0; t < T; t++)
        for (int64_t y = 0; y < 64; y++)
            CHECK(memcmp(apart + (t * H * S + y) * W * S * 3, frames + (t * 64 + y) * 64 * 3,
                         64 * 3 * sizeof *apart) == 0);
    float *const all[] = { latent, corner, whole, tiled, alone, frames, direct, want, apart };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    tb_wan_vae_close(&m);
}

TEST(odd_tiles_are_refused_in_a_sentence)
{
    tb_wan_vae *m = open_vae("vae", GOLDEN_OWN, "_decoder_orig.safetensors", NULL);
    tb_err err = TB_ERR_INIT;
    float none = 0;
    CHECK_INT(tb_wan_vae_decode_tiled(m, compute, &none, 1, 2, 2, 60, 48, &none, NULL, &err),
              TB_EINVAL);
    CHECK_STR(
        err.message,
        "tiles must be multiples of 8 pixels with a stride of half a tile up to a tile, got 60 "
        "with stride 48");
    tb_wan_vae_close(&m);
}

TEST(bad_videos_are_refused_in_a_sentence)
{
    tb_wan_vae *e = open_vae("vae", GOLDEN_OWN, "_encoder_orig.safetensors", NULL);
    tb_wan_vae *d = open_vae("vae", GOLDEN_OWN, "_decoder_orig.safetensors", NULL);
    float x = 0;
    tb_err err = TB_ERR_INIT;
    CHECK_INT(tb_wan_vae_encode(e, compute, &x, 4, 16, 16, &x, NULL, &err), TB_EINVAL);
    CHECK_STR(err.message,
              "the number of frames must be 4k + 1 (1, 5, 9, ...), got 4; drop or add some");
    err = TB_ERR_INIT;
    CHECK_INT(tb_wan_vae_encode(e, compute, &x, 1, 16, 20, &x, NULL, &err), TB_EINVAL);
    CHECK_STR(err.message,
              "width and height must be multiples of 8 pixels, got 20x16; resize the images");
    err = TB_ERR_INIT;
    CHECK_INT(tb_wan_vae_encode(d, compute, &x, 1, 16, 16, &x, NULL, &err), TB_EINVAL);
    CHECK_STR(err.message, "this VAE file has no encoder; give one that has");
    err = TB_ERR_INIT;
    CHECK_INT(tb_wan_vae_decode(e, compute, &x, 1, 2, 2, collect, NULL, NULL, &err), TB_EINVAL);
    CHECK_STR(err.message, "this VAE file has no decoder; give one that has");
    tb_wan_vae_close(&e);
    tb_wan_vae_close(&d);
}

TEST(other_files_are_refused_in_a_sentence)
{
    char *path = golden_path("dit_t2v", GOLDEN_OWN, "_orig.safetensors");
    tb_err err = TB_ERR_INIT;
    tb_weights *w = tb_weights_open(path, &err);
    CHECK(w && !tb_wan_vae_open_config(compute, w, NULL, &err));
    CHECK(strstr(err.message, "is no Wan VAE: it has neither an encoder nor a decoder"));
    tb_weights_close(&w);
    free(path);
    path = golden_path("vae22", GOLDEN_OWN, "_decoder_orig.safetensors");
    err = TB_ERR_INIT;
    w = tb_weights_open(path, &err);
    CHECK(w && !tb_wan_vae_open_config(compute, w, NULL, &err));
    CHECK(
        strstr(err.message,
               "has 8 latent channels, whose scale is not known; put latents_mean and latents_std "
               "into its config.json"));
    tb_weights_close(&w);
    free(path);
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(wan21_matches),
        TEST_CASE(wan22_matches),
        TEST_CASE(chunks_of_any_length_give_the_same_video),
        TEST_CASE(one_thread_gives_the_same_bytes),
        TEST_CASE(frame_by_frame_is_the_same_video),
        TEST_CASE(tiles_join),
        TEST_CASE(odd_tiles_are_refused_in_a_sentence),
        TEST_CASE(bad_videos_are_refused_in_a_sentence),
        TEST_CASE(other_files_are_refused_in_a_sentence),
    };
    tb_err err = TB_ERR_INIT;
    compute = tb_compute_new(2, &err);
    if (!compute) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const int failed = tb_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
    tb_compute_free(&compute);
    return failed;
}
