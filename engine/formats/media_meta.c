/* media_meta.c - read text chunks of PNG, EXIF of WebP and JPEG, comments of JPEG and GIF.
 *
 * Sources: PNG specification (W3C, third edition) 5.3, 11.3.3; WebP container (RFC 9649) 2.7;
 * TIFF 6.0 section 2; JPEG (ITU T.81) B.2.4; GIF89a 23, 24.
 */
#include "formats/media_meta.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "formats/media_bytes.h"

#define KEY TBI_MEDIA_KEY

enum { MAX_TEXT = 64 << 20, MAX_CHUNKS = 100000 };

/* ------------------------------------------------------------------------------- reading bytes */

static bool get(int fd, int64_t at, void *buf, size_t n)
{
    return pread(fd, buf, n, at) == (ssize_t)n;
}

/* n bytes from `at`, with a 0 behind them; NULL when they are not there. Freed by free(). */
static char *get_text(int fd, int64_t at, uint32_t n)
{
    if (n > MAX_TEXT)
        return NULL;
    char *text = tb_xcalloc((size_t)n + 1, 1);
    if (get(fd, at, text, n))
        return text;
    free(text);
    return NULL;
}

/* ---------------------------------------------------------------------------------------- EXIF */

/* A TIFF block: the entry of `tag` in its first directory, or NULL. */
static const uint8_t *exif_find(const uint8_t *b, size_t n, int tag, bool *big)
{
    if (n < 14 || (memcmp(b, "II*\0", 4) != 0 && memcmp(b, "MM\0*", 4) != 0))
        return NULL;
    *big = b[0] == 'M';
    const uint32_t at = *big ? tbi_be32(b + 4) : tbi_le32(b + 4);
    if (at > n - 2)
        return NULL;
    const int count = *big ? tbi_be16(b + at) : tbi_le16(b + at);
    for (int i = 0; i < count && at + 2 + 12 * ((size_t)i + 1) <= n; i++) {
        const uint8_t *e = b + at + 2 + 12 * (size_t)i;
        if ((*big ? tbi_be16(e) : tbi_le16(e)) == tag)
            return e;
    }
    return NULL;
}

static int exif_orientation(const uint8_t *b, size_t n)
{
    bool big = false;
    const uint8_t *e = exif_find(b, n, TBI_EXIF_ORIENTATION, &big);
    const int v = !e ? 1 : big ? tbi_be16(e + 8) : tbi_le16(e + 8);
    return v >= 1 && v <= 8 ? v : 1;
}

static char *exif_graph(const uint8_t *b, size_t n)
{
    bool big = false;
    const uint8_t *e = exif_find(b, n, TBI_EXIF_MODEL, &big);
    if (!e)
        return NULL;
    const uint32_t count = big ? tbi_be32(e + 4) : tbi_le32(e + 4),
                   at = big ? tbi_be32(e + 8) : tbi_le32(e + 8);
    const size_t skip = strlen(KEY ":");
    if (count <= skip || at > n || count > n - at || memcmp(b + at, KEY ":", skip) != 0)
        return NULL;
    return tb_xstrndup((const char *)b + at + skip, count - skip);
}

/* ---------------------------------------------------------------------------------- one format */

/* tEXt: keyword 0 text. iTXt: keyword 0 compressed? method language 0 translated 0 text. */
static char *png_text(const char *chunk, size_t n, bool international)
{
    const size_t key = strlen(KEY) + 1;
    if (n < key || memcmp(chunk, KEY, key) != 0)
        return NULL;
    const char *p = chunk + key, *end = chunk + n;
    if (international) {
        if (end - p < 2 || p[0])
            return NULL;
        p += 2;
        for (int i = 0; i < 2 && p; i++) {
            p = memchr(p, 0, (size_t)(end - p));
            p = p ? p + 1 : NULL;
        }
    }
    return p ? tb_xstrndup(p, (size_t)(end - p)) : NULL;
}

static void read_png(int fd, tbi_media_meta *m)
{
    uint8_t h[8];
    int64_t at = 8;
    for (int i = 0; i < MAX_CHUNKS && get(fd, at, h, 8); i++) {
        const uint32_t n = tbi_be32(h);
        const bool plain = memcmp(h + 4, "tEXt", 4) == 0;
        uint8_t size[8];
        if (memcmp(h + 4, "IHDR", 4) == 0 && n == 13 && get(fd, at + 8, size, 8)) {
            m->width = tbi_be32(size);
            m->height = tbi_be32(size + 4);
        } else if (memcmp(h + 4, "acTL", 4) == 0) {
            m->width = m->height = 0; /* an animation */
        } else if (m->graph) {
            if (memcmp(h + 4, "IDAT", 4) == 0)
                return;
        } else if (plain || memcmp(h + 4, "iTXt", 4) == 0) {
            char *chunk = get_text(fd, at + 8, n);
            m->graph = chunk ? png_text(chunk, n, !plain) : NULL;
            free(chunk);
        } else if (memcmp(h + 4, "IEND", 4) == 0) {
            return;
        }
        at += 12 + (int64_t)n;
    }
}

static void read_webp(int fd, tbi_media_meta *m)
{
    uint8_t h[8];
    int64_t at = 12;
    for (int i = 0; i < MAX_CHUNKS && get(fd, at, h, 8); i++) {
        const uint32_t n = tbi_le32(h + 4);
        if (memcmp(h, "EXIF", 4) == 0) {
            uint8_t *b = (uint8_t *)get_text(fd, at + 8, n);
            m->graph = b ? exif_graph(b, n) : NULL;
            free(b);
            return;
        }
        at += 8 + (int64_t)n + (n & 1);
    }
}

static void jpeg_segment(tbi_media_meta *m, tb_str *graph, int marker, const char *b, size_t n)
{
    const size_t skip = strlen(KEY ":");
    const bool is_frame =
        (marker & 0xf0) == 0xc0 && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (is_frame && n >= 5) {
        m->height = tbi_be16((const uint8_t *)b + 1);
        m->width = tbi_be16((const uint8_t *)b + 3);
    } else if (marker == 0xe1 && n > 6 && memcmp(b, "Exif\0\0", 6) == 0) {
        m->orientation = exif_orientation((const uint8_t *)b + 6, n - 6);
    } else if (marker == 0xfe && n > skip && memcmp(b, graph->len ? KEY "+" : KEY ":", skip) == 0) {
        tb_str_addn(graph, b + skip, n - skip);
    }
}

static void read_jpeg(int fd, tbi_media_meta *m)
{
    tb_str graph = TB_STR_INIT;
    uint8_t h[4];
    int64_t at = 2;
    for (int i = 0; i < MAX_CHUNKS && get(fd, at, h, 4); i++) {
        const int n = tbi_be16(h + 2);
        if (h[0] != 0xff || h[1] == 0xda || n < 2) /* start of scan: the pixels */
            break;
        char *b = get_text(fd, at + 4, (uint32_t)n - 2);
        if (b)
            jpeg_segment(m, &graph, h[1], b, (size_t)n - 2);
        free(b);
        at += 2 + n;
    }
    if (graph.len)
        m->graph = tb_str_take(&graph);
    tb_str_free(&graph);
}

/* The sub-blocks of an extension, joined; *at moves behind them. */
static void gif_blocks(int fd, int64_t *at, tb_str *text)
{
    uint8_t n;
    for (char block[255]; get(fd, *at, &n, 1); *at += 1 + n) {
        if (n == 0 || text->len > MAX_TEXT || !get(fd, *at + 1, block, n))
            break;
        tb_str_addn(text, block, n);
    }
    *at += 1;
}

static void read_gif(int fd, tbi_media_meta *m)
{
    uint8_t head[13], h[2];
    if (!get(fd, 0, head, sizeof head))
        return;
    int64_t at = (int64_t)tbi_gif_start(head);
    for (int i = 0; i < MAX_CHUNKS && !m->graph && get(fd, at, h, 2) && h[0] == 0x21; i++) {
        tb_str text = TB_STR_INIT;
        at += 2;
        gif_blocks(fd, &at, &text);
        if (h[1] == 0xfe && text.len && tb_str_starts(text.s, KEY ":"))
            m->graph = tb_xstrdup(text.s + strlen(KEY ":"));
        tb_str_free(&text);
    }
}

tbi_media_meta tbi_media_meta_read(const char *path)
{
    tbi_media_meta m = { .orientation = 1 };
    uint8_t h[12] = { 0 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return m;
    if (!get(fd, 0, h, sizeof h))
        ;
    else if (memcmp(h, "\x89PNG\r\n\x1a\n", 8) == 0)
        read_png(fd, &m);
    else if (memcmp(h, "RIFF", 4) == 0 && memcmp(h + 8, "WEBP", 4) == 0)
        read_webp(fd, &m);
    else if (memcmp(h, "\xff\xd8\xff", 3) == 0)
        read_jpeg(fd, &m);
    else if (memcmp(h, "GIF8", 4) == 0)
        read_gif(fd, &m);
    close(fd);
    return m;
}
