/* child.c - the Lua process: limits, then one request after the other from the socket.
 *
 * A request is { "op": ..., ... }; it is answered by { "ok": ... } or { "error": { status, message,
 * origin } }. While a request runs the child may send { "need": module } and { "print": text }.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "script/request.h"
#include "script/script.h"

/* ------------------------------------------------------------------------------------ limits */

/* Addresses: the Lua heap and messages; for a node also its inputs, its tensors and their copies.
 */
#define EVALUATE_ROOM ((rlim_t)TBI_LUA_MEMORY + 4 * (rlim_t)TBI_WIRE_MAX_BYTES)
#define RUN_ROOM      (EVALUATE_ROOM + 4 * (rlim_t)TBI_LUA_TENSORS)

static tbi_host *dying; /* for the signal handler */

/* Time is up, most likely inside C code of Lua. Only async-signal-safe calls from here. */
static void on_time(int sig)
{
    (void)sig;
    _Static_assert(TB_ELIMIT == 6, "the status in the text below");
    static const char head[] =
        "{\"error\":{\"status\":6,\"message\":\"the script took too long; look for "
        "an endless loop or a string pattern that never ends\",\"origin\":\"";
    static const char tail[] = "\",\"fatal\":true}}";
    char text[sizeof head + sizeof tail + sizeof dying->place + 8];
    size_t n = 5;
    memcpy(text + n, head, sizeof head - 1);
    n += sizeof head - 1;
    for (const char *p = dying ? dying->place : ""; *p; p++)
        text[n++] = *p == '"' || *p == '\\' || (unsigned char)*p < ' ' ? '?' : *p;
    memcpy(text + n, tail, sizeof tail - 1);
    n += sizeof tail - 1;
    const size_t body = n - 5;
    text[0] = (char)(body & 255);
    text[1] = (char)(body >> 8);
    text[2] = text[3] = text[4] = 0;
    if (dying)
        (void)!send(dying->sock, text, n, MSG_NOSIGNAL);
    _exit(1);
}

/* Processor time, and a little more than that on the clock, for a machine that is busy. 0: no
 * limit. */
static void limit_time(int cpu_seconds, int wall_seconds)
{
    const struct itimerval cpu = { .it_value = { .tv_sec = cpu_seconds } };
    const struct itimerval wall = { .it_value = { .tv_sec = wall_seconds } };
    setitimer(ITIMER_PROF, &cpu, NULL);
    setitimer(ITIMER_REAL, &wall, NULL);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void limit_memory(rlim_t room) /* sanitizers reserve terabytes of addresses */
{
    (void)room;
}
#else
/* Addresses the program's own mappings take, and room for what a request may need. */
static void limit_memory(rlim_t room)
{
    static rlim_t own;
    unsigned long pages = 0;
    FILE *f = own ? NULL : fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%lu", &pages) == 1)
        own = pages * (rlim_t)sysconf(_SC_PAGESIZE);
    if (f)
        fclose(f);
    if (!own)
        own = 256u << 20;
    struct rlimit r = { 0 };
    getrlimit(RLIMIT_AS, &r);
    r.rlim_cur = own + room < r.rlim_max ? own + room : r.rlim_max;
    setrlimit(RLIMIT_AS, &r);
}
#endif

static void limit_process(void)
{
    const struct rlimit none = { 0, 0 }, files = { 128, 128 };
    limit_memory(EVALUATE_ROOM);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ TBI_LUA_TENSORS, TBI_LUA_TENSORS });
    setrlimit(RLIMIT_NOFILE, &files);
    tb_mem_set_limit(TBI_LUA_TENSORS);
    const struct sigaction sa = { .sa_handler = on_time };
    sigaction(SIGPROF, &sa, NULL);
    sigaction(SIGALRM, &sa, NULL);
}

static tb_status pack_outputs(tbi_request *r, tb_err *err)
{
    r->answer = json_array();
    for (int i = 0; i < r->output_count; i++) {
        json_t *j = tbi_wire_put_value(r->outputs[i], &r->fds_out, err);
        if (!j)
            return err->status;
        json_array_append_new(r->answer, j);
    }
    return TB_OK;
}

/* run, or a function beside it */
static tb_status run_node(tbi_host *h, tbi_request *r, lua_CFunction op, tb_err *err)
{
    r->inputs = tbi_wire_get_value(json_object_get(r->json, "inputs"), &r->fds_in, err);
    if (!r->inputs)
        return err->status;
    lua_pushcfunction(h->L, op);
    lua_pushlightuserdata(h->L, r);
    tb_status st = tbi_host_call(h, 1, 0, err);
    if (st == TB_OK && op == tbi_op_run)
        st = pack_outputs(r, err);
    tb_value_unref(&r->inputs);
    for (int i = 0; i < TBI_WIRE_MAX_FDS; i++)
        tb_value_unref(&r->outputs[i]);
    lua_gc(h->L, LUA_GCCOLLECT); /* tensors are much larger than the objects Lua counts */
    return st;
}

/* ------------------------------------------------------------------------------ the requests */

static tb_status call_op(tbi_host *h, tbi_request *r, lua_CFunction op, tb_err *err)
{
    lua_pushcfunction(h->L, op);
    lua_pushlightuserdata(h->L, r);
    return tbi_host_call(h, 1, 0, err);
}

/* A second file gets a state of its own. */
static tb_status load(tbi_host **hp, tbi_request *r, tb_err *err)
{
    if ((*hp)->used) {
        const int sock = (*hp)->sock;
        tbi_host_free(hp);
        *hp = tbi_host_new(sock, err);
        if (!*hp)
            return err->status;
        dying = *hp;
    }
    (*hp)->used = (*hp)->loading = true;
    const tb_status st = call_op(*hp, r, tbi_op_load, err);
    (*hp)->loading = false;
    return st;
}

static tb_status dispatch(tbi_host **hp, tbi_request *r, tb_err *err)
{
    tbi_host *h = *hp;
    const char *op = tbi_request_text(r, "op");
    const bool run = strcmp(op, "run") == 0;
    tbi_host_refill(h, run ? TBI_LUA_RUN_STEPS : TBI_LUA_STEPS);
    limit_memory(run ? RUN_ROOM : EVALUATE_ROOM);
    if (run)
        limit_time(TBI_LUA_RUN_CPU_SECONDS, TBI_LUA_RUN_CPU_SECONDS - 1);
    else
        limit_time(TBI_LUA_CPU_SECONDS, TBI_LUA_WALL_SECONDS);
    if (run)
        return run_node(h, r, tbi_op_run, err);
    if (strcmp(op, "load") == 0)
        return load(hp, r, err);
    if (strcmp(op, "build") == 0)
        return call_op(h, r, tbi_op_build, err);
    if (strcmp(op, "expand") == 0)
        return call_op(h, r, tbi_op_expand, err);
    if (strcmp(op, "need") == 0 || strcmp(op, "changed") == 0 || strcmp(op, "validate") == 0)
        return run_node(h, r, tbi_op_hook, err);
    if (strcmp(op, "types") != 0)
        return tb_err_set(err, TB_EINTERNAL, "the Lua process knows no request '%s'", op);
    r->answer = json_incref(h->types_json);
    return TB_OK;
}

static tb_status answer(tbi_host *h, tbi_request *r, const tb_err *err, bool fatal)
{
    json_t *m = err->status == TB_OK
                    ? json_pack("{sO}", "ok", r->answer)
                    : json_pack("{s{sisssssb}}", "error", "status", (int)err->status, "message",
                                err->message, "origin", err->origin, "fatal", fatal);
    const tb_status st = tbi_wire_send(h->sock, m, &r->fds_out, &(tbi_patience){ 0 }, NULL);
    json_decref(m);
    return st;
}

static bool serve(tbi_host **hp)
{
    tbi_request r = { 0 };
    tb_err err = TB_ERR_INIT;
    json_t *json = tbi_wire_receive((*hp)->sock, &r.fds_in, &(tbi_patience){ 0 }, NULL);
    if (!json)
        return false;
    r.json = json;
    const int sock = (*hp)->sock;
    dispatch(hp, &r, &err);
    limit_time(0, 0);
    tbi_host lost = { .sock = sock };
    const bool sent = answer(*hp ? *hp : &lost, &r, &err, !*hp) == TB_OK;
    if (*hp)
        tbi_build_end(*hp);
    tbi_fds_close(&r.fds_in);
    tbi_fds_close(&r.fds_out);
    json_decref(r.answer);
    json_decref(json);
    return sent && *hp;
}

void tb_script_child_main(int fd)
{
    tb_err err = TB_ERR_INIT;
    limit_process();
    tbi_host *h = tbi_host_new(fd, &err);
    if (!h) { /* told in place of the first answer */
        tbi_host lost = { .sock = fd };
        answer(&lost, &(tbi_request){ 0 }, &err, true);
        _exit(1);
    }
    dying = h;
    while (serve(&h))
        continue;
    _exit(0);
}
