/* media_embed.c - put the graph into a finished file.
 *
 * Sources: PNG specification (W3C, third edition) 5.3, 11.3.3 and annex D; WebP container (RFC
 * 9649) 2.7; TIFF 6.0 section 2; JPEG (ITU T.81) B.2.4.5; GIF89a 24.
 */
#include <string.h>

#include "formats/media_bytes.h"
#include "formats/media_meta.h"

#define KEY TBI_MEDIA_KEY

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
    tbi_add_be(out, (uint32_t)(chunk.len - 4), 4);
    tb_str_addn(out, chunk.s, chunk.len);
    tbi_add_be(out, crc32_of(chunk.s, chunk.len), 4);
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
    const size_t start = size < 13 ? size : tbi_gif_start(file);
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

/* A TIFF block with one entry: the ASCII tag TBI_EXIF_MODEL. */
static void add_exif(tb_str *out, const char *graph)
{
    enum { TEXT_AT = 26 };
    const size_t n = strlen(KEY ":") + strlen(graph) + 1, bytes = TEXT_AT + n;
    tb_str_addn(out, "EXIF", 4);
    tbi_add_le(out, (uint32_t)bytes, 4);
    tb_str_addn(out, "II*\0", 4);
    tbi_add_le(out, 8, 4);
    tbi_add_le(out, 1, 2);
    tbi_add_le(out, TBI_EXIF_MODEL, 2);
    tbi_add_le(out, 2, 2);
    tbi_add_le(out, (uint32_t)n, 4);
    tbi_add_le(out, TEXT_AT, 4);
    tbi_add_le(out, 0, 4);
    tb_str_add(out, KEY ":");
    tb_str_addn(out, graph, strlen(graph) + 1);
    if (bytes & 1)
        tb_str_addn(out, "", 1);
}

/* The size of a still WebP from the head of its one chunk, "VP8 " or "VP8L". */
static bool webp_size(const uint8_t *chunk, uint32_t *width, uint32_t *height)
{
    if (memcmp(chunk, "VP8 ", 4) == 0) {
        *width = (uint32_t)tbi_le16(chunk + 14) & 0x3fff;
        *height = (uint32_t)tbi_le16(chunk + 16) & 0x3fff;
        return true;
    }
    const uint32_t bits = tbi_le32(chunk + 9);
    *width = (bits & 0x3fff) + 1;
    *height = (bits >> 14 & 0x3fff) + 1;
    return memcmp(chunk, "VP8L", 4) == 0;
}

static bool put_webp(tb_str *out, const uint8_t *file, size_t size, const char *graph)
{
    enum { FIRST = 12, EXTENDED = 30, HAS_EXIF = 0x08 };
    uint32_t width = 0, height = 0;
    const bool extended = size >= EXTENDED && memcmp(file + FIRST, "VP8X", 4) == 0;
    if (size < EXTENDED || (!extended && !webp_size(file + FIRST, &width, &height)))
        return false;
    tb_str_addn(out, file, FIRST);
    if (extended) {
        tb_str_addn(out, file + FIRST, EXTENDED - FIRST);
    } else {
        tb_str_add(out, "VP8X");
        tbi_add_le(out, 10, 4);
        tbi_add_le(out, 0, 4);
        tbi_add_le(out, width - 1, 3);
        tbi_add_le(out, height - 1, 3);
    }
    out->s[20] |= HAS_EXIF;
    const size_t from = extended ? EXTENDED : FIRST;
    tb_str_addn(out, file + from, size - from);
    add_exif(out, graph);
    for (int i = 0; i < 4; i++)
        out->s[4 + i] = (char)(uint8_t)((out->len - 8) >> 8 * i);
    return true;
}

bool tbi_media_embed(tb_str *out, const char *format, const uint8_t *file, size_t size,
                     const char *graph)
{
    static const struct {
        const char *format;
        bool (*put)(tb_str *out, const uint8_t *file, size_t size, const char *graph);
    } writers[] = {
        { "png", put_png }, { "apng", put_png },  { "jpg", put_jpeg },
        { "gif", put_gif }, { "webp", put_webp }, { "mp4", tbi_media_mp4_put },
    };
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        if (strcmp(writers[i].format, format) == 0)
            return writers[i].put(out, file, size, graph);
    return false;
}
