/* keys.c - the name of a result: how it was made.
 *
 * SHA-256 over format version, node type, type version, numeric class and the inputs in the order
 * of the type's table. A link enters by its producer's key and output; an input that does not
 * change the result is left out. Titles, ids, positions and the order of the document never enter.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "graph/program.h"

#define KEY_FORMAT "tubelet-key-1"

static void hash_literal(tb_hasher *h, const tb_value *v)
{
    json_t *j = tb_value_to_json(v, NULL, NULL, NULL);
    char *text = j ? tb_json_canonical(j) : NULL;
    tb_hasher_str(h, "value");
    tb_hasher_str(h, text ? text : "");
    free(text);
    json_decref(j);
}

static void hash_extension(tb_hasher *h, const char *path)
{
    char ext[16] = "";
    const char *e = tb_fs_extension(path);
    for (size_t i = 0; e[i] && i < sizeof ext - 1; i++)
        ext[i] = (char)tolower((unsigned char)e[i]);
    tb_hasher_str(h, "extension");
    tb_hasher_str(h, ext);
}

static void begin(tb_hasher *h, const tb_pnode *n, const tb_numeric *numeric)
{
    tb_hasher_init(h);
    tb_hasher_str(h, KEY_FORMAT);
    tb_hasher_str(h, n->type->def->name);
    tb_hasher_str(h, n->type->version);
    tb_hasher_str(h, n->type->def->flags & TB_NODE_LINEARS   ? numeric->linears
                     : n->type->def->flags & TB_NODE_NUMERIC ? numeric->kernels
                                                             : "");
}

/* An input by its literal; false when it is a link or does not enter as one. */
static bool hash_known(tb_hasher *h, const tb_input_def *in, const tb_value *literal)
{
    if (in->flags & TB_IN_KEY_EXT) {
        if (literal && tb_value_kind(literal) == TB_STRING)
            hash_extension(h, tb_value_as_string(literal));
        return literal != NULL;
    }
    if (in->flags & (TB_IN_UNKEYED | TB_IN_FILE))
        return true;
    if (!literal)
        return false;
    hash_literal(h, literal);
    return true;
}

static tb_status make_key(tb_program *p, int i, const tb_numeric *numeric,
                          tb_fingerprint_fn fingerprint, void *ctx, tb_err *err)
{
    tb_pnode *n = &p->nodes[i];
    tb_hasher h;
    begin(&h, n, numeric);
    bool on_disk = n->type->def->fingerprint || n->type->hooks & TB_HOOK_CHANGED;
    bool linked_file = false, tables = false;
    for (int k = 0; k < n->type->input_count; k++) {
        const tb_input_def *in = &n->type->def->inputs[k];
        const tb_arg a = n->args[k].src < 0
                             ? n->args[k]
                             : tb_program_resolve(p, n->args[k].src, n->args[k].slot);
        on_disk |= (in->flags & TB_IN_FILE) != 0;
        linked_file |= a.src >= 0 && (in->flags & TB_IN_FILE || n->type->def->fingerprint) &&
                       tb_input_is_scalar(in);
        tables |= in->flags & TB_IN_RESOLVED && a.literal && tb_value_kind(a.literal) == TB_RECORD;
        tb_hasher_str(&h, in->name);
        if (hash_known(&h, in, a.literal) || a.src < 0)
            continue;
        tb_hasher_str(&h, "link");
        tb_hasher_bytes(&h, p->nodes[a.src].key.b, sizeof(tb_key));
        tb_hasher_u64(&h, (uint64_t)a.slot);
    }
    /* A file whose name only the run will know cannot be hashed beforehand, nor can what the links
     * in a table lead to. */
    n->impure = linked_file || tables || n->type->def->flags & TB_NODE_IMPURE;
    if (n->impure)
        tb_hasher_u64(&h, p->nonce), tb_hasher_u64(&h, (uint64_t)i);
    else if (on_disk && fingerprint)
        TB_TRY(fingerprint(ctx, i, &h, err));
    n->key = tb_hasher_done(&h);
    n->keyed = true;
    return TB_OK;
}

/* Push the producers of i that have no key; true when there were any. */
static bool push_unkeyed(const tb_program *p, int i, int **stack, size_t *cap, int *depth)
{
    const tb_pnode *n = &p->nodes[i];
    bool any = false;
    for (int k = 0; k < n->type->input_count; k++) {
        if (n->args[k].src < 0)
            continue;
        const int src = tb_program_resolve(p, n->args[k].src, n->args[k].slot).src;
        if (src < 0 || p->nodes[src].keyed)
            continue;
        TB_GROW(*stack, *cap, *depth + 1);
        (*stack)[(*depth)++] = src;
        any = true;
    }
    return any;
}

tb_status tb_program_keys(tb_program *p, const tb_numeric *numeric, tb_fingerprint_fn fingerprint,
                          void *ctx, tb_err *err)
{
    int *stack = NULL, depth = 0;
    size_t cap = 0;
    tb_status st = TB_OK;
    for (int root = 0; root < p->count && st == TB_OK; root++) {
        TB_GROW(stack, cap, 1);
        stack[depth++] = root;
        while (depth && st == TB_OK) {
            const int i = stack[depth - 1];
            if (p->nodes[i].keyed) {
                depth--;
            } else if (!push_unkeyed(p, i, &stack, &cap, &depth)) {
                depth--;
                st = make_key(p, i, numeric, fingerprint, ctx, err);
                if (st != TB_OK)
                    tb_err_where(err, tb_program_id(p, i), NULL, tb_program_origin(p, i));
            }
        }
    }
    free(stack);
    return st;
}

/* -------------------------------------------------------------------------------- content keys */

static json_t *digest_tensor(void *ctx, const tb_tensor *t, tb_err *err)
{
    char hex[TB_DIGEST_HEX], shape[160];
    (void)ctx, (void)err;
    const tb_digest d = tb_digest_of(tb_tensor_data(t), tb_tensor_bytes(t));
    return json_pack("[sss]", tb_dtype_name(tb_tensor_dtype(t)),
                     tb_shape_text(tb_tensor_shape(t), shape, sizeof shape),
                     tb_digest_hex(&d, hex));
}

/* A reference to a model is its content ("id"), wherever the files lie. New reference. */
static tb_value *without_paths(const tb_value *v)
{
    if (tb_value_kind(v) == TB_LIST) {
        tb_value *list = tb_value_list();
        for (int i = 0; i < tb_list_count(v); i++)
            tb_list_append_take(list, without_paths(tb_list_at(v, i)));
        return list;
    }
    if (!tb_record_get(v, "id") || !tb_record_get(v, "path"))
        return tb_value_ref(v);
    tb_value *r = tb_value_record();
    for (int i = 0; i < tb_record_count(v); i++) {
        const char *name = tb_record_name(v, i);
        if (strcmp(name, "path") != 0 && strcmp(name, "tokenizer") != 0 &&
            strcmp(name, "stamp") != 0)
            tb_record_set_take(r, name, tb_value_ref(tb_record_at(v, i)));
    }
    return r;
}

tb_key tb_content_key(const tb_pnode *n, const tb_numeric *numeric, const tb_value *const *values)
{
    tb_hasher h;
    begin(&h, n, numeric);
    tb_hasher_str(&h, "content");
    for (int k = 0; k < n->type->input_count; k++) {
        const tb_input_def *in = &n->type->def->inputs[k];
        tb_hasher_str(&h, in->name);
        if (!values[k] || in->flags & TB_IN_UNKEYED || hash_known(&h, in, n->args[k].literal))
            continue;
        tb_value *v = without_paths(values[k]);
        json_t *j = tb_value_to_json(v, digest_tensor, NULL, NULL);
        tb_value_unref(&v);
        char *text = j ? tb_json_canonical(j) : NULL;
        tb_hasher_str(&h, text ? text : "");
        free(text);
        json_decref(j);
    }
    return tb_hasher_done(&h);
}
