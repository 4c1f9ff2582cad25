/* str.c - a growing string, and small helpers for text. */
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tb_str_addn(tb_str *b, const void *bytes, size_t n)
{
    TB_GROW(b->s, b->cap, b->len + n + 1);
    if (n)
        memcpy(b->s + b->len, bytes, n);
    b->len += n;
    b->s[b->len] = 0;
}

void tb_str_add(tb_str *b, const char *text)
{
    tb_str_addn(b, text, strlen(text));
}

void tb_str_addf(tb_str *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    TB_GROW(b->s, b->cap, b->len + (size_t)n + 1);
    vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
    va_end(again);
    b->len += (size_t)n;
}

void tb_str_clear(tb_str *b)
{
    b->len = 0;
    if (b->s)
        b->s[0] = 0;
}

void tb_str_free(tb_str *b)
{
    free(b->s);
    *b = TB_STR_INIT;
}

char *tb_str_take(tb_str *b)
{
    char *s = b->s ? b->s : tb_xstrdup("");
    *b = TB_STR_INIT;
    return s;
}

bool tb_str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool tb_str_ends(const char *s, const char *suffix)
{
    const size_t n = strlen(s), k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

bool tb_str_size(const char *text, int64_t *width, int64_t *height)
{
    long long w, h;
    int used = 0;
    if (sscanf(text, "%lldx%lld%n", &w, &h, &used) != 2 || text[used])
        return false;
    *width = w;
    *height = h;
    return true;
}

static int min3(int a, int b, int c)
{
    const int m = a < b ? a : b;
    return m < c ? m : c;
}

int tb_str_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    const int n = (int)strnlen(a, MAX), m = (int)strnlen(b, MAX);
    int row[3][MAX + 1]; /* the last two rows and the one being made */
    for (int j = 0; j <= m; j++)
        row[1][j] = j;
    memset(row[0], 0, sizeof row[0]);
    for (int i = 1; i <= n; i++) {
        row[2][0] = i;
        for (int j = 1; j <= m; j++) {
            const int cost = a[i - 1] != b[j - 1];
            row[2][j] = min3(row[1][j] + 1, row[2][j - 1] + 1, row[1][j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[2][j] = min3(row[2][j], row[0][j - 2] + 1, row[2][j]);
        }
        memcpy(row[0], row[1], sizeof row[0]);
        memcpy(row[1], row[2], sizeof row[1]);
    }
    return row[1][m];
}

char *tb_str_bytes(unsigned long long bytes, char *buf, size_t n)
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024 && u < 4) {
        v /= 1024;
        u++;
    }
    snprintf(buf, n, v < 10 && u ? "%.1f %s" : "%.0f %s", v, unit[u]);
    return buf;
}

char *tb_str_seconds(double seconds, char *buf, size_t n)
{
    if (seconds < 10)
        snprintf(buf, n, "%.1f s", seconds);
    else if (seconds < 60)
        snprintf(buf, n, "%.0f s", seconds);
    else if (seconds < 3600)
        snprintf(buf, n, "%d min %02d s", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(buf, n, "%d h %02d min", (int)(seconds / 3600), (int)(seconds / 60) % 60);
    return buf;
}
