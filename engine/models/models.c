/* models.c - the opened parts of models: found by digest, at most a few of each kind,
 * within a budget. */
#include "models/models.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PER_KIND 2 /* two experts of one model, or the two sides of a comparison */

typedef enum kind { UMT5, TOKENIZER, CLIP_VISION, DIT, VAE, KINDS } kind;

static const struct {
    const char *what, *input; /* what users call it, load_model's input */
} kind_tab[KINDS] = {
    [UMT5] = { "text encoder", "text_encoder" },
    [TOKENIZER] = { "tokenizer", "tokenizer" },
    [CLIP_VISION] = { "image encoder", "image_encoder" },
    [DIT] = { "transformer", "transformer" },
    [VAE] = { "VAE", "vae" },
};

typedef struct part {
    char *id;           /* NULL: a free slot */
    char *path, *stamp; /* of its files; NULL: not known */
    uint64_t used;
    tb_weights *weights; /* stay mapped: models may point into them */
    tb_umt5 *umt5;
    tb_tokenizer *tokenizer;
    tb_clip_vision *clip_vision;
    tb_wan_dit *dit;
    tb_wan_vae *vae;
} part;

struct tb_models {
    part parts[KINDS][PER_KIND];
    uint64_t clock;
    size_t budget;
    char *expected_id, *expected_stamp;
};

tb_models *tb_models_new(void)
{
    return tb_xcalloc(1, sizeof(tb_models));
}

static void close_part(part *p)
{
    tb_umt5_close(&p->umt5);
    tb_tokenizer_close(&p->tokenizer);
    tb_clip_vision_close(&p->clip_vision);
    tb_wan_dit_close(&p->dit);
    tb_wan_vae_close(&p->vae);
    tb_weights_close(&p->weights);
    free(p->id);
    free(p->path);
    free(p->stamp);
    *p = (part){ 0 };
}

void tb_models_free(tb_models **mp)
{
    tb_models *m = *mp;
    *mp = NULL;
    for (int i = 0; m && i < KINDS * PER_KIND; i++)
        close_part(&m->parts[i / PER_KIND][i % PER_KIND]);
    if (m) {
        free(m->expected_id);
        free(m->expected_stamp);
    }
    free(m);
}

void tb_models_set_budget(tb_models *m, size_t bytes)
{
    m->budget = bytes;
}

static size_t part_bytes(const part *p)
{
    return (p->umt5 ? tb_umt5_bytes(p->umt5) : 0) + (p->dit ? tb_wan_dit_bytes(p->dit) : 0) +
           (p->vae ? tb_wan_vae_bytes(p->vae) : 0);
}

void tb_models_make_room(tb_models *m, const char *id, size_t bytes)
{
    for (;;) {
        size_t held = 0;
        part *oldest = NULL;
        for (int i = 0; i < KINDS * PER_KIND; i++) {
            part *p = &m->parts[i / PER_KIND][i % PER_KIND];
            if (!p->id || p->tokenizer || strcmp(p->id, id) == 0)
                continue;
            held += part_bytes(p);
            if (!oldest || p->used < oldest->used)
                oldest = p;
        }
        if (!oldest || !m->budget || (bytes <= m->budget && held <= m->budget - bytes))
            return;
        close_part(oldest);
    }
}

/* The slot of this id, or an emptied one. */
static part *slot_of(tb_models *m, kind k, const char *id)
{
    part *oldest = &m->parts[k][0];
    for (int i = 0; i < PER_KIND; i++) {
        part *p = &m->parts[k][i];
        if (p->id && strcmp(p->id, id) == 0)
            return p;
        if (p->used < oldest->used)
            oldest = p;
    }
    close_part(oldest);
    return oldest;
}

/* The files stay open until they are merged. */
static tb_wan_dit *open_dit(tb_compute *c, const tb_weights *w, const tb_lora_file *files,
                            int count, tb_err *err)
{
    tb_lora_use *uses = tb_xcalloc((size_t)count + 1, sizeof *uses);
    tb_lora **loras = tb_xcalloc((size_t)count + 1, sizeof *loras);
    tb_wan_dit *dit = NULL;
    int n = 0;
    while (n < count && (loras[n] = tb_lora_open(files[n].path, err)) != NULL) {
        uses[n] = (tb_lora_use){ loras[n], files[n].strength };
        n++;
    }
    if (n == count)
        dit = tb_wan_dit_open_merged(c, w, tb_weights_config(w), uses, count, err);
    while (n > 0)
        tb_lora_close(&loras[--n]);
    free(loras);
    free(uses);
    return dit;
}

/* A part as it is asked for. */
typedef struct wanted {
    const char *path, *id;
    const tb_lora_file *loras;
    int lora_count;
} wanted;

/* Weights are packed when they are opened; of what is read later, pages come back. */
static void forget_pages(const tb_weights *w)
{
    for (int i = 0; i < tb_weights_count(w); i++)
        tb_tensor_forget(tb_weights_at(w, i));
}

static bool open_part(part *p, kind k, tb_compute *c, const wanted *want, tb_err *err)
{
    if (k == TOKENIZER) {
        p->tokenizer = tb_tokenizer_open(want->path, err);
        return p->tokenizer != NULL;
    }
    p->weights = tb_weights_open(want->path, err);
    if (!p->weights)
        return false;
    if (k == UMT5)
        p->umt5 = tb_umt5_open(c, p->weights, err);
    else if (k == CLIP_VISION)
        p->clip_vision = tb_clip_vision_open(p->weights, err);
    else if (k == DIT)
        p->dit = open_dit(c, p->weights, want->loras, want->lora_count, err);
    else
        p->vae = tb_wan_vae_open(c, p->weights, err);
    forget_pages(p->weights);
    return p->umt5 || p->clip_vision || p->dit || p->vae;
}

void tb_models_expect(tb_models *m, const char *id, const char *stamp)
{
    free(m->expected_id);
    free(m->expected_stamp);
    m->expected_id = tb_xstrdup(id);
    m->expected_stamp = tb_xstrdup(stamp);
}

/* Closes a part whose files are not those it was described by. */
static tb_status check(part *p, tb_err *err)
{
    char now[TB_KEY_HEX];
    if (!p->stamp || !*p->stamp)
        return TB_OK;
    tb_model_part_stamp(p->path, now);
    if (strcmp(now, p->stamp) == 0)
        return TB_OK;
    tb_err_set(err, TB_EIO,
               "'%s' was changed on disk after this run had begun with it; run it again when the "
               "file is complete",
               p->path);
    close_part(p);
    return TB_EIO;
}

tb_status tb_models_check(tb_models *m, const char *id, tb_err *err)
{
    for (int i = 0; i < KINDS * PER_KIND; i++) {
        part *p = &m->parts[i / PER_KIND][i % PER_KIND];
        if (p->id && strcmp(p->id, id) == 0)
            TB_TRY(check(p, err));
    }
    return TB_OK;
}

static tb_status open_as(tb_models *m, part *p, kind k, tb_compute *c, const wanted *want,
                         const char *name, tb_err *err)
{
    if (!open_part(p, k, c, want, err)) {
        close_part(p);
        return TB_EFORMAT;
    }
    p->id = tb_xstrdup(name);
    p->path = tb_xstrdup(want->path);
    if (k != TOKENIZER && m->expected_id && strcmp(m->expected_id, name) == 0)
        p->stamp = tb_xstrdup(m->expected_stamp);
    return check(p, err);
}

/* An id stands for content; without one, the path is all that is known. */
static part *find(tb_models *m, kind k, tb_compute *c, const wanted *want, tb_err *err)
{
    if (!want->path || !*want->path) {
        tb_err_set(err, TB_ENOTFOUND,
                   "the model has no %s: give load_model the path of one as '%s'", kind_tab[k].what,
                   kind_tab[k].input);
        return NULL;
    }
    const char *name = want->id && *want->id ? want->id : want->path;
    part *p = slot_of(m, k, name);
    if (!p->id && open_as(m, p, k, c, want, name, err) != TB_OK)
        return NULL;
    p->used = ++m->clock;
    return p;
}

const tb_umt5 *tb_models_umt5(tb_models *m, tb_compute *c, const char *path, const char *id,
                              tb_err *err)
{
    const part *p = find(m, UMT5, c, &(wanted){ path, id, NULL, 0 }, err);
    return p ? p->umt5 : NULL;
}

const tb_tokenizer *tb_models_tokenizer(tb_models *m, const char *path, const char *id, tb_err *err)
{
    const part *p = find(m, TOKENIZER, NULL, &(wanted){ path, id, NULL, 0 }, err);
    return p ? p->tokenizer : NULL;
}

const tb_clip_vision *tb_models_clip_vision(tb_models *m, const char *path, const char *id,
                                            tb_err *err)
{
    const part *p = find(m, CLIP_VISION, NULL, &(wanted){ path, id, NULL, 0 }, err);
    return p ? p->clip_vision : NULL;
}

tb_wan_dit *tb_models_dit(tb_models *m, tb_compute *c, const char *path, const char *id,
                          const tb_lora_file *loras, int lora_count, tb_err *err)
{
    const part *p = find(m, DIT, c, &(wanted){ path, id, loras, lora_count }, err);
    return p ? p->dit : NULL;
}

tb_wan_vae *tb_models_vae(tb_models *m, tb_compute *c, const char *path, const char *id,
                          tb_err *err)
{
    const part *p = find(m, VAE, c, &(wanted){ path, id, NULL, 0 }, err);
    return p ? p->vae : NULL;
}

size_t tb_models_bytes(const tb_models *m)
{
    size_t n = 0;
    for (int i = 0; i < KINDS * PER_KIND; i++)
        n += part_bytes(&m->parts[i / PER_KIND][i % PER_KIND]);
    return n;
}
