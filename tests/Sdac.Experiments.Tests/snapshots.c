/* Stands before the system's calls that change files: before each that touches the folder SNAPSHOT_OF, and in the middle of each
 * write there, a copy of that folder goes to SNAPSHOT_INTO/<number>. The copies are what kills at every one of these moments leave.
 * With SNAPSHOT_KILL=N nothing is copied, and the process kills itself at the N-th moment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int moments;

static int is_inside(const char *path)
{
    const char *root = getenv("SNAPSHOT_OF");
    return root && strncmp(path, root, strlen(root)) == 0;
}

static int is_inside_file(int descriptor)
{
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    return readlink(link, path, sizeof path - 1) > 0 && is_inside(path);
}

static void moment(void)
{
    const char *kill_at = getenv("SNAPSHOT_KILL");
    char into[4096];
    int status;
    pid_t child;
    pthread_mutex_lock(&one_at_a_time);
    moments++;
    if (kill_at) {
        if (moments == atoi(kill_at))
            kill(getpid(), SIGKILL);
    } else {
        char *copy[] = { "cp", "-r", (char *)getenv("SNAPSHOT_OF"), into, NULL };
        char *nothing[] = { "PATH=/usr/bin:/bin", NULL };
        snprintf(into, sizeof into, "%s/%d", getenv("SNAPSHOT_INTO"), moments);
        if (posix_spawnp(&child, "cp", NULL, NULL, copy, nothing) != 0)
            abort();
        while (waitpid(child, &status, 0) < 0)
            if (errno != EINTR)
                abort();
        if (status != 0)
            abort();
    }
    pthread_mutex_unlock(&one_at_a_time);
}

#define SYSTEMS(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int descriptor, const void *bytes, size_t count)
{
    size_t half = count / 2;
    if (!is_inside_file(descriptor))
        return SYSTEMS(write)(descriptor, bytes, count);
    moment();
    if (half && SYSTEMS(write)(descriptor, bytes, half) != (ssize_t)half)
        return -1;
    moment();
    ssize_t rest = SYSTEMS(write)(descriptor, (const char *)bytes + half, count - half);
    return rest < 0 ? rest : (ssize_t)half + rest;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t at)
{
    size_t half = count / 2;
    if (!is_inside_file(descriptor))
        return SYSTEMS(pwrite64)(descriptor, bytes, count, at);
    moment();
    if (half && SYSTEMS(pwrite64)(descriptor, bytes, half, at) != (ssize_t)half)
        return -1;
    moment();
    ssize_t rest = SYSTEMS(pwrite64)(descriptor, (const char *)bytes + half, count - half, at + half);
    return rest < 0 ? rest : (ssize_t)half + rest;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t at)
{
    return pwrite64(descriptor, bytes, count, at);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t at)
{
    if (is_inside_file(descriptor))
        moment();
    return SYSTEMS(pwritev)(descriptor, parts, count, at);
}

int ftruncate64(int descriptor, off64_t length)
{
    if (is_inside_file(descriptor))
        moment();
    return SYSTEMS(ftruncate64)(descriptor, length);
}

int ftruncate(int descriptor, off_t length)
{
    return ftruncate64(descriptor, length);
}

int rename(const char *from, const char *to)
{
    if (is_inside(to))
        moment();
    return SYSTEMS(rename)(from, to);
}

int unlink(const char *path)
{
    if (is_inside(path))
        moment();
    return SYSTEMS(unlink)(path);
}

int mkdir(const char *path, mode_t mode)
{
    if (is_inside(path))
        moment();
    return SYSTEMS(mkdir)(path, mode);
}

int rmdir(const char *path)
{
    if (is_inside(path))
        moment();
    return SYSTEMS(rmdir)(path);
}

static int mode_of(int flags, va_list rest)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = mode_of(flags, rest);
    va_end(rest);
    if ((flags & (O_CREAT | O_TRUNC)) && is_inside(path))
        moment();
    return SYSTEMS(open64)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = mode_of(flags, rest);
    va_end(rest);
    return open64(path, flags, mode);
}
