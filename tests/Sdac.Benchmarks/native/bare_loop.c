// What MuJoCo costs by itself: mj_step in a loop over recorded actions, with the starts of episodes put in. The
// environments are measured against this.
#include <string.h>

#include <mujoco/mujoco.h>

typedef struct
{
    mjModel *model;
    mjData *data;
} bare;

static bare loop;

int bare_open(const char *path)
{
    char error[1000];
    loop.model = mj_loadXML(path, NULL, error, sizeof error);
    loop.data = loop.model ? mj_makeData(loop.model) : NULL;
    return loop.data ? 0 : -1;
}

void bare_close(void)
{
    mj_deleteData(loop.data);
    mj_deleteModel(loop.model);
}

static void put(const mjModel *m, mjData *d, const double *state)
{
    d->time = state[0];
    memcpy(d->qpos, state + 1, m->nq * sizeof(double));
    memcpy(d->qvel, state + 1 + m->nq, m->nv * sizeof(double));
    memcpy(d->qacc_warmstart, state + 1 + m->nq + m->nv + m->na, m->nv * sizeof(double));
}

// ctrl [steps, nu]; starts [steps]: whether an episode begins before the step, then from states [steps, size] (time,
// qpos, qvel, act, qacc_warmstart).
void bare_run(int steps, int frame_skip, const double *ctrl, const unsigned char *starts, const double *states, int size)
{
    const mjModel *m = loop.model;
    mjData *d = loop.data;
    for (int k = 0; k < steps; k++)
    {
        if (starts[k])
        {
            const double *state = states + (long)k * size;
            put(m, d, state);
            mj_forward(m, d); // the first observation needs it
            put(m, d, state); // quaternions have been normalised once more
        }
        memcpy(d->ctrl, ctrl + (long)k * m->nu, m->nu * sizeof(double));
        for (int i = 0; i < frame_skip; i++)
            mj_step(m, d);
    }
}

void bare_state(double *qpos) { memcpy(qpos, loop.data->qpos, loop.model->nq * sizeof(double)); }
