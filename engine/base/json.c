/* json.c - what we add to jansson. */
#include "base/json.h"

#include <stdlib.h>

#include "base/fs.h"

json_t *tb_json_parse(const char *text, size_t n, const char *what, tb_err *err)
{
    json_error_t je;
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);
    if (!v)
        tb_err_set(err, TB_EFORMAT, "%s is not valid JSON: %s at line %d, column %d", what, je.text,
                   je.line, je.column);
    return v;
}

json_t *tb_json_load(const char *path, size_t max_bytes, tb_err *err)
{
    char *text = NULL;
    size_t n = 0;
    if (tb_fs_read(path, max_bytes, &text, &n, err) != TB_OK)
        return NULL;
    json_t *v = tb_json_parse(text, n, path, err);
    free(text);
    return v;
}

char *tb_json_canonical(const json_t *v)
{
    return json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

char *tb_json_pretty(const json_t *v)
{
    return json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}
