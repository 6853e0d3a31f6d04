// What MuJoCo costs by itself: mj_step in a loop over recorded actions, with the starts of episodes put in. The
// environments are measured against this. The Control Suite's step is mj_step2, mj_step but for the last one, mj_step1;
// some of its episodes begin with steps without controls, which cost the loop as many from the default pose.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <mujoco/mujoco.h>
#include <mujoco/mjxmacro.h>

// One loop by itself, two that run one after the other, two that run side by side.
enum { ALONE, IN_TURN, BESIDE = IN_TURN + 2, LOOPS = BESIDE + 2 };

typedef struct
{
    int first, count, frame_skip, size;
    const double *ctrl;
    const unsigned char *starts, *ends;
    const double *states;
} episodes;

static mjModel *model;
static int suite, drift;
static mjData *data[LOOPS];
static episodes shared;
static atomic_int ready, go;

#undef MJ_M
#define MJ_M(n) model->n
#define IS_mjtNum 1
#define IS_int 0
#define IS_float 0
#define IS_mjtByte 0
#define IS_char 0

// A number of an array of doubles of the model, by the array's name.
void bare_replace(const char *field, int index, double number)
{
#define X(type, name, nr, nc)               \
    if (IS_##type && !strcmp(field, #name)) \
        ((double *)(void *)model->name)[index] = number;
    MJMODEL_POINTERS
#undef X
}

int bare_open(const char *path, int control_suite, int drift_steps)
{
    suite = control_suite;
    drift = drift_steps;
    char error[1000];
    model = mj_loadXML(path, NULL, error, sizeof error);
    if (!model)
        return -1;
    for (int i = 0; i < LOOPS; i++)
        data[i] = mj_makeData(model);
    return 0;
}

void bare_close(void)
{
    for (int i = 0; i < LOOPS; i++)
        mj_deleteData(data[i]);
    mj_deleteModel(model);
}

static void put(mjData *d, const double *state)
{
    const mjModel *m = model;
    d->time = state[0];
    memcpy(d->qpos, state + 1, m->nq * sizeof(double));
    memcpy(d->qvel, state + 1 + m->nq, m->nv * sizeof(double));
    memcpy(d->act, state + 1 + m->nq + m->nv, m->na * sizeof(double));
    memcpy(d->qacc_warmstart, state + 1 + m->nq + m->nv + m->na, m->nv * sizeof(double));
}

static void run(mjData *d, const episodes *e)
{
    const mjModel *m = model;
    for (int k = e->first; k < e->first + e->count; k++)
    {
        if (e->starts[k])
        {
            const double *state = e->states + (long)k * e->size;
            put(d, state);
            mj_forward(m, d); // the first observation needs it
            put(d, state);    // quaternions have been normalised once more
        }
        memcpy(d->ctrl, e->ctrl + (long)k * m->nu, m->nu * sizeof(double));
        if (suite)
            mj_step2(m, d);
        for (int i = suite; i < e->frame_skip; i++)
            mj_step(m, d);
        if (suite)
            mj_step1(m, d);
        if (e->ends[k] && drift)
        {
            mj_resetData(m, d);
            for (int i = 0; i < drift; i++)
                mj_step(m, d);
        }
    }
}

// ctrl [steps, nu]; starts [steps]: whether an episode begins before the step, then from states [steps, size] (time,
// qpos, qvel, act, qacc_warmstart); ends [steps]: whether one ends with it. Runs steps first to first + count - 1 from
// where the last call left off.
void bare_run(
    int first, int count, int frame_skip, const double *ctrl, const unsigned char *starts, const unsigned char *ends,
    const double *states, int size)
{
    const episodes e = {first, count, frame_skip, size, ctrl, starts, ends, states};
    run(data[ALONE], &e);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void *beside(void *unused)
{
    atomic_store(&ready, 1);
    while (!atomic_load(&go))
        ;
    run(data[BESIDE + 1], &shared);
    return unused;
}

// What a second processor is worth at this moment: two loops that share nothing, one after the other and on two
// threads. Writes the seconds of both; returns 0, or -1 when no thread starts.
int bare_pair(
    int first, int count, int frame_skip, const double *ctrl, const unsigned char *starts, const unsigned char *ends,
    const double *states, int size, double *in_turn, double *side_by_side)
{
    shared = (episodes){first, count, frame_skip, size, ctrl, starts, ends, states};
    double start = now();
    run(data[IN_TURN], &shared);
    run(data[IN_TURN + 1], &shared);
    *in_turn = now() - start;

    pthread_t thread;
    atomic_store(&ready, 0);
    atomic_store(&go, 0);
    if (pthread_create(&thread, NULL, beside, NULL) != 0)
        return -1;
    while (!atomic_load(&ready))
        ;
    start = now();
    atomic_store(&go, 1);
    run(data[BESIDE], &shared);
    pthread_join(thread, NULL);
    *side_by_side = now() - start;
    return 0;
}

void bare_state(double *qpos) { memcpy(qpos, data[ALONE]->qpos, model->nq * sizeof(double)); }
