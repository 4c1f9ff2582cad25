/* lora_describe.c - a LoRA as JSON for people: for which transformers, which targets, what ranks.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "models/lora.h"

/* What a file says of the transformer it was made for. */
typedef struct outline {
    int64_t width, blocks;         /* 0: nothing */
    int64_t rank_least, rank_most; /* 0: differences in full alone */
    bool image_branch;
    json_t *kinds; /* each kind of target once, with the blocks' numbers taken off */
} outline;

/* Behind "blocks_12_", whose number goes to *block; the name itself and -1 elsewhere. */
static const char *kind_of(const char *flat, long *block)
{
    static const char blocks[] = "blocks_";
    char *rest = NULL;
    *block = -1;
    if (!tb_str_starts(flat, blocks))
        return flat;
    const long n = strtol(flat + strlen(blocks), &rest, 10);
    if (*rest != '_' || n < 0 || n > 100000)
        return flat;
    *block = n;
    return rest + 1;
}

/* These take what runs through the blocks, so that their inputs tell its width. */
static bool takes_width(const char *kind)
{
    static const char *const kinds[] = { "self_attn_q", "self_attn_k",  "self_attn_v",
                                         "self_attn_o", "cross_attn_q", "ffn_0" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

static void add_kind(json_t *kinds, const char *kind)
{
    for (size_t i = 0; i < json_array_size(kinds); i++)
        if (strcmp(json_string_value(json_array_get(kinds, i)), kind) == 0)
            return;
    json_array_append_new(kinds, json_string(kind));
}

static outline outline_of(const tb_lora *l)
{
    outline o = { .kinds = json_array() };
    for (int i = 0; i < tb_lora_count(l); i++) {
        const tb_lora_target t = tb_lora_at(l, i);
        long block;
        const char *kind = kind_of(t.flat, &block);
        add_kind(o.kinds, kind);
        o.blocks = block + 1 > o.blocks ? block + 1 : o.blocks;
        o.width = t.rank && takes_width(kind) ? t.in : o.width;
        o.image_branch |= strstr(kind, "_img") != NULL;
        o.rank_most = t.rank > o.rank_most ? t.rank : o.rank_most;
        if (t.rank && (!o.rank_least || t.rank < o.rank_least))
            o.rank_least = t.rank;
    }
    return o;
}

/* New reference. */
static json_t *made_for(const outline *o)
{
    static const struct {
        int64_t width;
        const char *name;
    } known[] = { { 1536, "Wan2.1 1.3B, " }, { 3072, "Wan2.2 5B, " }, { 5120, "Wan 14B, " } };
    const char *name = "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        name = known[i].width == o->width ? known[i].name : name;
    if (!o->width)
        return json_string("unknown");
    return json_sprintf("%swidth %lld, %lld blocks%s", name, (long long)o->width,
                        (long long)o->blocks, o->image_branch ? ", image branch" : "");
}

static json_t *rank_of(const outline *o)
{
    if (!o->rank_most)
        return json_string("differences in full");
    if (o->rank_least == o->rank_most)
        return json_integer(o->rank_most);
    return json_sprintf("%lld to %lld", (long long)o->rank_least, (long long)o->rank_most);
}

json_t *tb_lora_describe(const char *path, tb_err *err)
{
    struct stat st = { 0 };
    tb_lora *l = tb_lora_open(path, err);
    if (!l)
        return NULL;
    const outline o = outline_of(l);
    stat(path, &st);
    json_t *j =
        json_pack("{s:s,s:s,s:I,s:o,s:o,s:i,s:o,s:i}", "path", path, "kind", "LoRA", "bytes",
                  (json_int_t)st.st_size, "for", made_for(&o), "rank", rank_of(&o), "targets",
                  tb_lora_count(l), "kinds", o.kinds, "left_out", tb_lora_left_out(l));
    if (!j)
        tb_err_set(err, TB_EINVAL, "the path or a tensor of the LoRA is not valid UTF-8");
    tb_lora_close(&l);
    return j;
}
