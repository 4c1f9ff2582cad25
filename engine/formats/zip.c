/* zip.c - reading the central directory of a zip file of stored entries. */
#include "formats/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    LOCAL = 30,      /* bytes of an entry's own header before its name */
    CENTRAL = 46,    /* of its row in the directory */
    END = 22,        /* of the record at the end of the file */
    LOCATOR = 20,    /* of the note before it that there is a zip64 record */
    END_64 = 56,     /* of that record */
    COMMENT = 65535, /* the longest behind the end record */
    MAX_NAME = 1024,
};

typedef struct reader {
    const uint8_t *base;
    size_t size;
    const char *path;
    tbi_zip *zip;
    tb_err *err;
} reader;

/* Where the directory lies. */
typedef struct directory {
    uint64_t at, size, entries;
} directory;

static bool signature(const reader *r, size_t at, const char *letters)
{
    return memcmp(r->base + at, "PK", 2) == 0 && memcmp(r->base + at + 2, letters, 2) == 0;
}

static tb_status damaged(const reader *r, const char *what)
{
    return tb_err_set(r->err, TB_EFORMAT, "'%s' is cut short or damaged: %s", r->path, what);
}

bool tbi_zip_is(const uint8_t *bytes, size_t n)
{
    return n >= 4 && memcmp(bytes, "PK\3\4", 4) == 0;
}

/* The record at the very end, but for a comment. */
static tb_status find_end(const reader *r, size_t *at)
{
    const size_t least = r->size > END + COMMENT ? r->size - END - COMMENT : 0;
    for (size_t i = r->size >= END ? r->size - END + 1 : 0; i-- > least;)
        if (signature(r, i, "\5\6")) {
            *at = i;
            return TB_OK;
        }
    return damaged(r, "a zip file ends with a directory, and there is none");
}

static tb_status read_end_64(const reader *r, size_t end, directory *d)
{
    if (end < LOCATOR || !signature(r, end - LOCATOR, "\6\7"))
        return TB_OK; /* no zip64: the numbers were meant */
    const uint64_t at = tbi_le(r->base + end - LOCATOR + 8, 8);
    if (at > end - LOCATOR || end - LOCATOR - at < END_64 || !signature(r, (size_t)at, "\6\6"))
        return damaged(r, "its zip64 record is not where it should be");
    const uint8_t *p = r->base + at;
    *d = (directory){ tbi_le(p + 48, 8), tbi_le(p + 40, 8), tbi_le(p + 32, 8) };
    return TB_OK;
}

static tb_status find_directory(const reader *r, directory *d)
{
    size_t end = 0;
    TB_TRY(find_end(r, &end));
    const uint8_t *p = r->base + end;
    *d = (directory){ tbi_le(p + 16, 4), tbi_le(p + 12, 4), tbi_le(p + 10, 2) };
    if (d->at == UINT32_MAX || d->size == UINT32_MAX || d->entries == UINT16_MAX)
        TB_TRY(read_end_64(r, end, d));
    if (d->at > end || d->size > end - d->at)
        return damaged(r, "its directory lies beyond the end");
    return TB_OK;
}

/* A row of the directory while it is read. */
typedef struct row {
    const uint8_t *p;
    uint64_t flags, method, packed, size, name, extra, comment, at;
} row;

/* Numbers too large for 32 bits stand in an extra field of id 1, in this order. */
static tb_status read_extra(const reader *r, row *e)
{
    uint64_t *const fields[] = { &e->size, &e->packed, &e->at };
    const uint8_t *p = e->p + CENTRAL + e->name, *end = p + e->extra;
    while (end - p >= 4 && tbi_le(p, 2) != 1) {
        const uint64_t n = 4 + tbi_le(p + 2, 2);
        p = n > (uint64_t)(end - p) ? end : p + n;
    }
    const uint8_t *field = p + 4;
    const uint8_t *last = end - p >= 4 ? field + tbi_le(p + 2, 2) : NULL;
    for (int i = 0; i < 3; i++) {
        if (*fields[i] != UINT32_MAX)
            continue;
        if (!last || last > end || last - field < 8)
            return damaged(r, "an entry has no zip64 numbers where it should");
        *fields[i] = tbi_le(field, 8);
        field += 8;
    }
    return TB_OK;
}

/* Its bytes begin behind its own header, whose name and extra field have their own lengths. */
static tb_status find_bytes(const reader *r, const row *e, tbi_zip_entry *entry)
{
    if (e->at > r->size || r->size - e->at < LOCAL || !signature(r, (size_t)e->at, "\3\4"))
        return damaged(r, "an entry is not where its directory says");
    const uint8_t *p = r->base + e->at;
    const uint64_t head = LOCAL + tbi_le(p + 26, 2) + tbi_le(p + 28, 2);
    if (head > r->size - e->at || e->size > r->size - e->at - head)
        return tb_err_set(r->err, TB_EFORMAT,
                          "'%s' is cut short: its entry '%.120s' goes beyond "
                          "its end",
                          r->path, entry->name);
    entry->at = (size_t)(e->at + head);
    entry->size = (size_t)e->size;
    return TB_OK;
}

static tb_status check_entry(const reader *r, const row *e, const tbi_zip_entry *entry)
{
    if (e->method != 0 || e->packed != e->size)
        return tb_err_set(
            r->err, TB_EFORMAT,
            "'%s' holds '%.120s' compressed, where PyTorch stores it as it is; unpack "
            "it and save it again with torch.save",
            r->path, entry->name);
    if (e->flags & 1)
        return tb_err_set(r->err, TB_EFORMAT, "'%s' holds '%.120s' encrypted", r->path,
                          entry->name);
    if (tb_map_get(r->zip->by_name, entry->name) >= 0)
        return tb_err_set(r->err, TB_EFORMAT, "'%s' is damaged: it holds '%.120s' twice", r->path,
                          entry->name);
    return TB_OK;
}

static tb_status add_entry(const reader *r, row *e)
{
    tbi_zip *z = r->zip;
    TB_TRY(read_extra(r, e));
    if (e->name < 1 || e->name > MAX_NAME || memchr(e->p + CENTRAL, 0, (size_t)e->name))
        return damaged(r, "an entry has no name of 1 to 1024 bytes");
    TB_GROW(z->entries, z->cap, z->count + 1);
    tbi_zip_entry *entry = &z->entries[z->count++];
    *entry = (tbi_zip_entry){ .name = tb_xstrndup((const char *)e->p + CENTRAL, (size_t)e->name) };
    TB_TRY(check_entry(r, e, entry));
    tb_map_set(z->by_name, entry->name, z->count - 1);
    return find_bytes(r, e, entry);
}

static tb_status read_rows(const reader *r, const directory *d)
{
    const uint8_t *p = r->base + d->at, *end = p + d->size;
    for (uint64_t i = 0; i < d->entries; i++) {
        if (end - p < CENTRAL || !signature(r, (size_t)(p - r->base), "\1\2"))
            return damaged(r, "its directory has fewer entries than it says");
        row e = { p,
                  tbi_le(p + 8, 2),
                  tbi_le(p + 10, 2),
                  tbi_le(p + 20, 4),
                  tbi_le(p + 24, 4),
                  tbi_le(p + 28, 2),
                  tbi_le(p + 30, 2),
                  tbi_le(p + 32, 2),
                  tbi_le(p + 42, 4) };
        const uint64_t n = CENTRAL + e.name + e.extra + e.comment;
        if (n > (uint64_t)(end - p))
            return damaged(r, "its directory has fewer entries than it says");
        TB_TRY(add_entry(r, &e));
        p += n;
    }
    return TB_OK;
}

tb_status tbi_zip_read(const tbi_mapped *m, const char *path, tbi_zip *zip, tb_err *err)
{
    directory d;
    reader r = { m->base, m->size, path, zip, err };
    *zip = (tbi_zip){ .by_name = tb_map_new() };
    TB_TRY(find_directory(&r, &d));
    return read_rows(&r, &d);
}

void tbi_zip_fini(tbi_zip *zip)
{
    for (int i = 0; i < zip->count; i++)
        free(zip->entries[i].name);
    free(zip->entries);
    tb_map_free(&zip->by_name);
}

const tbi_zip_entry *tbi_zip_find(const tbi_zip *zip, const char *name)
{
    const int64_t i = tb_map_get(zip->by_name, name);
    return i < 0 ? NULL : &zip->entries[i];
}
