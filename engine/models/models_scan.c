/* models_scan.c - the numbers and the hash of one file, side by side. */
#include "models/models_scan.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_hash.h"
#include "base/mem.h"

enum { BLOCK = 1 << 16 }; /* elements; a multiple of every kind of block */

tb_status tbi_scan_init(tbi_scan *s, const tb_model_watch *watch, int64_t total, tb_err *err)
{
    *s = (tbi_scan){ .watch = watch, .total = total, .c = tb_compute_new(0, err) };
    if (!s->c)
        return err->status;
    s->blocks = tb_xcalloc((size_t)tb_compute_threads(s->c) * BLOCK, sizeof *s->blocks);
    pthread_mutex_init(&s->lock, NULL);
    return TB_OK;
}

void tbi_scan_fini(tbi_scan *s)
{
    if (!s->c)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s->blocks);
    tb_compute_free(&s->c);
}

json_t *tbi_scan_text(const char *text)
{
    json_t *j = json_string(text);
    if (j)
        return j;
    char *plain = tb_xstrdup(text);
    for (char *c = plain; *c; c++)
        *c = (unsigned char)*c < 0x80 ? *c : '?';
    j = json_string(plain);
    free(plain);
    return j;
}

static void advance(void *ctx, size_t bytes)
{
    tbi_scan *s = ctx;
    if (!s->watch || !s->watch->progress)
        return;
    pthread_mutex_lock(&s->lock);
    s->done += (int64_t)bytes;
    s->watch->progress(s->watch->ctx, s->file, s->done, s->total);
    pthread_mutex_unlock(&s->lock);
}

/* --------------------------------------------------------------------------------- one tensor */

typedef struct tensor_job {
    tbi_scan *scan;
    const tb_tensor *t;
    atomic_int_fast64_t nan, inf;
    atomic_bool filled; /* some number is not 0 */
} tensor_job;

static void look_at_block(void *ctx, int64_t i, int worker)
{
    tensor_job *j = ctx;
    float *x = j->scan->blocks + (size_t)worker * BLOCK;
    const int64_t from = i * BLOCK, left = tb_tensor_count(j->t) - from,
                  n = left < BLOCK ? left : BLOCK;
    int64_t nan = 0, inf = 0, filled = 0;
    tb_tensor_read_f32(j->t, from, n, x);
    for (int64_t k = 0; k < n; k++) {
        uint32_t bits;
        memcpy(&bits, &x[k], sizeof bits);
        bits &= 0x7fffffffu;
        nan += bits > 0x7f800000u;
        inf += bits == 0x7f800000u;
        filled += bits != 0;
    }
    if (nan)
        atomic_fetch_add(&j->nan, nan);
    if (inf)
        atomic_fetch_add(&j->inf, inf);
    if (filled)
        atomic_store(&j->filled, true);
    tb_tensor_forget_part(j->t, from, n);
    advance(j->scan,
            (size_t)((double)tb_tensor_bytes(j->t) * (double)n / (double)tb_tensor_count(j->t)));
}

/* A file's row on its way. */
typedef struct file_job {
    tbi_scan *scan;
    json_t *names, *bad, *zero;
    int64_t tensors;
} file_job;

static tb_status look_at_tensor(void *ctx, const char *name, const tb_tensor *t, tb_err *err)
{
    file_job *f = ctx;
    tensor_job j = { .scan = f->scan, .t = t };
    const int64_t count = tb_tensor_count(t);
    (void)err;
    tb_parallel(f->scan->c, (count + BLOCK - 1) / BLOCK, look_at_block, &j);
    tb_tensor_forget(t);
    f->tensors++;
    if (f->names)
        json_object_set_new(f->names, name, json_null());
    if (j.nan || j.inf)
        json_array_append_new(f->bad, json_pack("{s:o,s:I,s:I,s:I}", "tensor", tbi_scan_text(name),
                                                "count", (json_int_t)count, "nan",
                                                (json_int_t)j.nan, "inf", (json_int_t)j.inf));
    if (count && !j.filled)
        json_array_append_new(f->zero, tbi_scan_text(name));
    return TB_OK;
}

/* ----------------------------------------------------------------------------------- one file */

typedef struct hash_job {
    tbi_scan *scan;
    const char *file;
    char hex[TB_FILE_HEX];
    tb_status status;
    tb_err err;
} hash_job;

static void *make_hash(void *arg)
{
    hash_job *h = arg;
    h->status = tb_file_hash(h->file, TB_FILE_SHA256, h->hex, advance, h->scan, &h->err);
    return NULL;
}

static void look_at_numbers(tbi_scan *s, const char *file, json_t *row, json_t *names)
{
    tb_err err = TB_ERR_INIT;
    file_job f = { .scan = s, .names = names, .bad = json_array(), .zero = json_array() };
    if (tb_weights_each(file, look_at_tensor, &f, &err) != TB_OK)
        json_object_set_new(row, "error", tbi_scan_text(err.message));
    json_object_set_new(row, "tensors", json_integer(f.tensors));
    json_object_set_new(row, "bad", f.bad);
    json_object_set_new(row, "zero", f.zero);
}

tb_status tbi_scan_file(tbi_scan *s, const char *file, bool weights, json_t *row, json_t *names,
                        tb_err *err)
{
    hash_job h = { .scan = s, .file = file, .err = TB_ERR_INIT };
    pthread_t thread;
    s->file = file;
    const bool beside = weights && pthread_create(&thread, NULL, make_hash, &h) == 0;
    if (weights)
        look_at_numbers(s, file, row, names);
    if (beside)
        pthread_join(thread, NULL);
    else
        make_hash(&h);
    if (h.status != TB_OK)
        return tb_err_set(err, h.status, "%s", h.err.message);
    json_object_set_new(row, "sha256", json_string(h.hex));
    return TB_OK;
}
