/* wan_vae_internal.h - the autoencoder as two lists of operations, and the state of one video in
 * them.
 *
 * Activations are channels-last [frames][rows][columns][channels].
 */
#pragma once

#include "models/wan_vae.h"

typedef enum vae_kind {
    VAE_LINEAR,    /* 1x1x1 convolution */
    VAE_CONV,      /* causal 3x3x3 convolution, behind norm and SiLU when norm_1 is there */
    VAE_RESIDUAL,  /* conv_2(silu(norm_2(conv_1(silu(norm_1(x)))))) + shortcut(x) */
    VAE_ATTENTION, /* one head over the pixels of each frame */
    VAE_DOWN,      /* half the rows and columns; with conv_2, half the frames behind the first */
    VAE_UP,        /* twice the rows and columns; with conv_2, twice the frames behind the first */
    VAE_ENTER,     /* a level begins: its input is kept (Wan2.2) */
    VAE_LEAVE,     /* it ends: its input, resampled without parameters, is added */
} vae_kind;

typedef struct vae_op {
    vae_kind kind;
    int64_t in, out;                /* channels; of the whole level for VAE_LEAVE */
    int64_t time, space;            /* VAE_LEAVE: factors of its resampling */
    float *norm_1, *norm_2;         /* [channels] */
    tb_conv *conv_1, *conv_2;       /* VAE_DOWN, VAE_UP: in space, then in time or NULL */
    tb_linear *linear_1, *linear_2; /* shortcut; qkv, proj; the 1x1x1 convolution */
} vae_op;

typedef struct vae_half {
    vae_op *ops;
    int count;
    size_t cap;
    /* Behind this operation every frame stands for itself; the rest may run frame by frame. */
    int settled;
} vae_half;

/* Buffers larger than this many floats make a chunk go on frame by frame where frames are settled.
 */
#define VAE_SPLIT_ABOVE ((int64_t)16 << 20)

struct tb_wan_vae {
    tb_wan_vae_config k;
    vae_half encoder, decoder; /* count 0: not there */
    float *mean, *std;
    size_t bytes;
    int64_t split_above; /* VAE_SPLIT_ABOVE, except in tests */
};

typedef struct vae_act {
    float *x;
    int64_t t, h, w, c;
} vae_act;

/* The last two input frames of a causal convolution. */
typedef struct vae_cache {
    float *frames;
    bool filled;
} vae_cache;

/* One video on its way through one half. */
typedef struct vae_stream {
    const tb_wan_vae *m;
    const vae_half *half;
    bool down;
    tb_compute *c;
    const atomic_bool *cancel;
    vae_cache *caches; /* two for each operation */
    bool first; /* the first chunk is running: one frame, which passes temporal resampling as it is
                 */
    tb_status (*sink)(void *ctx, const vae_act *out,
                      tb_err *err); /* result of a chunk, or of a frame of it */
    void *ctx;
} vae_stream;

void tbi_vae_stream_init(vae_stream *s, const tb_wan_vae *m, bool encoder, tb_compute *c,
                         const atomic_bool *cancel);
void tbi_vae_stream_fini(vae_stream *s);
/* Run one chunk through all operations. in->x is lent. */
tb_status tbi_vae_stream_run(vae_stream *s, const vae_act *in, tb_err *err);

/* x += the level's input, space-to-depth and averaged (down) or repeated and depth-to-space (up).
 */
void tbi_vae_add_down(tb_compute *c, const vae_op *op, const vae_act *input, vae_act *x);
void tbi_vae_add_up(tb_compute *c, const vae_op *op, const vae_act *input, bool first, vae_act *x);
