/* media_meta.c - text chunks of PNG, EXIF of WebP and JPEG, comments of JPEG and GIF.
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

#define KEY "prompt"

enum { MAX_TEXT = 64 << 20, MAX_CHUNKS = 100000, EXIF_MODEL = 0x0110, EXIF_ORIENTATION = 0x0112 };

/* ----------------------------------------------------------------------------------- reading bytes
 */

static bool get(int fd, int64_t at, void *buf, size_t n)
{
    return pread(fd, buf, n, at) == (ssize_t)n;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static int be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static int le16(const uint8_t *p)
{
    return p[1] << 8 | p[0];
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

/* -------------------------------------------------------------------------------------------- EXIF
 */

/* A TIFF block: the entry of `tag` in its first directory, or NULL. */
static const uint8_t *exif_find(const uint8_t *b, size_t n, int tag, bool *big)
{
    if (n < 14 || (memcmp(b, "II*\0", 4) != 0 && memcmp(b, "MM\0*", 4) != 0))
        return NULL;
    *big = b[0] == 'M';
    const uint32_t at = *big ? be32(b + 4) : le32(b + 4);
    if (at > n - 2)
        return NULL;
    const int count = *big ? be16(b + at) : le16(b + at);
    for (int i = 0; i < count && at + 2 + 12 * ((size_t)i + 1) <= n; i++) {
        const uint8_t *e = b + at + 2 + 12 * (size_t)i;
        if ((*big ? be16(e) : le16(e)) == tag)
            return e;
    }
    return NULL;
}

static int exif_orientation(const uint8_t *b, size_t n)
{
    bool big = false;
    const uint8_t *e = exif_find(b, n, EXIF_ORIENTATION, &big);
    const int v = !e ? 1 : big ? be16(e + 8) : le16(e + 8);
    return v >= 1 && v <= 8 ? v : 1;
}

static char *exif_graph(const uint8_t *b, size_t n)
{
    bool big = false;
    const uint8_t *e = exif_find(b, n, EXIF_MODEL, &big);
    if (!e)
        return NULL;
    const uint32_t count = big ? be32(e + 4) : le32(e + 4), at = big ? be32(e + 8) : le32(e + 8);
    const size_t skip = strlen(KEY ":");
    if (count <= skip || at > n || count > n - at || memcmp(b + at, KEY ":", skip) != 0)
        return NULL;
    return tb_xstrndup((const char *)b + at + skip, count - skip);
}

/* ------------------------------------------------------------------------------------- one format
 */

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
    for (int i = 0; i < MAX_CHUNKS && !m->graph && get(fd, at, h, 8); i++) {
        const uint32_t n = be32(h);
        const bool plain = memcmp(h + 4, "tEXt", 4) == 0;
        if (plain || memcmp(h + 4, "iTXt", 4) == 0) {
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
        const uint32_t n = le32(h + 4);
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
    if (marker == 0xe1 && n > 6 && memcmp(b, "Exif\0\0", 6) == 0)
        m->orientation = exif_orientation((const uint8_t *)b + 6, n - 6);
    else if (marker == 0xfe && n > skip && memcmp(b, graph->len ? KEY "+" : KEY ":", skip) == 0)
        tb_str_addn(graph, b + skip, n - skip);
}

static void read_jpeg(int fd, tbi_media_meta *m)
{
    tb_str graph = TB_STR_INIT;
    uint8_t h[4];
    int64_t at = 2;
    for (int i = 0; i < MAX_CHUNKS && get(fd, at, h, 4); i++) {
        const int n = be16(h + 2);
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

/* Where the blocks begin: behind the screen descriptor and its colour table. */
static size_t gif_start(const uint8_t *head)
{
    return 13 + (head[10] & 0x80 ? (size_t)3 << ((head[10] & 7) + 1) : 0);
}

static void read_gif(int fd, tbi_media_meta *m)
{
    uint8_t head[13], h[2];
    if (!get(fd, 0, head, sizeof head))
        return;
    int64_t at = (int64_t)gif_start(head);
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

/* --------------------------------------------------------------------------------------- embedding
 */

static void add_be32(tb_str *b, uint32_t v)
{
    const uint8_t bytes[] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
                              (uint8_t)v };
    tb_str_addn(b, bytes, sizeof bytes);
}

static void add_le(tb_str *b, uint32_t v, int n)
{
    for (int i = 0; i < n; i++) {
        const uint8_t byte = (uint8_t)(v >> 8 * i);
        tb_str_addn(b, &byte, 1);
    }
}

/* CRC-32 of ISO 3309, as PNG annex D defines it. */
static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= (uint8_t)p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

static bool put_png(tb_str *out, const uint8_t *file, size_t size, const char *graph)
{
    enum { BEHIND_IHDR = 33 };
    if (size < BEHIND_IHDR)
        return false;
    tb_str chunk = TB_STR_INIT;
    tb_str_add(&chunk, is_ascii(graph) ? "tEXt" : "iTXt");
    tb_str_addn(&chunk, KEY, sizeof KEY);
    if (!is_ascii(graph))
        tb_str_addn(&chunk, "\0\0\0\0", 4);
    tb_str_add(&chunk, graph);
    tb_str_addn(out, file, BEHIND_IHDR);
    add_be32(out, (uint32_t)(chunk.len - 4));
    tb_str_addn(out, chunk.s, chunk.len);
    add_be32(out, crc32_of(chunk.s, chunk.len));
    tb_str_addn(out, file + BEHIND_IHDR, size - BEHIND_IHDR);
    tb_str_free(&chunk);
    return true;
}

static bool put_jpeg(tb_str *out, const uint8_t *file, size_t size, const char *graph)
{
    if (size < 2)
        return false;
    const char *key = KEY ":";
    const size_t room = 65533 - strlen(key);
    tb_str_addn(out, file, 2);
    for (size_t left = strlen(graph); left; key = KEY "+") {
        const size_t n = left < room ? left : room, whole = n + strlen(key) + 2;
        const uint8_t head[] = { 0xff, 0xfe, (uint8_t)(whole >> 8), (uint8_t)whole };
        tb_str_addn(out, head, sizeof head);
        tb_str_add(out, key);
        tb_str_addn(out, graph, n);
        graph += n;
        left -= n;
    }
    tb_str_addn(out, file + 2, size - 2);
    return true;
}

static bool put_gif(tb_str *out, const uint8_t *file, size_t size, const char *graph)
{
    const size_t start = size < 13 ? size : gif_start(file);
    if (start >= size)
        return false;
    tb_str text = TB_STR_INIT;
    tb_str_addf(&text, KEY ":%s", graph);
    tb_str_addn(out, file, start);
    tb_str_addn(out, "\x21\xfe", 2);
    for (size_t at = 0; at < text.len;) {
        const uint8_t n = (uint8_t)(text.len - at < 255 ? text.len - at : 255);
        tb_str_addn(out, &n, 1);
        tb_str_addn(out, text.s + at, n);
        at += n;
    }
    tb_str_addn(out, "", 1);
    tb_str_addn(out, file + start, size - start);
    tb_str_free(&text);
    return true;
}

/* A TIFF block with one entry: the ASCII tag EXIF_MODEL. */
static void add_exif(tb_str *out, const char *graph)
{
    enum { TEXT_AT = 26 };
    const size_t n = strlen(KEY ":") + strlen(graph) + 1, bytes = TEXT_AT + n;
    tb_str_addn(out, "EXIF", 4);
    add_le(out, (uint32_t)bytes, 4);
    tb_str_addn(out, "II*\0", 4);
    add_le(out, 8, 4);
    add_le(out, 1, 2);
    add_le(out, EXIF_MODEL, 2);
    add_le(out, 2, 2);
    add_le(out, (uint32_t)n, 4);
    add_le(out, TEXT_AT, 4);
    add_le(out, 0, 4);
    tb_str_add(out, KEY ":");
    tb_str_addn(out, graph, strlen(graph) + 1);
    if (bytes & 1)
        tb_str_addn(out, "", 1);
}

static bool put_webp(tb_str *out, const uint8_t *file, size_t size, int64_t width, int64_t height,
                     const char *graph)
{
    enum { HAS_EXIF = 0x08, EXTENDED = 30 };
    if (size < EXTENDED)
        return false;
    size_t from = 12;
    tb_str_addn(out, file, from);
    tb_str_addn(out, "VP8X", 4);
    add_le(out, 10, 4);
    if (memcmp(file + 12, "VP8X", 4) == 0) {
        tb_str_addn(out, file + 20, 10);
        from = EXTENDED;
    } else {
        add_le(out, 0, 4);
        add_le(out, (uint32_t)(width - 1), 3);
        add_le(out, (uint32_t)(height - 1), 3);
    }
    out->s[20] |= HAS_EXIF;
    tb_str_addn(out, file + from, size - from);
    add_exif(out, graph);
    for (int i = 0; i < 4; i++)
        out->s[4 + i] = (char)(uint8_t)((out->len - 8) >> 8 * i);
    return true;
}

uint8_t *tbi_media_meta_embed(const char *format, const uint8_t *file, size_t size, int64_t width,
                              int64_t height, const char *graph, size_t *out_size)
{
    tb_str out = TB_STR_INIT;
    bool done = false;
    if (strcmp(format, "png") == 0)
        done = put_png(&out, file, size, graph);
    else if (strcmp(format, "jpg") == 0)
        done = put_jpeg(&out, file, size, graph);
    else if (strcmp(format, "gif") == 0)
        done = put_gif(&out, file, size, graph);
    else if (strcmp(format, "webp") == 0)
        done = put_webp(&out, file, size, width, height, graph);
    if (!done) {
        tb_str_free(&out);
        return NULL;
    }
    *out_size = out.len;
    return (uint8_t *)tb_str_take(&out);
}
