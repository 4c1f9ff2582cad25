/* store_help.h - for the tests of the store: folders, values made from a number, waiting for an
 * answer. */
#pragma once

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store.h"
#include "test.h"

static inline uint64_t st_mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* TUBELET_SEED repeats a run; printed so that it can. */
static inline uint64_t st_seed(void)
{
    static uint64_t seed;
    const char *e = getenv("TUBELET_SEED");
    if (!seed) {
        seed = e ? strtoull(e, NULL, 10)
                 : st_mix((uint64_t)getpid() * 7919u + (uint64_t)tb_clock_wall_ms());
        seed |= 1;
        printf("TUBELET_SEED=%llu\n", (unsigned long long)seed);
        fflush(stdout);
    }
    return seed;
}

static inline uint64_t st_random(void)
{
    static uint64_t n;
    return st_mix(st_seed() + ++n * 0x632be59bd9b4e019u);
}

/* How often: TUBELET_TIMES multiplies it, for the nightly run. */
static inline int st_times(int n)
{
    const char *e = getenv("TUBELET_TIMES");
    return e && atoi(e) > 0 ? n * atoi(e) : n;
}

static inline void st_remove(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *child = tb_fs_join(path, e->d_name);
        struct stat sb;
        if (lstat(child, &sb) == 0 && S_ISDIR(sb.st_mode))
            st_remove(child);
        else
            unlink(child);
        free(child);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static inline char *st_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = tb_xasprintf("%s/tubelet-store-XXXXXX", tmp ? tmp : "/tmp");
    REQUIRE(mkdtemp(path));
    return path;
}

static inline tb_store *st_open_cap(const char *path, uint64_t cap)
{
    tb_err err = TB_ERR_INIT;
    tb_store *s = tb_store_open(&(tb_store_options){ .path = path, .cap_bytes = cap }, &err);
    if (!s)
        fprintf(stderr, "tb_store_open: %s\n", err.message);
    REQUIRE(s);
    return s;
}

static inline tb_store *st_open(const char *path)
{
    return st_open_cap(path, (uint64_t)1 << 32);
}

static inline tb_key st_key(uint64_t n)
{
    tb_hasher h;
    tb_hasher_init(&h);
    tb_hasher_u64(&h, n);
    return tb_hasher_done(&h);
}

/* f32 [count], every element from (seed, index) */
static inline tb_value *st_tensor(uint64_t seed, size_t count)
{
    tb_tensor *t = tb_tensor_new(TB_F32, &TB_SHAPE((int64_t)count), NULL);
    REQUIRE(t);
    uint32_t *p = tb_tensor_data_mut(t);
    for (size_t i = 0; i < count; i++)
        p[i] = (uint32_t)st_mix(seed * 1000003 + i) & 0x3fffffffu;
    return tb_value_tensor_take(t);
}

/* A LIST of one element, as outputs are. */
static inline tb_value *st_one(tb_value *v)
{
    tb_value *l = tb_value_list();
    tb_list_append_take(l, v);
    return l;
}

typedef struct st_answer {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool there;
    tb_status status;
    tb_err err;
} st_answer;

static inline void st_done(void *ctx, tb_status st, const tb_err *err)
{
    st_answer *a = ctx;
    pthread_mutex_lock(&a->lock);
    a->there = true;
    a->status = st;
    a->err = *err;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

/* Store one output and wait for the answer. Consumes v. */
static inline tb_status st_put_args(tb_store *s, const tb_store_put_args *args, tb_value *v,
                                    tb_err *err)
{
    st_answer a = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, TB_OK,
                    TB_ERR_INIT };
    tb_value *out = st_one(v);
    tb_store_put(s, args, &out, 1, st_done, &a);
    tb_value_unref(&out);
    pthread_mutex_lock(&a.lock);
    while (!a.there)
        pthread_cond_wait(&a.cond, &a.lock);
    pthread_mutex_unlock(&a.lock);
    if (err)
        *err = a.err;
    return a.status;
}

static inline tb_status st_put(tb_store *s, uint64_t n, tb_value *v, tb_err *err)
{
    return st_put_args(s, &(tb_store_put_args){ .key = st_key(n), .type = "test", .cost_ms = 1 }, v,
                       err);
}

static inline bool st_equal(const tb_value *a, const tb_value *b)
{
    const tb_kind k = tb_value_kind(a);
    if (k != tb_value_kind(b))
        return false;
    if (k == TB_TENSOR) {
        const tb_tensor *x = tb_value_as_tensor(a), *y = tb_value_as_tensor(b);
        return tb_tensor_dtype(x) == tb_tensor_dtype(y) &&
               tb_shape_eq(tb_tensor_shape(x), tb_tensor_shape(y)) &&
               memcmp(tb_tensor_data(x), tb_tensor_data(y), tb_tensor_bytes(x)) == 0;
    }
    if (k == TB_STRING)
        return strcmp(tb_value_as_string(a), tb_value_as_string(b)) == 0;
    if (k == TB_FLOAT)
        return tb_value_as_float(a) == tb_value_as_float(b);
    if (k == TB_INT || k == TB_BOOLEAN)
        return tb_value_as_int(a) == tb_value_as_int(b);
    const int n = k == TB_LIST ? tb_list_count(a) : k == TB_RECORD ? tb_record_count(a) : 0;
    if (n != (k == TB_LIST ? tb_list_count(b) : k == TB_RECORD ? tb_record_count(b) : 0))
        return false;
    for (int i = 0; i < n; i++) {
        if (k == TB_RECORD && strcmp(tb_record_name(a, i), tb_record_name(b, i)) != 0)
            return false;
        if (!st_equal(k == TB_LIST ? tb_list_at(a, i) : tb_record_at(a, i),
                      k == TB_LIST ? tb_list_at(b, i) : tb_record_at(b, i)))
            return false;
    }
    return true;
}

typedef enum st_found { ST_SAME, ST_MISS, ST_OTHER } st_found;

/* What is stored under key n, compared with one value. Consumes want. */
static inline st_found st_compare(tb_store *s, uint64_t n, tb_value *want)
{
    const tb_key key = st_key(n);
    tb_value **out = NULL;
    int count = 0;
    st_found found = ST_MISS;
    if (tb_store_get(s, &key, &out, &count, NULL) == TB_OK) {
        found = count == 1 && tb_list_count(out[0]) == 1 && st_equal(tb_list_at(out[0], 0), want)
                    ? ST_SAME
                    : ST_OTHER;
        for (int i = 0; i < count; i++)
            tb_value_unref(&out[i]);
        free(out);
    }
    tb_value_unref(&want);
    return found;
}
