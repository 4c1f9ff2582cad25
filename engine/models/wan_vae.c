/* wan_vae.c - videos to latents and back: chunks, pixel patches, latent scale, tiles. */
#include <string.h>

#include "models/wan_vae_internal.h"

/* Latent positions that a chunk aims at: a few small frames run together, so that products stay
 * large. */
enum { CHUNK_POSITIONS = 1024, CHUNK_FRAMES = 16 };

static int64_t chunk_frames(int64_t h, int64_t w, int64_t left)
{
    int64_t n = CHUNK_POSITIONS / (h * w);
    n = n < 1 ? 1 : n > CHUNK_FRAMES ? CHUNK_FRAMES : n;
    return n < left ? n : left;
}

/* -------------------------------------------------------------------------------------- decode */

typedef struct decode {
    const tb_wan_vae *m;
    tb_compute *c;
    tb_frame_sink sink;
    void *ctx;
    int64_t frames; /* delivered so far */
} decode;

/* [h][w][12] with channel = colour * 4 + column * 2 + row, to [2h][2w][3]. */
static void unpatchify(const float *x, int64_t h, int64_t w, float *out)
{
    for (int64_t y = 0; y < h; y++)
        for (int64_t col = 0; col < w; col++, x += 12)
            for (int64_t k = 0; k < 12; k++)
                out[((2 * y + k % 2) * 2 * w + 2 * col + k / 2 % 2) * 3 + k / 4] = x[k];
}

static tb_status deliver(void *ctx, const vae_act *x, tb_err *err)
{
    decode *d = ctx;
    const int64_t first = d->frames;
    d->frames += x->t;
    if (d->m->k.patch == 1)
        return d->sink(d->ctx, first, x->t, x->x, err);
    const size_t mark = tb_scratch_mark(d->c);
    float *pixels = tb_scratch(d->c, (size_t)(x->t * x->h * x->w * 12), err);
    tb_status st = TB_ENOMEM;
    if (pixels) {
        for (int64_t i = 0; i < x->t; i++)
            unpatchify(x->x + i * x->h * x->w * 12, x->h, x->w, pixels + i * x->h * x->w * 12);
        st = d->sink(d->ctx, first, x->t, pixels, err);
    }
    tb_scratch_release(d->c, mark);
    return st;
}

/* Part of a latent [z][f][h][w]: `count` frames from `first`, an h x w window from (top, left). */
typedef struct window {
    const float *latent;
    int64_t f, rows, columns; /* of the latent */
    int64_t top, left, h, w;
} window;

/* Channels-last and in the decoder's scale: z std + mean. */
static void load_latents(const tb_wan_vae *m, const window *v, int64_t first, int64_t count,
                         float *out)
{
    const int64_t z = m->k.z;
    for (int64_t i = 0; i < count; i++)
        for (int64_t y = 0; y < v->h; y++)
            for (int64_t x = 0; x < v->w; x++)
                for (int64_t ch = 0; ch < z; ch++) {
                    const float *plane = v->latent + (ch * v->f + first + i) * v->rows * v->columns;
                    *out++ =
                        plane[(v->top + y) * v->columns + v->left + x] * m->std[ch] + m->mean[ch];
                }
}

static tb_status decode_chunk(vae_stream *s, const window *v, int64_t first, int64_t count,
                              tb_err *err)
{
    const int64_t z = s->m->k.z;
    const size_t mark = tb_scratch_mark(s->c);
    float *in = tb_scratch(s->c, (size_t)(count * v->h * v->w * z), err);
    tb_status st = TB_ENOMEM;
    if (in) {
        load_latents(s->m, v, first, count, in);
        st = tbi_vae_stream_run(s, &(vae_act){ in, count, v->h, v->w, z }, err);
    }
    tb_scratch_release(s->c, mark);
    return st;
}

static tb_status decode_window(tb_wan_vae *m, tb_compute *c, const window *v, tb_frame_sink sink,
                               void *ctx, const atomic_bool *cancel, tb_err *err)
{
    if (!m->k.has_decoder)
        return tb_err_set(err, TB_EINVAL, "this VAE file has no decoder; give one that has");
    decode d = { .m = m, .c = c, .sink = sink, .ctx = ctx };
    vae_stream s;
    tbi_vae_stream_init(&s, m, false, c, cancel);
    s.sink = deliver;
    s.ctx = &d;
    tb_status st = TB_OK;
    for (int64_t i = 0, n; i < v->f && st == TB_OK; i += n) {
        n = i == 0 ? 1 : chunk_frames(v->h, v->w, v->f - i);
        st = decode_chunk(&s, v, i, n, err);
    }
    tbi_vae_stream_fini(&s);
    return st;
}

tb_status tb_wan_vae_decode(tb_wan_vae *m, tb_compute *c, const float *latent, int64_t f, int64_t h,
                            int64_t w, tb_frame_sink sink, void *ctx, const atomic_bool *cancel,
                            tb_err *err)
{
    const window whole = { latent, f, h, w, 0, 0, h, w };
    return decode_window(m, c, &whole, sink, ctx, cancel, err);
}

/* --------------------------------------------------------------------------------------- tiles */

/* A tile's pixels join the picture with weights that rise over the overlap with the tile before and
 * fall over that with the one behind, so that the weights of every pixel sum to 1. */
typedef struct tile {
    float *pixels; /* [frames][height][width][3] */
    int64_t height, width;
    int64_t top, left, h, w;
    int64_t overlap;
} tile;

static float ramp(int64_t at, int64_t start, int64_t size, int64_t whole, int64_t overlap)
{
    float weight = 1;
    if (start > 0 && at < overlap)
        weight *= (float)at / (float)overlap;
    if (start + size < whole && at >= size - overlap)
        weight *= 1 - (float)(at - (size - overlap)) / (float)overlap;
    return weight;
}

static tb_status blend(void *ctx, int64_t first, int64_t count, const float *pixels, tb_err *err)
{
    (void)err;
    const tile *t = ctx;
    for (int64_t i = 0; i < count; i++)
        for (int64_t y = 0; y < t->h; y++) {
            const float wy = ramp(y, t->top, t->h, t->height, t->overlap);
            float *out =
                t->pixels + (((first + i) * t->height + t->top + y) * t->width + t->left) * 3;
            for (int64_t x = 0; x < t->w; x++) {
                const float weight = wy * ramp(x, t->left, t->w, t->width, t->overlap);
                for (int k = 0; k < 3; k++)
                    *out++ += weight * *pixels++;
            }
        }
    return TB_OK;
}

/* How many tiles cover an axis: tile i starts at i * step, the last one is cut at the border. */
static int64_t tile_count(int64_t whole, int64_t size, int64_t step)
{
    return whole <= size ? 1 : (whole - size + step - 1) / step + 1;
}

static int64_t tile_size(int64_t start, int64_t whole, int64_t size)
{
    return start + size < whole ? size : whole - start;
}

tb_status tb_wan_vae_decode_tiled(tb_wan_vae *m, tb_compute *c, const float *latent, int64_t f,
                                  int64_t h, int64_t w, int64_t tile_pixels, int64_t stride,
                                  float *pixels, const atomic_bool *cancel, tb_err *err)
{
    const int64_t s = m->k.stride_hw, size = tile_pixels / s, step = stride / s;
    if (tile_pixels % s || stride % s || step < 1 || 2 * step < size || step > size)
        return tb_err_set(
            err, TB_EINVAL,
            "tiles must be multiples of %lld pixels with a stride of half a tile up to a tile, got "
            "%lld with stride %lld",
            (long long)s, (long long)tile_pixels, (long long)stride);
    const int64_t rows = tile_count(h, size, step), columns = tile_count(w, size, step);
    const int64_t frames = (f - 1) * m->k.stride_t + 1;
    memset(pixels, 0, (size_t)(frames * h * w * s * s * 3) * sizeof *pixels);
    for (int64_t i = 0; i < rows * columns; i++) {
        const int64_t top = i / columns * step, left = i % columns * step;
        const window v = {
            latent, f, h, w, top, left, tile_size(top, h, size), tile_size(left, w, size)
        };
        tile t = { pixels, h * s, w * s, top * s, left * s, v.h * s, v.w * s, (size - step) * s };
        TB_TRY(decode_window(m, c, &v, blend, &t, cancel, err));
    }
    return TB_OK;
}

/* -------------------------------------------------------------------------------------- encode */

typedef struct encode {
    const tb_wan_vae *m;
    float *latent; /* [z][f][h][w] */
    int64_t f, done;
} encode;

/* [2h][2w][3] to [h][w][12]. */
static void patchify(const float *in, int64_t h, int64_t w, float *x)
{
    for (int64_t y = 0; y < h; y++)
        for (int64_t col = 0; col < w; col++, x += 12)
            for (int64_t k = 0; k < 12; k++)
                x[k] = in[((2 * y + k % 2) * 2 * w + 2 * col + k / 2 % 2) * 3 + k / 4];
}

/* The first z of 2z channels are the mean of the latent's distribution, which is taken as the
 * latent. */
static tb_status store_latents(void *ctx, const vae_act *x, tb_err *err)
{
    (void)err;
    encode *e = ctx;
    const int64_t z = e->m->k.z, plane = x->h * x->w;
    for (int64_t i = 0; i < x->t; i++)
        for (int64_t j = 0; j < plane; j++)
            for (int64_t ch = 0; ch < z; ch++)
                e->latent[(ch * e->f + e->done + i) * plane + j] =
                    (x->x[(i * plane + j) * x->c + ch] - e->m->mean[ch]) / e->m->std[ch];
    e->done += x->t;
    return TB_OK;
}

static tb_status encode_chunk(vae_stream *s, const float *pixels, int64_t count, int64_t height,
                              int64_t width, tb_err *err)
{
    const int64_t patch = s->m->k.patch, h = height / patch, w = width / patch,
                  frame = height * width * 3;
    vae_act in = { NULL, count, h, w, 3 * patch * patch };
    const size_t mark = tb_scratch_mark(s->c);
    tb_status st = TB_ENOMEM;
    in.x = tb_scratch(s->c, (size_t)(count * frame), err);
    if (in.x) {
        for (int64_t i = 0; patch == 2 && i < count; i++)
            patchify(pixels + i * frame, h, w, in.x + i * frame);
        if (patch == 1)
            memcpy(in.x, pixels, (size_t)(count * frame) * sizeof *pixels);
        st = tbi_vae_stream_run(s, &in, err);
    }
    tb_scratch_release(s->c, mark);
    return st;
}

static tb_status check_video(const tb_wan_vae *m, int64_t frames, int64_t height, int64_t width,
                             tb_err *err)
{
    const int64_t s = m->k.stride_hw, t = m->k.stride_t;
    if (!m->k.has_encoder)
        return tb_err_set(err, TB_EINVAL, "this VAE file has no encoder; give one that has");
    if (frames < 1 || (frames - 1) % t)
        return tb_err_set(
            err, TB_EINVAL,
            "the number of frames must be %lldk + 1 (1, %lld, %lld, ...), got %lld; drop or add "
            "some",
            (long long)t, (long long)t + 1, 2 * (long long)t + 1, (long long)frames);
    if (height < s || width < s || height % s || width % s)
        return tb_err_set(
            err, TB_EINVAL,
            "width and height must be multiples of %lld pixels, got %lldx%lld; resize the images",
            (long long)s, (long long)width, (long long)height);
    return TB_OK;
}

tb_status tb_wan_vae_encode(tb_wan_vae *m, tb_compute *c, const float *pixels, int64_t frames,
                            int64_t height, int64_t width, float *latent, const atomic_bool *cancel,
                            tb_err *err)
{
    TB_TRY(check_video(m, frames, height, width, err));
    const int64_t h = height / m->k.stride_hw, w = width / m->k.stride_hw, t = m->k.stride_t;
    encode e = { .m = m, .latent = latent, .f = (frames - 1) / t + 1 };
    vae_stream s;
    tbi_vae_stream_init(&s, m, true, c, cancel);
    s.sink = store_latents;
    s.ctx = &e;
    tb_status st = TB_OK;
    for (int64_t i = 0, n; i < frames && st == TB_OK; i += n) {
        n = i == 0 ? 1 : t * chunk_frames(h, w, (frames - i) / t);
        st = encode_chunk(&s, pixels + i * height * width * 3, n, height, width, err);
    }
    tbi_vae_stream_fini(&s);
    return st;
}

/* --------------------------------------------------------------------------------------- memory */

/* In floats for each position and channel of the finest level, as the public models are built:
 * 2 cached frames of each of 7 convolutions there (4 in the encoder), and half as much again on
 * every coarser level. Four buffers hold a chunk. The encoder does so on the finest level; the
 * decoder up to where its frames are settled, with twice the channels, and then for the rest, which
 * goes frame by frame if that is large. */
size_t tb_wan_vae_scratch(const tb_wan_vae_config *k, bool encoding, int64_t f, int64_t h,
                          int64_t w)
{
    if (f < 1 || h < 1 || w < 1)
        return 0;
    const int64_t side = k->stride_hw / k->patch, finest = h * w * side * side;
    const int64_t frames = f > 1 ? k->stride_t * chunk_frames(h, w, f - 1) : 1;
    const int64_t pixels = frames * finest * 3 * k->patch * k->patch;
    if (encoding)
        return (size_t)(finest * k->dim * (4 * frames + 16) + pixels) * sizeof(float);
    const int64_t ratio = side > k->stride_t ? side / k->stride_t : 1, wide = ratio == 1 ? 2 : 1;
    const int64_t settled = frames * finest / (ratio * ratio) * 2 * k->dec_dim;
    int64_t rest = frames * finest * wide * k->dec_dim;
    rest = rest > VAE_SPLIT_ABOVE ? rest / frames : rest;
    const int64_t cached = finest * k->dec_dim * 28;
    return (size_t)(4 * (settled + rest) + cached + pixels) * sizeof(float);
}
