/* models_records.c - hashes beside a file, in the forms that downloads leave them. */
#include "models/models_records.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_SUMS = 1 << 20, LEVELS_UP = 4 };

typedef struct records {
    tbi_record *items;
    int count;
    size_t cap;
} records;

/* Hex digits that `text` begins with, when they are 64 or 40; else 0. */
static int digits_of(const char *text)
{
    const size_t n = strspn(text, "0123456789abcdefABCDEF");
    return n == 64 || n == 40 ? (int)n : 0;
}

static void add(records *r, const char *from, const char *hash, int digits)
{
    if (!digits)
        return;
    TB_GROW(r->items, r->cap, r->count + 1);
    tbi_record *one = &r->items[r->count++];
    *one = (tbi_record){ .from = tb_xstrdup(from) };
    for (int i = 0; i < digits; i++)
        one->hash[i] = (char)tolower((unsigned char)hash[i]);
}

/* NULL: there is no such file, or none of texts. */
static char *read_text(const char *path)
{
    char *text = NULL;
    size_t n = 0;
    if (!tb_fs_is_file(path) || tb_fs_read(path, MAX_SUMS, &text, &n, NULL) != TB_OK)
        return NULL;
    return text;
}

/* ------------------------------------------------------------------------ each kind of record */

static void look_at_link(records *r, const char *file)
{
    char target[PATH_MAX];
    const ssize_t n = readlink(file, target, sizeof target - 1);
    if (n <= 0)
        return;
    target[n] = 0;
    char *dir = tb_fs_dirname(target);
    const char *name = tb_fs_basename(target);
    const int digits = digits_of(name);
    if (strcmp(tb_fs_basename(dir), "blobs") == 0 && digits && !name[digits])
        add(r, target, name, digits);
    free(dir);
}

/* The second line, which servers also put in quotes. */
static void look_at_metadata(records *r, const char *folder, const char *relative)
{
    char *path = tb_xasprintf("%s/.cache/huggingface/download/%s.metadata", folder, relative),
         *text = read_text(path);
    const char *line = text ? strchr(text, '\n') : NULL;
    if (line) {
        line += 1 + strspn(line + 1, " \"");
        add(r, path, line, digits_of(line));
    }
    free(text);
    free(path);
}

/* "HASH  name", "HASH *name", "HASH  ./name" */
static bool names_it(const char *behind_hash, const char *relative)
{
    const char *name = behind_hash + strspn(behind_hash, " \t*");
    name += tb_str_starts(name, "./") ? 2 : 0;
    const size_t n = strcspn(name, "\r\n");
    return name > behind_hash && n == strlen(relative) && strncmp(name, relative, n) == 0;
}

static void look_at_sums(records *r, const char *folder, const char *relative)
{
    char *path = tb_fs_join(folder, "SHA256SUMS"), *text = read_text(path);
    for (const char *line = text; line && *line;) {
        const int digits = digits_of(line);
        if (digits == 64 && names_it(line + digits, relative))
            add(r, path, line, digits);
        const char *next = strchr(line, '\n');
        line = next ? next + 1 : NULL;
    }
    free(text);
    free(path);
}

static void look_beside(records *r, const char *file)
{
    char *path = tb_xasprintf("%s.sha256", file), *text = read_text(path);
    const int digits = text ? digits_of(text) : 0;
    if (digits == 64)
        add(r, path, text, digits);
    free(text);
    free(path);
}

/* -------------------------------------------------------------------------------------- public */

/* The file's folder and those above it, as far as the path goes; `look` gets the path below each.
 */
static void look_upwards(records *r, const char *file,
                         void (*look)(records *r, const char *folder, const char *relative))
{
    char *whole = *file == '/' ? tb_xstrdup(file) : realpath(".", NULL), *at, *rest;
    if (whole && *file != '/') {
        at = tb_fs_join(whole, file);
        free(whole);
        whole = at;
    }
    at = whole ? tb_xstrdup(whole) : NULL;
    for (int i = 0; at && i < LEVELS_UP && strrchr(at, '/') > at; i++) {
        *strrchr(at, '/') = 0;
        rest = whole + strlen(at) + 1;
        look(r, at, rest);
    }
    free(at);
    free(whole);
}

void tbi_records_find(const char *file, tbi_record **list, int *count)
{
    records r = { 0 };
    look_at_link(&r, file);
    look_upwards(&r, file, look_at_metadata);
    look_upwards(&r, file, look_at_sums);
    look_beside(&r, file);
    *list = r.items;
    *count = r.count;
}

void tbi_records_free(tbi_record **list, int count)
{
    for (int i = 0; i < count; i++)
        free((*list)[i].from);
    free(*list);
    *list = NULL;
}
