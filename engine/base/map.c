/* map.c - open addressing with linear probing, at most half full. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"

typedef struct slot {
    char *key; /* NULL: free */
    uint64_t hash;
    int64_t value;
} slot;

struct tb_map {
    slot *slots;
    size_t cap, count; /* cap is a power of two */
};

tb_map *tb_map_new(void)
{
    tb_map *m = tb_xcalloc(1, sizeof *m);
    m->cap = 16;
    m->slots = tb_xcalloc(m->cap, sizeof *m->slots);
    return m;
}

void tb_map_free(tb_map **mp)
{
    tb_map *m = *mp;
    if (!m)
        return;
    for (size_t i = 0; i < m->cap; i++)
        free(m->slots[i].key);
    free(m->slots);
    free(m);
    *mp = NULL;
}

static slot *probe(const tb_map *m, const char *key, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        slot *s = &m->slots[i];
        if (!s->key || (s->hash == hash && strcmp(s->key, key) == 0))
            return s;
    }
}

static void grow(tb_map *m)
{
    slot *old = m->slots;
    const size_t n = m->cap;
    m->cap *= 2;
    m->slots = tb_xcalloc(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < n; i++)
        if (old[i].key)
            *probe(m, old[i].key, old[i].hash) = old[i];
    free(old);
}

void tb_map_set(tb_map *m, const char *key, int64_t value)
{
    const uint64_t hash = XXH3_64bits(key, strlen(key));
    slot *s = probe(m, key, hash);
    if (!s->key) {
        if (2 * (m->count + 1) > m->cap) {
            grow(m);
            s = probe(m, key, hash);
        }
        *s = (slot){ .key = tb_xstrdup(key), .hash = hash };
        m->count++;
    }
    s->value = value;
}

int64_t tb_map_get(const tb_map *m, const char *key)
{
    const slot *s = probe(m, key, XXH3_64bits(key, strlen(key)));
    return s->key ? s->value : -1;
}

size_t tb_map_count(const tb_map *m)
{
    return m->count;
}
