// The door to MuJoCo. Compiled against the installed header, so that the places of fields in mjModel and mjData come
// from MuJoCo's own X-macros and never from structs copied by hand. libmujoco itself is opened at run time.
//
// MuJoCo reports fatal errors by calling a handler that must not return; here it jumps back to the entry that was
// called, which returns -1 and leaves the text in sdac_message(). Everything below is safe to call from any thread,
// each thread with its own mjData; models are loaded one at a time (the caller holds a lock).
#include <dlfcn.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mujoco/mujoco.h>
#include <mujoco/mjxmacro.h>

#define EXPORT __attribute__((visibility("default")))

// ---- the functions taken from libmujoco

#define FUNCTIONS          \
    F(mj_version)          \
    F(mj_defaultVFS)       \
    F(mj_makeEmptyFileVFS) \
    F(mj_findFileVFS)      \
    F(mj_deleteVFS)        \
    F(mj_loadXML)          \
    F(mj_deleteModel)      \
    F(mj_makeData)         \
    F(mj_deleteData)       \
    F(mj_resetData)        \
    F(mj_forward)          \
    F(mj_kinematics)       \
    F(mj_step)             \
    F(mj_step1)            \
    F(mj_step2)            \
    F(mj_rnePostConstraint)\
    F(mj_name2id)          \
    F(mj_id2name)          \
    F(mju_free)            \
    F(mju_str2Type)        \
    F(mju_warningText)

#define F(name) static __typeof__(&name) p_##name;
FUNCTIONS
#undef F

static _Thread_local char message[2048];
static _Thread_local jmp_buf *escape;

static void keep(const char *text) { snprintf(message, sizeof message, "%s", text ? text : ""); }

static void on_error(const char *text)
{
    keep(text);
    if (escape)
        longjmp(*escape, 1);
    fprintf(stderr, "MuJoCo: %s\n", message);
    abort();
}

static void on_warning(const char *text) { keep(text); }

// Runs the statement; an error inside it makes the enclosing function return `failed`.
#define GUARDED(failed, statement)    \
    do                                \
    {                                 \
        jmp_buf here;                 \
        message[0] = 0;               \
        if (_setjmp(here))            \
        {                             \
            escape = NULL;            \
            return failed;            \
        }                             \
        escape = &here;               \
        statement;                    \
        escape = NULL;                \
    } while (0)

EXPORT const char *sdac_message(void) { return message; }
EXPORT int sdac_header_version(void) { return mjVERSION_HEADER; }
EXPORT int sdac_library_version(void) { return p_mj_version(); }

// Opens libmujoco; 0, or -1 with the loader's words in sdac_message().
EXPORT int sdac_open(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
    {
        keep(dlerror());
        return -1;
    }
#define F(name)                                                  \
    if (!(p_##name = (__typeof__(&name))dlsym(library, #name)))  \
    {                                                            \
        keep("it lacks the function " #name);                    \
        dlclose(library);                                        \
        return -1;                                               \
    }
    FUNCTIONS
#undef F
    // Without handlers MuJoCo would write a log file into the current folder, and end the process on errors.
    void (**error_handler)(const char *) = dlsym(library, "mju_user_error");
    void (**warning_handler)(const char *) = dlsym(library, "mju_user_warning");
    if (!error_handler || !warning_handler)
    {
        keep("it lacks mju_user_error or mju_user_warning");
        dlclose(library);
        return -1;
    }
    *error_handler = on_error;
    *warning_handler = on_warning;
    return 0;
}

// ---- models

static mjModel *load(const char *path, const mjVFS *files, char *error, int size)
{
    mjModel *model = NULL;
    error[0] = 0;
    GUARDED(NULL, model = p_mj_loadXML(path, files, error, size));
    return model;
}

// NULL on failure, with the reason in `error` or, after a fatal error, in sdac_message(). A model may come with
// warnings, also in `error`.
EXPORT mjModel *sdac_load_file(const char *path, char *error, int size) { return load(path, NULL, error, size); }

EXPORT mjModel *sdac_load_text(const char *text, int length, char *error, int size)
{
    static mjVFS vfs; // 2 MB: too much for a worker's stack; loading holds a lock
    p_mj_defaultVFS(&vfs);
    if (p_mj_makeEmptyFileVFS(&vfs, "model.xml", length))
    {
        snprintf(error, size, "the model's text does not fit into memory");
        return NULL;
    }
    memcpy(vfs.filedata[p_mj_findFileVFS(&vfs, "model.xml")], text, length);
    mjModel *model = load("model.xml", &vfs, error, size);
    p_mj_deleteVFS(&vfs);
    return model;
}

EXPORT void sdac_free_model(mjModel *model)
{
    model->buffer = NULL; // the caller's: see below
    p_mj_deleteModel(model);
}

EXPORT int sdac_name_to_id(const mjModel *model, const char *kind, const char *name)
{
    return p_mj_name2id(model, p_mju_str2Type(kind), name);
}

EXPORT const char *sdac_id_to_name(const mjModel *model, const char *kind, int id)
{
    return p_mj_id2name(model, p_mju_str2Type(kind), id);
}

// Whether MuJoCo adds noise to a sensor: it draws it from rand(), which the whole process shares.
EXPORT int sdac_sensor_noise(const mjModel *model)
{
#if mjVERSION_HEADER < 314 // 3.1.4 took the flag away
    if (model->opt.enableflags & mjENBL_SENSORNOISE)
        for (int i = 0; i < model->nsensor; i++)
            if (model->sensor_noise[i] > 0)
                return 1;
#endif
    (void)model;
    return 0;
}

// ---- the table of fields

typedef struct
{
    const char *name;
    void *data;
    int32_t type; // 0 int, 1 mjtNum, 2 float, 3 mjtByte, 4 char, 5 anything else
    int32_t rows, columns;
    int32_t scalar;
} sdac_field;

#undef MJ_M // marks a column count that is itself a size of the model
#define MJ_M(n) m->n

#define TYPE_int 0
#define TYPE_mjtNum 1
#define TYPE_float 2
#define TYPE_mjtByte 3
#define TYPE_char 4
#define TYPE_mjContact 5
#define TYPE_mjWarningStat 5
#define TYPE_mjTimerStat 5
#define TYPE_mjSolverStat 5

#define PUT(field, where, kind, nr, nc, single)                                               \
    do                                                                                        \
    {                                                                                         \
        if (count < capacity)                                                                 \
            out[count] = (sdac_field){field, (void *)(where), kind, (nr), (nc), (single)};    \
        count++;                                                                              \
    } while (0)

// Writes at most `capacity` rows and returns how many there are. Sizes and options are rows too ("nq", "opt.timestep").
EXPORT int sdac_model_fields(const mjModel *m, sdac_field *out, int capacity)
{
    int count = 0;
#define X(name) PUT(#name, &m->name, TYPE_int, 1, 1, 1);
    MJMODEL_INTS
#undef X
#define X(type, name) PUT("opt." #name, &m->opt.name, TYPE_##type, 1, 1, 1);
    MJOPTION_SCALARS
#undef X
#define X(name, n) PUT("opt." #name, m->opt.name, TYPE_mjtNum, 1, n, 0);
    MJOPTION_VECTORS
#undef X
    // mjStatistic has no X-macro; its members are the same in every version.
    PUT("stat.meaninertia", &m->stat.meaninertia, TYPE_mjtNum, 1, 1, 1);
    PUT("stat.meanmass", &m->stat.meanmass, TYPE_mjtNum, 1, 1, 1);
    PUT("stat.meansize", &m->stat.meansize, TYPE_mjtNum, 1, 1, 1);
    PUT("stat.extent", &m->stat.extent, TYPE_mjtNum, 1, 1, 1);
    PUT("stat.center", m->stat.center, TYPE_mjtNum, 1, 3, 0);
#define X(type, name, nr, nc) PUT(#name, m->name, TYPE_##type, m->nr, nc, 0);
    MJMODEL_POINTERS
#undef X
    return count;
}

EXPORT int sdac_data_fields(const mjModel *m, const mjData *d, sdac_field *out, int capacity)
{
    int count = 0;
#define X(type, name) PUT(#name, &d->name, TYPE_##type, 1, 1, 1);
    MJDATA_SCALAR
#undef X
#define X(type, name, nr, nc) PUT(#name, d->name, TYPE_##type, m->nr, nc, 0);
    MJDATA_POINTERS
#undef X
    return count;
}

// ---- whose memory the arrays lie in
// MuJoCo keeps all arrays of a model, and all of its data, in one buffer each. The caller gives a buffer of its own,
// one that its garbage collector knows: then a view of an array keeps the numbers in place, whoever frees the rest.

static char *moved(void *array, const char *old, int64_t size, char *to)
{
    char *place = array;
    return place >= old && place <= old + size ? to + (place - old) : place;
}

#undef MJ_M
#define MJ_M(n) n
#define X(type, name, nr, nc) owner->name = (type *)moved(owner->name, old, owner->nbuffer, to);
#define MOVE(FIELDS)                        \
    do                                      \
    {                                       \
        char *old = owner->buffer;          \
        memcpy(to, old, owner->nbuffer);    \
        FIELDS                              \
        owner->buffer = to;                 \
        p_mju_free(old);                    \
    } while (0)

EXPORT int64_t sdac_model_buffer_size(const mjModel *model) { return model->nbuffer; }
EXPORT int64_t sdac_data_buffer_size(const mjData *data) { return data->nbuffer; }

// `to` is aligned as MuJoCo's own buffers are (64 bytes) and must outlive the model or the data.
EXPORT void sdac_move_model(mjModel *owner, char *to) { MOVE(MJMODEL_POINTERS); }
EXPORT void sdac_move_data(mjData *owner, char *to) { MOVE(MJDATA_POINTERS); }
#undef X

// ---- simulation
// A physics state is one run of numbers: time, qpos[nq], qvel[nv], act[na], qacc_warmstart[nv]: all that mj_step reads
// besides ctrl, so that putting it back and stepping equals never having left.

EXPORT mjData *sdac_make_data(const mjModel *model)
{
    mjData *data = NULL;
    GUARDED(NULL, data = p_mj_makeData(model));
    return data;
}

EXPORT void sdac_free_data(mjData *data)
{
    data->buffer = NULL; // the caller's: see below
    p_mj_deleteData(data);
}

EXPORT int sdac_state_size(const mjModel *m) { return 1 + m->nq + m->nv + m->na + m->nv; }

static const double *take(mjtNum *to, const double *from, int n)
{
    memcpy(to, from, n * sizeof(double));
    return from + n;
}

static double *give(double *to, const mjtNum *from, int n)
{
    memcpy(to, from, n * sizeof(double));
    return to + n;
}

static void put_state(const mjModel *m, mjData *d, const double *state)
{
    d->time = *state++;
    state = take(d->qpos, state, m->nq);
    state = take(d->qvel, state, m->nv);
    state = take(d->act, state, m->na);
    take(d->qacc_warmstart, state, m->nv);
}

static void get_state(const mjModel *m, const mjData *d, double *state)
{
    *state++ = d->time;
    state = give(state, d->qpos, m->nq);
    state = give(state, d->qvel, m->nv);
    state = give(state, d->act, m->na);
    give(state, d->qacc_warmstart, m->nv);
}

static void forget_warnings(mjData *d) { memset(d->warning, 0, sizeof d->warning); }

// The last warning raised, as text in sdac_message(); 1 if there is one.
static int warned(const mjData *d)
{
    for (int i = 0; i < mjNWARNING; i++)
        if (d->warning[i].number)
        {
            keep(p_mju_warningText(i, d->warning[i].lastinfo));
            return 1;
        }
    return 0;
}

static void recover(const mjModel *m, mjData *d)
{
    d->pstack = 0; // an error leaves MuJoCo's own stack as it was at the jump
    p_mj_resetData(m, d);
}

static void zero(mjtNum *numbers, int n) { memset(numbers, 0, n * sizeof(mjtNum)); }

// As mj_resetData leaves the data, for all that can differ: nothing here ever writes the other inputs (mocap, applied
// forces, user data), and mj_forward computes the rest anew, but for the forces of mj_rnePostConstraint. mj_resetData
// itself clears megabytes of constraint buffers, which takes longer than several steps of a small model.
static void clear(const mjModel *m, mjData *d)
{
    forget_warnings(d);
    d->time = 0;
    zero(d->act, m->na);
    zero(d->qacc_warmstart, m->nv);
    zero(d->ctrl, m->nu);
    zero(d->cacc, 6 * m->nbody);
    zero(d->cfrc_int, 6 * m->nbody);
    zero(d->cfrc_ext, 6 * m->nbody);
}

static int reset(const mjModel *m, mjData *d, const double *qpos, const double *qvel)
{
    clear(m, d);
    take(d->qpos, qpos, m->nq);
    take(d->qvel, qvel, m->nv);
    GUARDED(-1, p_mj_forward(m, d));
    return warned(d);
}

static int step(const mjModel *m, mjData *d, int frame_skip, int contact_forces)
{
    GUARDED(-1, {
        for (int i = 0; i < frame_skip; i++)
        {
            p_mj_step(m, d);
            if (warned(d)) // after a bad acceleration MuJoCo resets the data: going on would hide it
                break;
        }
        if (contact_forces)
            p_mj_rnePostConstraint(m, d);
    });
    return warned(d);
}

// A reset, the given positions and velocities, one mj_forward. 0 fine, 1 warning, -1 error (text in sdac_message()).
EXPORT int sdac_reset(const mjModel *m, mjData *d, const double *qpos, const double *qvel, double *state)
{
    int status = reset(m, d, qpos, qvel);
    if (status < 0)
        recover(m, d);
    else
        get_state(m, d, state);
    return status;
}

// Puts `state` back, applies ctrl, steps frame_skip times; the new state goes to `next`, which may be `state` itself.
EXPORT int sdac_step(const mjModel *m, mjData *d, int frame_skip, int contact_forces, const double *ctrl,
                     const double *state, double *next)
{
    forget_warnings(d);
    put_state(m, d, state);
    take(d->ctrl, ctrl, m->nu);
    int status = step(m, d, frame_skip, contact_forces);
    if (status < 0)
        recover(m, d);
    else
        get_state(m, d, next);
    return status;
}

// ---- the Control Suite's calls
// A step is mj_step2, then mj_step but for the last one, then mj_step1: what was observed of the new state is what the next
// step goes on from. Actuation is turned off for a reset's forward passes; the model is shared, so in a copy of its struct.

static void forward_at_rest(const mjModel *m, mjData *d)
{
    mjModel quiet = *m;
    quiet.opt.disableflags |= mjDSBL_ACTUATION;
    p_mj_forward(&quiet, d);
}

// mj_resetData and a forward pass, in which the solver begins from nothing.
static int suite_clear(const mjModel *m, mjData *d)
{
    clear(m, d);
    take(d->qpos, m->qpos0, m->nq);
    zero(d->qvel, m->nv);
    GUARDED(-1, forward_at_rest(m, d));
    return warned(d);
}

// A state of the Control Suite has qpos as it was before mj_step1 or mj_forward normalised its quaternions: normalising is
// not the same twice, and going back to a state must give the stages that were gone on from.

static int suite_settle(const mjModel *m, mjData *d, double *state)
{
    give(state + 1, d->qpos, m->nq);
    GUARDED(-1, forward_at_rest(m, d));
    *state = d->time;
    double *rest = give(state + 1 + m->nq, d->qvel, m->nv);
    rest = give(rest, d->act, m->na);
    give(rest, d->qacc_warmstart, m->nv);
    return warned(d);
}

static int suite_steps(const mjModel *m, mjData *d, int count, double *state)
{
    GUARDED(-1, {
        p_mj_step2(m, d);
        for (int i = 1; i < count && !warned(d); i++)
            p_mj_step(m, d);
        get_state(m, d, state);
        if (!warned(d))
            p_mj_step1(m, d);
    });
    return warned(d);
}

static int suite_restore(const mjModel *m, mjData *d, const double *state)
{
    put_state(m, d, state);
    GUARDED(-1, p_mj_step1(m, d));
    return warned(d);
}

static int finished(const mjModel *m, mjData *d, int status)
{
    if (status < 0)
        recover(m, d);
    return status;
}

// 0 fine, 1 warning, -1 error (text in sdac_message()), here and below. The default pose, to be changed and settled.
EXPORT int sdac_suite_clear(const mjModel *m, mjData *d) { return finished(m, d, suite_clear(m, d)); }

// Derives everything from the positions, velocities and activations that were written; the state goes to `state`.
EXPORT int sdac_suite_settle(const mjModel *m, mjData *d, double *state)
{
    return finished(m, d, suite_settle(m, d, state));
}

// So many steps without controls, the first from the stages that were there before the last writing; then the clock is set
// back to 0. `state` is overwritten.
EXPORT int sdac_suite_drift(const mjModel *m, mjData *d, int count, double *state)
{
    int status = finished(m, d, suite_steps(m, d, count, state));
    d->time = 0;
    return status;
}

// Goes to `state` unless it is there, applies ctrl, steps; the new state goes to `next`, which may be `state` itself.
EXPORT int sdac_suite_step(const mjModel *m, mjData *d, int count, int there, const double *ctrl, const double *state,
                           double *next)
{
    forget_warnings(d);
    int status = there ? 0 : suite_restore(m, d, state);
    if (!status)
    {
        take(d->ctrl, ctrl, m->nu);
        status = suite_steps(m, d, count, next);
    }
    return finished(m, d, status);
}

// ---- poses

// Where all bodies are at these positions: xpos and xquat, nothing else. On data that nobody steps with: a step that goes on
// from a stage would find it changed.
EXPORT int sdac_pose(const mjModel *m, mjData *d, const double *qpos)
{
    take(d->qpos, qpos, m->nq);
    GUARDED(-1, p_mj_kinematics(m, d));
    return 0;
}
