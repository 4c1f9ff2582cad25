/* memory.c - results kept in memory between runs: those that are not worth a disk.
 *
 * A hash table by key and a list by use; what was used longest ago goes first when the bytes are
 * too many. Values are shared, never copied: the same key gives the same value.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/run_internal.h"

#define ENTRY_BYTES   256 /* of an entry and its lists, about */
#define VALUE_BYTES   48
#define FIRST_BUCKETS 1024

typedef struct entry {
    tb_key key;
    tb_value **out; /* LIST per output */
    int count;
    size_t bytes;
    struct entry *chain, *newer, *older;
} entry;

/* lock: all fields. Plans look from the pool while the loop runs. */
struct tbi_memory {
    pthread_mutex_t lock;
    entry **buckets;
    size_t bucket_count, entry_count;
    entry *newest, *oldest;
    size_t bytes, cap;
};

tbi_memory *tbi_memory_new(size_t cap)
{
    if (!cap)
        return NULL;
    tbi_memory *m = tb_xcalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    m->cap = cap;
    m->bucket_count = FIRST_BUCKETS;
    m->buckets = tb_xcalloc(m->bucket_count, sizeof(entry *));
    return m;
}

/* Where the key is, or would be. Keys are hashes already. */
static entry **find(const tbi_memory *m, const tb_key *key)
{
    uint64_t h;
    memcpy(&h, key->b, sizeof h);
    entry **at = &m->buckets[h & (m->bucket_count - 1)];
    while (*at && memcmp((*at)->key.b, key->b, sizeof key->b) != 0)
        at = &(*at)->chain;
    return at;
}

static void unlink_use(tbi_memory *m, entry *e)
{
    *(e->newer ? &e->newer->older : &m->newest) = e->older;
    *(e->older ? &e->older->newer : &m->oldest) = e->newer;
}

static void link_newest(tbi_memory *m, entry *e)
{
    e->newer = NULL;
    e->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = e;
    m->newest = e;
}

static void drop(tbi_memory *m, entry *e)
{
    *find(m, &e->key) = e->chain;
    unlink_use(m, e);
    m->bytes -= e->bytes;
    m->entry_count--;
    for (int k = 0; k < e->count; k++)
        tb_value_unref(&e->out[k]);
    free(e->out);
    free(e);
}

void tbi_memory_clear(tbi_memory *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    while (m->oldest)
        drop(m, m->oldest);
    pthread_mutex_unlock(&m->lock);
}

void tbi_memory_free(tbi_memory **mp)
{
    tbi_memory *m = *mp;
    if (!m)
        return;
    tbi_memory_clear(m);
    pthread_mutex_destroy(&m->lock);
    free(m->buckets);
    free(m);
    *mp = NULL;
}

static void grow(tbi_memory *m)
{
    entry **old = m->buckets;
    m->bucket_count *= 2;
    m->buckets = tb_xcalloc(m->bucket_count, sizeof(entry *));
    for (entry *e = m->newest; e; e = e->older)
        e->chain = NULL;
    for (entry *e = m->newest; e; e = e->older)
        *find(m, &e->key) = e;
    free(old);
}

static size_t held_bytes(const tb_value *v)
{
    size_t n = VALUE_BYTES;
    switch (tb_value_kind(v)) {
    case TB_STRING: return n + strlen(tb_value_as_string(v));
    case TB_TENSOR: return n + tb_tensor_bytes(tb_value_as_tensor(v));
    case TB_LIST:
        for (int i = 0; i < tb_list_count(v); i++)
            n += held_bytes(tb_list_at(v, i));
        return n;
    case TB_RECORD:
        for (int i = 0; i < tb_record_count(v); i++)
            n += held_bytes(tb_record_at(v, i)) + strlen(tb_record_name(v, i));
        return n;
    case TB_NONE:
    case TB_BOOLEAN:
    case TB_INT:
    case TB_FLOAT: break;
    }
    return n;
}

void tbi_memory_put(tbi_memory *m, const tb_key *key, tb_value *const *out, int count)
{
    size_t bytes = ENTRY_BYTES;
    for (int k = 0; m && k < count; k++)
        bytes += held_bytes(out[k]);
    if (!m || bytes > m->cap / 4) /* one result does not drive out all others */
        return;
    pthread_mutex_lock(&m->lock);
    entry **at = find(m, key), *e = *at;
    if (e) {
        unlink_use(m, e);
    } else {
        e = *at = tb_xcalloc(1, sizeof *e);
        *e = (entry){ .key = *key, .count = count, .bytes = bytes };
        e->out = tb_xcalloc((size_t)count + 1, sizeof *e->out);
        for (int k = 0; k < count; k++)
            e->out[k] = tb_value_ref(out[k]);
        m->bytes += bytes;
        m->entry_count++;
    }
    link_newest(m, e);
    while (m->bytes > m->cap)
        drop(m, m->oldest);
    if (m->entry_count > m->bucket_count)
        grow(m);
    pthread_mutex_unlock(&m->lock);
}

tb_value **tbi_memory_get(tbi_memory *m, const tb_key *key, int count)
{
    tb_value **out = NULL;
    if (!m)
        return NULL;
    pthread_mutex_lock(&m->lock);
    entry *e = *find(m, key);
    if (e && e->count == count) {
        unlink_use(m, e);
        link_newest(m, e);
        out = tb_xcalloc((size_t)count + 1, sizeof *out);
        for (int k = 0; k < count; k++)
            out[k] = tb_value_ref(e->out[k]);
    }
    pthread_mutex_unlock(&m->lock);
    return out;
}

/* ------------------------------------------------------------------------------- of a run's nodes
 */

/* Files are delivered to where the inputs say, which a remembered result does not know. */
static bool delivers_by_link(const tb_pnode *n)
{
    for (int k = 0; n->type->def->deliver && k < n->type->input_count; k++)
        if (n->type->def->inputs[k].flags & TB_IN_UNKEYED && n->args[k].src >= 0)
            return true;
    return false;
}

static bool may_remember(const tb_pnode *n)
{
    return n->keyed && !n->impure && !n->alias && n->type->kind != TB_COMPOSITE &&
           !(n->type->def->flags & (TB_NODE_FORGET | TB_NODE_IMPURE));
}

static bool may_recall(const tb_run *r, int node)
{
    const tb_pnode *p = &r->program->nodes[node];
    return r->engine->memory && !r->o.no_cache && !r->nodes[node].out && may_remember(p) &&
           !delivers_by_link(p);
}

bool tbi_is_remembered(const tb_run *r, int node)
{
    const tb_pnode *p = &r->program->nodes[node];
    tb_value **out = may_recall(r, node)
                         ? tbi_memory_get(r->engine->memory, &p->key, p->type->output_count)
                         : NULL;
    for (int k = 0; out && k < p->type->output_count; k++)
        tb_value_unref(&out[k]);
    free(out);
    return out != NULL;
}

bool tbi_recall(tb_run *r, int node)
{
    const tb_pnode *p = &r->program->nodes[node];
    tbi_node *n = &r->nodes[node];
    if (!may_recall(r, node))
        return false;
    n->out = tbi_memory_get(r->engine->memory, &p->key, p->type->output_count);
    if (!n->out)
        return false;
    n->recalled = true;
    n->state = TBI_DONE;
    return true;
}

void tbi_remember(tb_run *r, int node)
{
    const tb_pnode *p = &r->program->nodes[node];
    if (!r->o.plan_only && may_remember(p))
        tbi_memory_put(r->engine->memory, &p->key, r->nodes[node].out, p->type->output_count);
}
