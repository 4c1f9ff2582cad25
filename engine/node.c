/* node.c - what node.h offers beyond the scheduler: the models an engine has open. */
#include "node.h"

#include "models/models.h"

static void *make_models(void)
{
    return tb_models_new();
}

static void drop_models(void *p)
{
    tb_models *m = p;
    tb_models_free(&m);
}

struct tb_models *tb_job_models(tb_job *job)
{
    return tb_job_shared(job, make_models, drop_models);
}
