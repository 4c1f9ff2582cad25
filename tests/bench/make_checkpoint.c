/* make_checkpoint.c - a safetensors file with the tensor names and shapes of a published model and
 * random weights: for load times and memory where the weights themselves are not at hand.
 *
 * usage: make_checkpoint MODEL FILE [f16|bf16|f32] [sparse]
 *
 * MODEL is t2v-1.3b, t2v-14b, i2v-14b (Wan2.1), umt5-xxl or vae, under the original names, or
 * clip-vit-h, the image encoder of I2V, under Hugging Face's. With "sparse" only the header is
 * written: the file has its full size and no data (all zeros). Sizes in f16: 2.8, 28.6, 32.8, 11.4,
 * 0.25 and 1.3 GB; there is no check that they fit.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

typedef struct checkpoint {
    const char *dtype; /* as in the header */
    int64_t size;      /* bytes of a number */
    int64_t bytes;     /* of all data so far */
    int tensors;
    tb_str header;
    char prefix[80];
} checkpoint;

/* A tensor `<prefix><name>` of the shape given, which ends with 0. */
static void add(checkpoint *c, const char *name, ...)
{
    int64_t count = 1;
    const char *comma = "";
    va_list ap;
    tb_str_addf(&c->header, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", c->tensors++ ? "," : "{",
                c->prefix, name, c->dtype);
    va_start(ap, name);
    for (int n; (n = va_arg(ap, int)) != 0; comma = ",") {
        tb_str_addf(&c->header, "%s%d", comma, n);
        count *= n;
    }
    va_end(ap);
    tb_str_addf(&c->header, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", c->bytes,
                c->bytes + count * c->size);
    c->bytes += count * c->size;
}

/* "<name><tail>", lent until the next call. */
static const char *joined(const char *name, const char *tail)
{
    static char text[200];
    snprintf(text, sizeof text, "%.90s%.90s", name, tail);
    return text;
}

static void linear(checkpoint *c, const char *name, int out, int in)
{
    add(c, joined(name, ".weight"), out, in, 0);
    add(c, joined(name, ".bias"), out, 0);
}

/* --------------------------------------------------------------------------------- transformer */

typedef struct dit_shape {
    int dim, ffn, layers, in;
    bool image;
} dit_shape;

static void attention(checkpoint *c, const char *name, int dim, bool image)
{
    static const char *const parts[] = { ".q", ".k", ".v", ".o", ".k_img", ".v_img" };
    static const char *const norms[] = { ".norm_q.weight", ".norm_k.weight", ".norm_k_img.weight" };
    for (int i = 0; i < (image ? 6 : 4); i++) {
        char full[40];
        snprintf(full, sizeof full, "%.20s%.10s", name, parts[i]);
        linear(c, full, dim, dim);
    }
    for (int i = 0; i < (image ? 3 : 2); i++)
        add(c, joined(name, norms[i]), dim, 0);
}

static void add_dit(checkpoint *c, const dit_shape *s)
{
    const int d = s->dim;
    add(c, "patch_embedding.weight", d, s->in, 1, 2, 2, 0);
    add(c, "patch_embedding.bias", d, 0);
    linear(c, "text_embedding.0", d, 4096);
    linear(c, "text_embedding.2", d, d);
    linear(c, "time_embedding.0", d, 256);
    linear(c, "time_embedding.2", d, d);
    linear(c, "time_projection.1", 6 * d, d);
    for (int i = 0; i < s->layers; i++) {
        snprintf(c->prefix, sizeof c->prefix, "blocks.%d.", i);
        add(c, "modulation", 1, 6, d, 0);
        attention(c, "self_attn", d, false);
        add(c, "norm3.weight", d, 0);
        add(c, "norm3.bias", d, 0);
        attention(c, "cross_attn", d, s->image);
        linear(c, "ffn.0", s->ffn, d);
        linear(c, "ffn.2", d, s->ffn);
    }
    *c->prefix = 0;
    add(c, "head.modulation", 1, 2, d, 0);
    linear(c, "head.head", 64, d);
    if (!s->image)
        return;
    add(c, "img_emb.proj.0.weight", 1280, 0);
    add(c, "img_emb.proj.0.bias", 1280, 0);
    linear(c, "img_emb.proj.1", 1280, 1280);
    linear(c, "img_emb.proj.3", d, 1280);
    add(c, "img_emb.proj.4.weight", d, 0);
    add(c, "img_emb.proj.4.bias", d, 0);
}

/* -------------------------------------------------------------------------------- text encoder */

static void add_umt5(checkpoint *c)
{
    enum { D = 4096, FF = 10240 };
    add(c, "token_embedding.weight", 256384, D, 0);
    add(c, "norm.weight", D, 0);
    for (int i = 0; i < 24; i++) {
        snprintf(c->prefix, sizeof c->prefix, "blocks.%d.", i);
        add(c, "norm1.weight", D, 0);
        add(c, "attn.q.weight", D, D, 0);
        add(c, "attn.k.weight", D, D, 0);
        add(c, "attn.v.weight", D, D, 0);
        add(c, "attn.o.weight", D, D, 0);
        add(c, "norm2.weight", D, 0);
        add(c, "ffn.gate.0.weight", FF, D, 0);
        add(c, "ffn.fc1.weight", FF, D, 0);
        add(c, "ffn.fc2.weight", D, FF, 0);
        add(c, "pos_embedding.embedding.weight", 32, 64, 0);
    }
    *c->prefix = 0;
}

/* ------------------------------------------------------------------------------- image encoder */

static void add_clip_vit_h(checkpoint *c)
{
    enum { D = 1280, FF = 5120 };
    static const char *const parts[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                         "self_attn.out_proj" };
    add(c, "vision_model.embeddings.class_embedding", D, 0);
    add(c, "vision_model.embeddings.patch_embedding.weight", D, 3, 14, 14, 0);
    add(c, "vision_model.embeddings.position_embedding.weight", 257, D, 0);
    add(c, "vision_model.pre_layrnorm.weight", D, 0);
    add(c, "vision_model.pre_layrnorm.bias", D, 0);
    for (int i = 0; i < 32; i++) {
        snprintf(c->prefix, sizeof c->prefix, "vision_model.encoder.layers.%d.", i);
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            linear(c, parts[k], D, D);
        linear(c, "mlp.fc1", FF, D);
        linear(c, "mlp.fc2", D, FF);
        for (int k = 1; k <= 2; k++) {
            add(c, k == 1 ? "layer_norm1.weight" : "layer_norm2.weight", D, 0);
            add(c, k == 1 ? "layer_norm1.bias" : "layer_norm2.bias", D, 0);
        }
    }
    *c->prefix = 0;
    add(c, "vision_model.post_layernorm.weight", D, 0);
    add(c, "vision_model.post_layernorm.bias", D, 0);
    add(c, "visual_projection.weight", 1024, D, 0);
}

/* ----------------------------------------------------------------------------------------- VAE */

static void conv(checkpoint *c, const char *name, int out, int in, int kt, int k)
{
    if (kt)
        add(c, joined(name, ".weight"), out, in, kt, k, k, 0);
    else
        add(c, joined(name, ".weight"), out, in, k, k, 0);
    add(c, joined(name, ".bias"), out, 0);
}

static void residual(checkpoint *c, int out, int in)
{
    add(c, "residual.0.gamma", in, 1, 1, 1, 0);
    conv(c, "residual.2", out, in, 3, 3);
    add(c, "residual.3.gamma", out, 1, 1, 1, 0);
    conv(c, "residual.6", out, out, 3, 3);
    if (out != in)
        conv(c, "shortcut", out, in, 1, 1);
}

static void below(checkpoint *c, const char *half, const char *list, int i)
{
    snprintf(c->prefix, sizeof c->prefix, "%s.%s.%d.", half, list, i);
}

static void middle(checkpoint *c, const char *half)
{
    enum { D = 384 };
    below(c, half, "middle", 0);
    residual(c, D, D);
    below(c, half, "middle", 1);
    add(c, "norm.gamma", D, 1, 1, 0);
    conv(c, "to_qkv", 3 * D, D, 0, 1);
    conv(c, "proj", D, D, 0, 1);
    below(c, half, "middle", 2);
    residual(c, D, D);
}

static void head(checkpoint *c, const char *half, int out, int in)
{
    snprintf(c->prefix, sizeof c->prefix, "%s.head.", half);
    add(c, "0.gamma", in, 1, 1, 1, 0);
    conv(c, "2", out, in, 3, 3);
    *c->prefix = 0;
}

/* 96, 192, 384, 384 channels; between the stages the resolution halves or doubles, twice time does
 * too. The decoder's upsamplers halve the channels. */
static void add_vae(checkpoint *c)
{
    static const int wide[] = { 96, 192, 384, 384 };
    int at = 0, in = 96;
    conv(c, "encoder.conv1", 96, 3, 3, 3);
    for (int stage = 0; stage < 4; stage++) {
        for (int i = 0; i < 2; i++, in = wide[stage]) {
            below(c, "encoder", "downsamples", at++);
            residual(c, wide[stage], in);
        }
        if (stage == 3)
            break;
        below(c, "encoder", "downsamples", at++);
        conv(c, "resample.1", in, in, 0, 3);
        if (stage > 0) {
            add(c, "time_conv.weight", in, in, 3, 1, 1, 0);
            add(c, "time_conv.bias", in, 0);
        }
    }
    middle(c, "encoder");
    head(c, "encoder", 32, 384);
    conv(c, "conv1", 32, 32, 1, 1);
    conv(c, "conv2", 16, 16, 1, 1);
    conv(c, "decoder.conv1", 384, 16, 3, 3);
    middle(c, "decoder");
    for (int stage = 3, n = at = 0; stage >= 0; stage--) {
        in = stage == 3 ? 384 : wide[stage + 1] / 2;
        in = stage == 2 ? 192 : in;
        for (int i = 0; i < 3; i++, in = wide[stage]) {
            below(c, "decoder", "upsamples", at++);
            residual(c, wide[stage], in);
        }
        if (stage == 0)
            break;
        below(c, "decoder", "upsamples", at++);
        conv(c, "resample.1", in / 2, in, 0, 3);
        if (n++ < 2) {
            add(c, "time_conv.weight", 2 * in, in, 3, 1, 1, 0);
            add(c, "time_conv.bias", 2 * in, 0);
        }
    }
    head(c, "decoder", 3, 96);
}

/* ---------------------------------------------------------------------------------------- file */

/* Numbers of either sign between 2^-6 and 2^-5. */
static void fill(char *block, size_t bytes, const char *dtype)
{
    uint32_t seed = 1;
    const int half = strcmp(dtype, "F16") == 0, wide = strcmp(dtype, "F32") == 0;
    for (size_t i = 0; i < bytes; i += wide ? 4 : 2) {
        seed = seed * 1664525u + 1013904223u;
        const uint32_t f32 = (seed & 0x80000000u) | 121u << 23 | (seed >> 8 & 0x7fffffu);
        const uint16_t f16 = (uint16_t)((seed >> 31 << 15) | 9u << 10 | (seed >> 8 & 0x3ffu)),
                       bf16 = (uint16_t)(f32 >> 16);
        memcpy(block + i, wide ? (const void *)&f32 : half ? &f16 : &bf16, wide ? 4 : 2);
    }
}

static int put(int file, const void *data, size_t bytes)
{
    for (const char *at = data; bytes > 0;) {
        const ssize_t n = write(file, at, bytes);
        if (n <= 0)
            return -1;
        at += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int write_file(const checkpoint *c, const char *path, bool sparse)
{
    enum { BLOCK = 4 << 20 };
    const uint64_t length = c->header.len;
    const int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    char *block = malloc(BLOCK);
    int bad = file < 0 || !block || put(file, &length, sizeof length) ||
              put(file, c->header.s, c->header.len);
    if (!bad && sparse) {
        bad = ftruncate(file, (off_t)(sizeof length + length) + c->bytes);
    } else if (!bad) {
        fill(block, BLOCK, c->dtype);
        for (int64_t left = c->bytes; left > 0 && !bad; left -= BLOCK)
            bad = put(file, block, (size_t)(left < BLOCK ? left : BLOCK));
    }
    if (bad)
        perror(path);
    free(block);
    if (file >= 0)
        close(file);
    return bad ? 1 : 0;
}

static bool describe(checkpoint *c, const char *model)
{
    static const struct {
        const char *name;
        dit_shape shape;
    } dits[] = { { "t2v-1.3b", { 1536, 8960, 30, 16, false } },
                 { "t2v-14b", { 5120, 13824, 40, 16, false } },
                 { "i2v-14b", { 5120, 13824, 40, 36, true } } };
    for (int i = 0; i < 3; i++)
        if (strcmp(model, dits[i].name) == 0)
            add_dit(c, &dits[i].shape);
    if (strcmp(model, "umt5-xxl") == 0)
        add_umt5(c);
    if (strcmp(model, "clip-vit-h") == 0)
        add_clip_vit_h(c);
    if (strcmp(model, "vae") == 0)
        add_vae(c);
    tb_str_add(&c->header, "}");
    while (c->header.len % 8)
        tb_str_add(&c->header, " ");
    return c->tensors > 0;
}

int main(int argc, char **argv)
{
    const char *dtype = argc > 3 ? argv[3] : "f16";
    checkpoint c = { .dtype = strcmp(dtype, "f32") == 0    ? "F32"
                              : strcmp(dtype, "bf16") == 0 ? "BF16"
                                                           : "F16",
                     .size = strcmp(dtype, "f32") == 0 ? 4 : 2,
                     .header = TB_STR_INIT };
    if (argc < 3 || !describe(&c, argv[1])) {
        fputs("usage: make_checkpoint t2v-1.3b|t2v-14b|i2v-14b|umt5-xxl|clip-vit-h|vae FILE "
              "[f16|bf16|f32] [sparse]\n",
              stderr);
        return 2;
    }
    const int code = write_file(&c, argv[2], argc > 4);
    printf("%s: %d tensors, %" PRId64 " numbers, %s\n", argv[2], c.tensors, c.bytes / c.size,
           c.dtype);
    tb_str_free(&c.header);
    return code;
}
