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
#include "formats/media_module.h"

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

/* ---------------------------------------------------------------------------------------- texts */

static const char *const keys[TB_MEDIA_KEY_COUNT] = TB_MEDIA_KEYS;

/* What is found in a file, and its texts as raw bytes: pieces of one may part a character. */
typedef struct scan {
    int fd;
    tbi_media_meta m;
    tb_str texts[TB_MEDIA_KEY_COUNT];
} scan;

static tb_str *text_of(scan *s, const char *key, size_t n)
{
    for (int i = 0; i < TB_MEDIA_KEY_COUNT; i++)
        if (strlen(keys[i]) == n && memcmp(keys[i], key, n) == 0)
            return &s->texts[i];
    return NULL;
}

/* The first text of a key counts; `more` continues it. */
static void add_text(tb_str *to, const char *text, size_t n, bool more)
{
    if (to && (to->len > 0) == more && to->len + n <= MAX_TEXT)
        tb_str_addn(to, text, n);
}

/* "prompt:...", and in JPEG "prompt+...", which goes on with it. */
static void add_comment(scan *s, const char *text, size_t n)
{
    size_t key = 0;
    while (key < n && text[key] != ':' && text[key] != '+')
        key++;
    if (key < n)
        add_text(text_of(s, text, key), text + key + 1, n - key - 1, text[key] == '+');
}

/* Those that are UTF-8. */
static void take_texts(scan *s)
{
    for (int i = 0; i < TB_MEDIA_KEY_COUNT; i++) {
        json_t *text = s->texts[i].len ? json_stringn(s->texts[i].s, s->texts[i].len) : NULL;
        if (text && !s->m.texts)
            s->m.texts = json_object();
        if (text)
            json_object_set_new(s->m.texts, keys[i], text);
        tb_str_free(&s->texts[i]);
    }
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

static void exif_texts(scan *s, const uint8_t *b, size_t n)
{
    for (int tag = TBI_EXIF_MODEL; tag > TBI_EXIF_MODEL - TBI_MEDIA_TEXTS; tag--) {
        bool big = false;
        const uint8_t *e = exif_find(b, n, tag, &big);
        const uint32_t count = !e ? 0 : big ? tbi_be32(e + 4) : tbi_le32(e + 4);
        const uint32_t at = !e ? 0 : big ? tbi_be32(e + 8) : tbi_le32(e + 8);
        if (count && at <= n && count <= n - at)
            add_comment(s, (const char *)b + at, strnlen((const char *)b + at, count));
    }
}

/* ---------------------------------------------------------------------------------- one format */

/* tEXt, comf: keyword 0 text. iTXt: keyword 0 compressed? method language 0 translated 0 text. */
static void png_text(scan *s, const char *chunk, size_t n, bool international)
{
    const size_t key = strnlen(chunk, n);
    const char *p = chunk + key + 1, *end = chunk + n;
    if (key >= n || (international && (end - p < 2 || p[0])))
        return;
    p += international ? 2 : 0;
    for (int i = 0; international && i < 2; i++) {
        p = memchr(p, 0, (size_t)(end - p));
        if (!p++)
            return;
    }
    add_text(text_of(s, chunk, key), p, (size_t)(end - p), false);
}

/* One chunk whose content begins at `at`. */
static void png_chunk(scan *s, const char *type, int64_t at, uint32_t n)
{
    const bool international = memcmp(type, "iTXt", 4) == 0;
    uint8_t size[8];
    if (memcmp(type, "IHDR", 4) == 0 && n == 13 && get(s->fd, at, size, 8)) {
        s->m.width = tbi_be32(size);
        s->m.height = tbi_be32(size + 4);
    } else if (memcmp(type, "acTL", 4) == 0) {
        s->m.width = s->m.height = 0; /* an animation */
    } else if (international || memcmp(type, "tEXt", 4) == 0 || memcmp(type, "comf", 4) == 0) {
        char *chunk = get_text(s->fd, at, n);
        if (chunk)
            png_text(s, chunk, n, international);
        free(chunk);
    }
}

static void read_png(scan *s)
{
    uint8_t h[8];
    int64_t at = 8;
    for (int i = 0; i < MAX_CHUNKS && get(s->fd, at, h, 8); i++) {
        const uint32_t n = tbi_be32(h);
        if (memcmp(h + 4, "IEND", 4) == 0)
            return;
        png_chunk(s, (const char *)h + 4, at + 8, n);
        at += 12 + (int64_t)n;
    }
}

static void read_webp(scan *s)
{
    uint8_t h[8];
    int64_t at = 12;
    for (int i = 0; i < MAX_CHUNKS && get(s->fd, at, h, 8); i++) {
        const uint32_t n = tbi_le32(h + 4);
        if (memcmp(h, "EXIF", 4) == 0) {
            uint8_t *b = (uint8_t *)get_text(s->fd, at + 8, n);
            if (b)
                exif_texts(s, b, n);
            free(b);
            return;
        }
        at += 8 + (int64_t)n + (n & 1);
    }
}

static void jpeg_segment(scan *s, int marker, const char *b, size_t n)
{
    const bool is_frame =
        (marker & 0xf0) == 0xc0 && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (is_frame && n >= 5) {
        s->m.height = tbi_be16((const uint8_t *)b + 1);
        s->m.width = tbi_be16((const uint8_t *)b + 3);
    } else if (marker == 0xe1 && n > 6 && memcmp(b, "Exif\0\0", 6) == 0) {
        s->m.orientation = exif_orientation((const uint8_t *)b + 6, n - 6);
    } else if (marker == 0xfe) {
        add_comment(s, b, n);
    }
}

static void read_jpeg(scan *s)
{
    uint8_t h[4];
    int64_t at = 2;
    for (int i = 0; i < MAX_CHUNKS && get(s->fd, at, h, 4); i++) {
        const int n = tbi_be16(h + 2);
        if (h[0] != 0xff || h[1] == 0xda || n < 2) /* start of scan: the pixels */
            break;
        char *b = get_text(s->fd, at + 4, (uint32_t)n - 2);
        if (b)
            jpeg_segment(s, h[1], b, (size_t)n - 2);
        free(b);
        at += 2 + n;
    }
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

static void read_gif(scan *s)
{
    uint8_t head[13], h[2];
    if (!get(s->fd, 0, head, sizeof head))
        return;
    int64_t at = (int64_t)tbi_gif_start(head);
    for (int i = 0; i < MAX_CHUNKS && get(s->fd, at, h, 2) && h[0] == 0x21; i++) {
        tb_str text = TB_STR_INIT;
        at += 2;
        gif_blocks(s->fd, &at, &text);
        if (h[1] == 0xfe && text.len)
            add_comment(s, text.s, text.len);
        tb_str_free(&text);
    }
}

tbi_media_meta tbi_media_meta_read(const char *path)
{
    scan s = { .m = { .orientation = 1 } };
    uint8_t h[12] = { 0 };
    s.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s.fd < 0)
        return s.m;
    if (!get(s.fd, 0, h, sizeof h))
        ;
    else if (memcmp(h, "\x89PNG\r\n\x1a\n", 8) == 0)
        read_png(&s);
    else if (memcmp(h, "RIFF", 4) == 0 && memcmp(h + 8, "WEBP", 4) == 0)
        read_webp(&s);
    else if (memcmp(h, "\xff\xd8\xff", 3) == 0)
        read_jpeg(&s);
    else if (memcmp(h, "GIF8", 4) == 0)
        read_gif(&s);
    close(s.fd);
    take_texts(&s);
    return s.m;
}
