/* node_run.h - one node, run through the engine beside nodes that give it values: what it answers,
 * and the sentence it fails with.
 */
#pragma once

#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "test.h"
#include "tubelet.h"

static char *folder;

/* values to test with */

typedef struct give_params {
    const char *what;
} give_params;

static const tb_input_def give_in[] = {
    TB_IN_STRING(give_params, what, NULL, 0, "Which value."),
    { 0 },
};
static const tb_output_def give_out[] = { { .name = "value", .type = "*" }, { 0 } };
static const tb_output_def image_out[] = { { .name = "image", .type = "IMAGE" }, { 0 } };
static const tb_output_def latent_out[] = { { .name = "latent", .type = "LATENT" }, { 0 } };
static const tb_output_def list_out[] = { { .name = "images", .type = "IMAGE", .is_list = true },
                                          { 0 } };

/* Element i is first + i. */
static tb_tensor *counting(tb_shape shape, float first)
{
    tb_err err = TB_ERR_INIT;
    tb_tensor *t = tb_tensor_new(TB_F32, &shape, &err);
    REQUIRE(t);
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = first + (float)i;
    return t;
}

/* frames pictures of w x h in one colour. */
static tb_tensor *plain(int64_t frames, int64_t h, int64_t w, float r, float g, float b)
{
    tb_tensor *t = counting(TB_SHAPE(frames, h, w, 3), 0);
    const float c[] = { r, g, b };
    for (int64_t i = 0; i < tb_tensor_count(t); i++)
        tb_tensor_f32_mut(t)[i] = c[i % 3];
    return t;
}

static tb_value *latent(float first, const char *state)
{
    tb_value *v = tb_value_record();
    tb_record_set_take(v, "samples", tb_value_tensor_take(counting(TB_SHAPE(2, 3, 4, 4), first)));
    tb_record_set_take(v, "noise", tb_value_tensor_take(counting(TB_SHAPE(2, 3, 4, 4), 1000)));
    tb_record_set_take(v, "state", tb_value_string(state));
    return v;
}

static tb_value *value_of(const char *what)
{
    if (strcmp(what, "red") == 0)
        return tb_value_tensor_take(plain(2, 32, 48, 1, 0, 0));
    if (strcmp(what, "blue") == 0)
        return tb_value_tensor_take(plain(2, 32, 48, 0, 0, 1));
    if (strcmp(what, "small") == 0)
        return tb_value_tensor_take(plain(1, 8, 8, 0, 1, 0));
    if (strcmp(what, "mask") == 0)
        return tb_value_tensor_take(counting(TB_SHAPE(1, 32, 48), 0));
    if (strcmp(what, "ramp") == 0)
        return tb_value_tensor_take(counting(TB_SHAPE(1, 2, 2, 3), 0));
    if (strcmp(what, "flat") == 0)
        return tb_value_tensor_take(counting(TB_SHAPE(4, 4), 0));
    if (strcmp(what, "latent") == 0)
        return latent(0, "clean");
    if (strcmp(what, "latent100") == 0)
        return latent(100, "clean");
    if (strcmp(what, "noise") == 0)
        return latent(0, "noise");
    if (strcmp(what, "record") == 0) {
        tb_value *v = latent(0, "clean");
        tb_record_set_take(v, "seed", tb_value_int(7));
        return v;
    }
    if (strcmp(what, "vae") == 0) {
        tb_value *v = tb_value_record();
        tb_record_set_take(v, "stride_hw", tb_value_int(8));
        return v;
    }
    if (strcmp(what, "video") == 0) {
        tb_value *v = tb_value_record();
        tb_record_set_take(v, "images", tb_value_tensor_take(plain(3, 32, 48, 0, 1, 0)));
        tb_record_set_take(v, "fps", tb_value_float(12));
        return v;
    }
    return tb_value_string(what);
}

static tb_status give(tb_job *job, const void *vp, tb_err *err)
{
    const give_params *p = vp;
    (void)err;
    tb_job_set_take(job, 0, value_of(p->what));
    return TB_OK;
}

static tb_status give_list(tb_job *job, const void *vp, tb_err *err)
{
    const give_params *p = vp;
    (void)err;
    if (strcmp(p->what, "none") == 0)
        return TB_OK;
    tb_job_set_take(job, 0, value_of(p->what));
    tb_job_set_take(job, 0, value_of("blue"));
    return TB_OK;
}

/* Must never run: stands behind inputs that are not wanted. */
static tb_status explode(tb_job *job, const void *vp, tb_err *err)
{
    (void)job, (void)vp;
    return tb_err_set(err, TB_EINVAL, "this node must not run");
}

#define TEST_NODE(n, outs, fn)                                                           \
    {                                                                                    \
        .abi = TB_NODE_ABI, .version = 1, .name = n, .params_size = sizeof(give_params), \
        .inputs = give_in, .outputs = outs, .run = fn                                    \
    }
static const tb_node_def give_def = TEST_NODE("t_give", give_out, give);
static const tb_node_def image_def = TEST_NODE("t_image", image_out, give);
static const tb_node_def latent_def = TEST_NODE("t_latent", latent_out, give);
static const tb_node_def list_def = TEST_NODE("t_list", list_out, give_list);
static const tb_node_def explode_def = TEST_NODE("t_explode", give_out, explode);
static const tb_node_def *const defs[] = { &give_def, &image_def,   &latent_def,
                                           &list_def, &explode_def, NULL };

/* running a graph */

typedef struct outcome {
    char text[1400];      /* the error as the user reads it, or "" */
    tb_value *outputs[4]; /* LIST of each output of node n */
    int delivered;
    char path[400], kind[40]; /* delivered last */
} outcome;

static void on_event(void *ctx, tb_run *run, const tb_event *ev)
{
    outcome *o = ctx;
    if (ev->kind == TB_EV_DELIVERED) {
        o->delivered++;
        snprintf(o->path, sizeof o->path, "%s", ev->path);
        snprintf(o->kind, sizeof o->kind, "%s", ev->file_kind);
    }
    if (ev->kind == TB_EV_FAILED)
        tb_err_text(ev->err, ev->type, o->text, sizeof o->text);
    if (ev->kind != TB_EV_END || ev->status != TB_OK)
        return;
    int n = 0;
    tb_value *const *out = tb_run_outputs(run, "n", &n);
    for (int i = 0; out && i < n && i < 4; i++)
        o->outputs[i] = tb_value_ref(out[i]);
}

static void outcome_clear(outcome *o)
{
    for (int i = 0; i < 4; i++)
        tb_value_unref(&o->outputs[i]);
}

/* Nodes that every graph may link to. */
#define GIVERS                                                             \
    "'red':{'class_type':'t_image','inputs':{'what':'red'}},"              \
    "'blue':{'class_type':'t_image','inputs':{'what':'blue'}},"            \
    "'small':{'class_type':'t_image','inputs':{'what':'small'}},"          \
    "'ramp':{'class_type':'t_image','inputs':{'what':'ramp'}},"            \
    "'mask':{'class_type':'t_give','inputs':{'what':'mask'}},"             \
    "'box':{'class_type':'box_mask', "                                     \
    "'inputs':{'image':['red',0],'x':8,'y':8}},"                           \
    "'flat':{'class_type':'t_give','inputs':{'what':'flat'}},"             \
    "'text':{'class_type':'t_give','inputs':{'what':'text'}},"             \
    "'video':{'class_type':'t_give','inputs':{'what':'video'}},"           \
    "'vae':{'class_type':'t_give','inputs':{'what':'vae'}},"               \
    "'record':{'class_type':'t_give','inputs':{'what':'record'}},"         \
    "'latent':{'class_type':'t_latent','inputs':{'what':'latent'}},"       \
    "'latent100':{'class_type':'t_latent','inputs':{'what':'latent100'}}," \
    "'noise':{'class_type':'t_latent','inputs':{'what':'noise'}},"         \
    "'list':{'class_type':'t_list','inputs':{'what':'red'}},"              \
    "'mixed':{'class_type':'t_list','inputs':{'what':'small'}},"           \
    "'none':{'class_type':'t_list','inputs':{'what':'none'}},"             \
    "'boom':{'class_type':'t_explode','inputs':{'what':'x'}}"

/* Run node n of a type with these inputs (JSON with single quotes). */
static outcome run_node(const char *type, const char *inputs)
{
    outcome o = { 0 };
    tb_err err = TB_ERR_INIT;
    tb_err_list errors = { 0 };
    char *text =
        tb_xasprintf("{'graph':{" GIVERS ",'n':{'class_type':'%s','inputs':{%s}}},'targets':['n']}",
                     type, inputs);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = tb_json_parse(text, strlen(text), "graph", &err);
    if (!doc)
        fprintf(stderr, "%s: %s\n", err.message, text);
    REQUIRE(doc);
    tb_engine *e =
        tb_engine_new(&(tb_engine_options){ .no_store = true, .threads = 1, .nodes = defs }, &err);
    REQUIRE(e);
    const tb_run_options options = {
        .document = doc, .cwd = folder, .on_event = on_event, .ctx = &o
    };
    if (tb_engine_submit(e, &options, &errors, &err))
        uv_run(tb_engine_loop(e), UV_RUN_DEFAULT);
    else
        tb_err_text(&err, type, o.text, sizeof o.text);
    tb_err_list_free(&errors);
    tb_engine_free(&e);
    json_decref(doc);
    free(text);
    return o;
}

static inline void wrong(const char *type, const char *inputs, const char *sentence)
{
    outcome o = run_node(type, inputs);
    char *want = tb_xasprintf("node 'n' (%s): %s", type, sentence);
    CHECK_STR(o.text, want);
    free(want);
    outcome_clear(&o);
}

static inline outcome right(const char *type, const char *inputs)
{
    outcome o = run_node(type, inputs);
    CHECK_STR(o.text, "");
    REQUIRE(o.outputs[0]);
    return o;
}

static inline const tb_value *first(const outcome *o, int slot)
{
    REQUIRE(tb_list_count(o->outputs[slot]) > 0);
    return tb_list_at(o->outputs[slot], 0);
}

static inline void check_shape(const tb_value *v, const char *field, const char *want)
{
    char text[100];
    const tb_value *inner = field ? tb_record_get(v, field) : v;
    REQUIRE(inner && tb_value_kind(inner) == TB_TENSOR);
    CHECK_STR(tb_shape_text(tb_tensor_shape(tb_value_as_tensor(inner)), text, sizeof text), want);
}

static inline float at(const tb_value *v, const char *field, int64_t i)
{
    return tb_tensor_f32(tb_value_as_tensor(field ? tb_record_get(v, field) : v))[i];
}

static inline void check_text(const char *type, const char *inputs, const char *want)
{
    outcome o = right(type, inputs);
    CHECK_STR(tb_value_as_string(first(&o, 0)), want);
    outcome_clear(&o);
}

/* Run the tests in a folder of their own. */
static inline int node_test_main(int argc, char **argv, const struct tb_test *tests, int n)
{
    char name[] = "/tmp/test_nodes_XXXXXX";
    folder = mkdtemp(name);
    REQUIRE(folder);
    const int failed = tb_test_main(argc, argv, tests, n);
    char *command = tb_xasprintf("rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
    free(command);
    return failed;
}
