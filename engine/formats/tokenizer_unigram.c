/* tokenizer_unigram.c - the most probable segmentation (Kudo, arXiv 1804.10959): Viterbi over
 * pieces. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/tokenizer_parts.h"
#include "formats/tokenizer_utf8.h"

typedef struct node {
    double score; /* of the best path that ends here */
    size_t from;  /* where its last piece starts */
    int32_t id;   /* -1: not reached */
} node;

typedef struct row {
    const char *text;
    int32_t id;
} row;

static int by_text(const void *pa, const void *pb)
{
    const row *a = pa, *b = pb;
    const int d = strcmp(a->text, b->text);
    return d ? d : (a->id > b->id) - (a->id < b->id);
}

static bool is_matched(const tbi_piece *p)
{
    return p->len && (p->kind == TBI_PIECE_NORMAL || p->kind == TBI_PIECE_USER);
}

static void find_score_range(tb_tokenizer *t)
{
    double low = 0, high = 0;
    bool any = false;
    for (int32_t i = 0; i < t->count; i++) {
        if (!t->pieces[i].text || t->pieces[i].kind != TBI_PIECE_NORMAL)
            continue;
        const double s = t->pieces[i].score;
        low = !any || s < low ? s : low;
        high = !any || s > high ? s : high;
        any = true;
    }
    t->unknown_score = low - 10;
    t->highest = high;
}

tb_status tbi_unigram_prepare(tb_tokenizer *t, tb_err *err)
{
    row *rows = tb_xcalloc((size_t)t->count, sizeof *rows);
    int32_t n = 0;
    for (int32_t i = 0; i < t->count; i++)
        if (is_matched(&t->pieces[i]))
            rows[n++] = (row){ t->pieces[i].text, i };
    qsort(rows, (size_t)n, sizeof *rows, by_text);
    t->sorted = tb_xcalloc((size_t)n, sizeof *t->sorted);
    t->sorted_count = n;
    for (int32_t i = 0; i < n; i++)
        t->sorted[i] = rows[i].id;
    free(rows);
    find_score_range(t);
    if (!n)
        return tb_err_set(err, TB_EFORMAT, "'%s' has no pieces that text could be cut into",
                          t->path);
    return TB_OK;
}

static double score_of(const tb_tokenizer *t, const tbi_piece *p)
{
    return p->kind == TBI_PIECE_USER ? (double)p->len * t->highest - 0.1 : p->score;
}

/* The part of sorted[lo..hi), which agree in `at` bytes, whose next byte is at least c. */
static int32_t first_with(const tb_tokenizer *t, int32_t lo, int32_t hi, size_t at, int c)
{
    while (lo < hi) {
        const int32_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)t->pieces[t->sorted[mid]].text[at] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Two equal sums must meet as the reference lets them: compared as double, kept as it keeps them.
 */
static void offer(const tb_tokenizer *t, node *nodes, size_t from, size_t to, int32_t id,
                  double score)
{
    const double candidate = nodes[from].score + score;
    if (nodes[to].id >= 0 && !(candidate > nodes[to].score))
        return;
    nodes[to] = (node){ t->wide ? candidate : (double)(float)candidate, from, id };
}

/* All pieces that start at `i`; true if one of them is exactly `one` bytes long. */
static bool offer_pieces(const tb_tokenizer *t, node *nodes, const char *s, size_t n, size_t i,
                         size_t one)
{
    bool single = false;
    int32_t lo = 0, hi = t->sorted_count;
    for (size_t k = 0; i + k < n; k++) {
        const int c = (uint8_t)s[i + k];
        lo = first_with(t, lo, hi, k, c);
        hi = first_with(t, lo, hi, k, c + 1);
        if (lo >= hi)
            break;
        const int32_t id = t->sorted[lo]; /* the shortest comes first */
        if (t->pieces[id].len != k + 1)
            continue;
        offer(t, nodes, i, i + k + 1, id, score_of(t, &t->pieces[id]));
        single |= k + 1 == one;
    }
    return single;
}

void tbi_ids_add(tbi_ids *ids, int32_t id)
{
    TB_GROW(ids->items, ids->cap, ids->count + 1);
    ids->items[ids->count++] = id;
}

static void add_unknown(const tb_tokenizer *t, const char *s, size_t n, tbi_ids *ids)
{
    bool spelled = t->byte_fallback;
    for (size_t i = 0; i < n && spelled; i++)
        spelled = t->byte_ids[(uint8_t)s[i]] >= 0;
    for (size_t i = 0; i < n && spelled; i++)
        tbi_ids_add(ids, t->byte_ids[(uint8_t)s[i]]);
    if (!spelled)
        tbi_ids_add(ids, t->unknown);
}

/* Walk back from the end, then forward again; neighbouring unknowns are one. */
static void read_path(const tb_tokenizer *t, const node *nodes, const char *s, size_t n,
                      tbi_ids *ids)
{
    size_t *ends = NULL, count = 0, cap = 0;
    for (size_t at = n; at; at = nodes[at].from) {
        TB_GROW(ends, cap, count + 1);
        ends[count++] = at;
    }
    for (size_t i = count; i-- > 0;) {
        const size_t from = nodes[ends[i]].from;
        const int32_t id = nodes[ends[i]].id;
        while (id == t->unknown && i && nodes[ends[i - 1]].id == t->unknown)
            i--;
        if (id == t->unknown)
            add_unknown(t, s + from, ends[i] - from, ids);
        else
            tbi_ids_add(ids, id);
    }
    free(ends);
}

void tbi_unigram_segment(const tb_tokenizer *t, const char *s, size_t n, tbi_ids *ids)
{
    node *nodes = tb_xcalloc(n + 1, sizeof *nodes);
    for (size_t i = 1; i <= n; i++)
        nodes[i].id = -1;
    for (size_t i = 0; i < n;) {
        const int len = tb_utf8_decode(s + i, n - i, NULL);
        const size_t one = len ? (size_t)len : 1;
        if (!offer_pieces(t, nodes, s, n, i, one))
            offer(t, nodes, i, i + one, t->unknown, t->unknown_score);
        i += one;
    }
    read_path(t, nodes, s, n, ids);
    free(nodes);
}
