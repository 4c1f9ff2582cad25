/* media_mp4.c - texts put into a finished MP4: moov/udta/meta with keys and ilst (QuickTime File
 * Format, "Metadata"), as FFmpeg's use_metadata_tags writes it.
 *
 * The index stands before the pictures, so all chunk offsets (ISO/IEC 14496-12, 8.7.5) move by what
 * is added.
 */
#include <string.h>

#include "formats/media_bytes.h"
#include "formats/media_meta.h"

typedef struct box {
    uint8_t *body;
    size_t size; /* of the body */
    char type[4];
} box;

/* The box at *p, which moves behind it. False at the end or when the box does not fit. */
static bool next_box(uint8_t **p, const uint8_t *end, box *b)
{
    const size_t left = (size_t)(end - *p);
    if (left < 8)
        return false;
    size_t head = 8;
    uint64_t size = tbi_be32(*p);
    if (size == 1 && left >= 16) {
        size = (uint64_t)tbi_be32(*p + 8) << 32 | tbi_be32(*p + 12);
        head = 16;
    }
    if (size < head || size > left)
        return false;
    memcpy(b->type, *p + 4, 4);
    b->body = *p + head;
    b->size = (size_t)size - head;
    *p += size;
    return true;
}

static bool is(const box *b, const char *type)
{
    return memcmp(b->type, type, 4) == 0;
}

static bool shift_table(const box *b, size_t delta, int width)
{
    if (b->size < 8)
        return false;
    const size_t count = tbi_be32(b->body + 4);
    if (count > (b->size - 8) / (size_t)width)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint8_t *p = b->body + 8 + i * (size_t)width;
        uint64_t at = tbi_be32(p);
        if (width == 8)
            at = at << 32 | tbi_be32(p + 4);
        if (width == 4 && at + delta > UINT32_MAX)
            return false;
        tbi_put_be(p, at + delta, width);
    }
    return true;
}

/* All chunk offsets below this box; depth: how far the tree may still go down. */
static bool shift_offsets(const box *parent, size_t delta, int depth)
{
    uint8_t *p = parent->body, *end = p + parent->size;
    for (box b; next_box(&p, end, &b);) {
        bool ok = true;
        if (is(&b, "stco"))
            ok = shift_table(&b, delta, 4);
        else if (is(&b, "co64"))
            ok = shift_table(&b, delta, 8);
        else if (depth && (is(&b, "trak") || is(&b, "mdia") || is(&b, "minf") || is(&b, "stbl")))
            ok = shift_offsets(&b, delta, depth - 1);
        if (!ok)
            return false;
    }
    return p == end;
}

static void begin(tb_str *out, size_t size, const char *type)
{
    tbi_add_be(out, size, 4);
    tb_str_addn(out, type, 4);
}

static void add_keys(tb_str *out, const tbi_media_text *texts, int count)
{
    tbi_add_be(out, 0, 4);
    tbi_add_be(out, (uint32_t)count, 4);
    for (int i = 0; i < count; i++) {
        begin(out, 8 + strlen(texts[i].key), "mdta");
        tb_str_add(out, texts[i].key);
    }
}

static void add_values(tb_str *out, const tbi_media_text *texts, int count)
{
    for (int i = 0; i < count; i++) {
        const size_t data = 16 + strlen(texts[i].text);
        tbi_add_be(out, 8 + data, 4);
        tbi_add_be(out, (uint32_t)i + 1, 4); /* which key */
        begin(out, data, "data");
        tbi_add_be(out, 1, 4); /* UTF-8 */
        tbi_add_be(out, 0, 4);
        tb_str_add(out, texts[i].text);
    }
}

static void add_udta(tb_str *out, const tbi_media_text *texts, int count)
{
    tb_str keys = TB_STR_INIT, values = TB_STR_INIT;
    add_keys(&keys, texts, count);
    add_values(&values, texts, count);
    const size_t hdlr = 33, meta = 12 + hdlr + 8 + keys.len + 8 + values.len;
    begin(out, 8 + meta, "udta");
    begin(out, meta, "meta");
    tbi_add_be(out, 0, 4);
    begin(out, hdlr, "hdlr");
    tbi_add_be(out, 0, 8);
    tb_str_add(out, "mdta");
    for (int i = 0; i < 13; i++)
        tbi_add_be(out, 0, 1);
    begin(out, 8 + keys.len, "keys");
    tb_str_addn(out, keys.s, keys.len);
    begin(out, 8 + values.len, "ilst");
    tb_str_addn(out, values.s, values.len);
    tb_str_free(&keys);
    tb_str_free(&values);
}

bool tbi_media_mp4_put(tb_str *out, const uint8_t *file, size_t size, const tbi_media_text *texts,
                       int count)
{
    tb_str copy = TB_STR_INIT, udta = TB_STR_INIT;
    bool done = false;
    tb_str_addn(&copy, file, size);
    add_udta(&udta, texts, count);
    uint8_t *p = (uint8_t *)copy.s, *end = p + size, *start = p;
    for (box b; next_box(&p, end, &b); start = p) {
        if (!is(&b, "moov") || b.body != start + 8)
            continue;
        if (!shift_offsets(&b, udta.len, 4))
            break;
        tbi_put_be(start, b.size + 8 + udta.len, 4);
        tb_str_addn(out, copy.s, (size_t)(p - (uint8_t *)copy.s));
        tb_str_addn(out, udta.s, udta.len);
        tb_str_addn(out, p, (size_t)(end - p));
        done = true;
        break;
    }
    tb_str_free(&copy);
    tb_str_free(&udta);
    return done;
}
