// What Chipmunk costs PushT by itself: its calls in a loop over recorded actions, with the starts of episodes put in. No
// observation, no coverage.
#include <chipmunk/chipmunk.h>

enum { START = 1, SHAPES = 7 }; // where a state holds its episode's start

static cpSpace *space;
static cpBody *agent, *block;
static cpShape *shapes[SHAPES];
static cpVect velocity;

static void end(void)
{
    if (!space)
        return;
    cpSpaceFree(space);
    for (int i = 0; i < SHAPES; i++)
        cpShapeFree(shapes[i]);
    cpBodyFree(agent);
    cpBodyFree(block);
    space = NULL;
}

static void begin(const double *pose)
{
    static const cpVect walls[4][2] = {{{5, 506}, {5, 5}}, {{5, 5}, {506, 5}}, {{506, 5}, {506, 506}}, {{5, 506}, {506, 506}}};
    static const cpVect bar[] = {{-60, 0}, {60, 0}, {60, 30}, {-60, 30}}, stem[] = {{-15, 30}, {15, 30}, {15, 120}, {-15, 120}};
    end();
    space = cpSpaceNew();
    cpSpaceSetGravity(space, cpvzero);
    cpSpaceSetDamping(space, 0);
    for (int i = 0; i < 4; i++)
        cpSpaceAddShape(space, shapes[i] = cpSegmentShapeNew(cpSpaceGetStaticBody(space), walls[i][0], walls[i][1], 2));
    agent = cpBodyNewKinematic();
    cpBodySetPosition(agent, cpv(256, 400));
    shapes[4] = cpCircleShapeNew(agent, 15, cpvzero);
    cpSpaceAddBody(space, agent);
    cpSpaceAddShape(space, shapes[4]);
    block = cpBodyNew(1, 2 * cpMomentForPoly(1, 4, bar, cpvzero, 0));
    shapes[5] = cpPolyShapeNew(block, 4, bar, cpTransformIdentity, 0);
    shapes[6] = cpPolyShapeNew(block, 4, stem, cpTransformIdentity, 0);
    cpBodySetCenterOfGravity(block, cpv(0, 45));
    cpBodySetAngle(block, 0);
    cpBodySetPosition(block, cpv(256, 300));
    cpSpaceAddBody(space, block);
    cpSpaceAddShape(space, shapes[5]);
    cpSpaceAddShape(space, shapes[6]);
    cpBodySetPosition(agent, cpv(pose[0], pose[1]));
    cpBodySetPosition(block, cpv(pose[2], pose[3]));
    cpBodySetAngle(block, pose[4]);
    velocity = cpvzero;
    cpSpaceStep(space, 0.01);
}

// actions [steps, 2]; starts [steps]: whether an episode begins before the step, then from states [steps, size]. Runs steps
// first to first + count - 1 from where the last call left off; writes where agent and block are then: x, y, x, y, angle.
void bare_pusht_run(
    int first, int count, const double *actions, const unsigned char *starts, const double *states, int size, double *pose)
{
    for (int k = first; k < first + count; k++)
    {
        if (starts[k])
            begin(states + (long)k * size + START);
        for (int i = 0; i < 10; i++)
        {
            cpVect at = cpBodyGetPosition(agent);
            velocity.x += (100 * (actions[2 * k] - at.x) + 20 * (0 - velocity.x)) * 0.01;
            velocity.y += (100 * (actions[2 * k + 1] - at.y) + 20 * (0 - velocity.y)) * 0.01;
            cpBodySetVelocity(agent, velocity);
            cpSpaceStep(space, 0.01);
        }
    }
    cpVect a = cpBodyGetPosition(agent), b = cpBodyGetPosition(block);
    pose[0] = a.x, pose[1] = a.y, pose[2] = b.x, pose[3] = b.y, pose[4] = cpBodyGetAngle(block);
}
