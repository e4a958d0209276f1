/* Calls of the system that fail when a test wants it, those of SQLite included: for LD_PRELOAD.

   Only calls count that concern a file below the directory FAILING_CALLS_UNDER whose name ends as FAILING_CALLS_ENDING
   says. `arm` says which of them fail. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT = -1, KILL = -2 };  /* in place of an error: half of the bytes, or the end of the process */

static char under[4096];
static char ending[32];
static char chosen[256];  /* ",write,fsync," */
static long first, last, counted, after, told;
static int outcome;

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

__attribute__((constructor)) static void begin(void)
{
    const char *root = getenv("FAILING_CALLS_UNDER");
    if (root != NULL)
        snprintf(under, sizeof under, "%s/", root);
    const char *end = getenv("FAILING_CALLS_ENDING");
    snprintf(ending, sizeof ending, "%s", end != NULL ? end : "");
}

/* From now on the `nth` (from 1) and the `times - 1` after it of the `calls`, names between commas, give `error`.
   `kill_after`: the process ends before so many counted calls of any kind after the first that failed; 0: it does not. */
void arm(const char *calls, long nth, long times, int error, long kill_after)
{
    snprintf(chosen, sizeof chosen, ",%s,", calls);
    counted = told = 0;
    first = nth;
    last = nth + times - 1;
    outcome = error;
    after = kill_after;
}

/* How many of the chosen calls there have been. */
long calls_counted(void)
{
    return counted;
}

static int is_end(const char *path, const char *end)
{
    return strlen(path) >= strlen(end) && strcmp(path + strlen(path) - strlen(end), end) == 0;
}

/* What becomes of this call: 0 for nothing, SHORT, or the number of an error. */
static int fate(const char *name, const char *path)
{
    char wanted[32];
    int kept = errno;
    size_t length = strlen(under);
    if (!chosen[0] || !length || path == NULL || strncmp(path, under, length) != 0)
        return 0;
    if (is_end(path, ".log"))  /* what a process says of its troubles must not be one */
        return 0;
    if (!is_end(path, ending))
        return 0;
    if (told && after && __atomic_sub_fetch(&after, 1, __ATOMIC_SEQ_CST) == 0)
        kill(getpid(), SIGKILL);
    snprintf(wanted, sizeof wanted, ",%s,", name);
    if (strstr(chosen, wanted) == NULL)
        return 0;
    long number = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    errno = kept;
    if (number < first || number > last)
        return 0;
    if (outcome == KILL)
        kill(getpid(), SIGKILL);
    if (!__atomic_exchange_n(&told, 1, __ATOMIC_SEQ_CST) && getenv("FAILING_CALLS_TELL") != NULL)
        REAL("write", ssize_t (*)(int, const void *, size_t))(1, "hit\n", 4);
    errno = outcome > 0 ? outcome : kept;
    return outcome;
}

static int fate_of_file(const char *name, int descriptor)
{
    char link[64], path[4096];
    int kept = errno;
    if (descriptor < 0 || !chosen[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (length < 0)
        return 0;
    path[length] = 0;
    return fate(name, path);
}

static size_t some(int what, size_t size)
{
    return what == SHORT && size > 1 ? size / 2 : size;
}

ssize_t write(int file, const void *data, size_t size)
{
    int what = fate_of_file("write", file);
    return what > 0 ? -1 : REAL("write", ssize_t (*)(int, const void *, size_t))(file, data, some(what, size));
}

#define PWRITE(function) \
    ssize_t function(int file, const void *data, size_t size, off_t offset) \
    { \
        int what = fate_of_file("pwrite", file); \
        return what > 0 ? -1 \
            : REAL(#function, ssize_t (*)(int, const void *, size_t, off_t))(file, data, some(what, size), offset); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define ON_FILE(name, function, parameters, arguments, types) \
    int function parameters \
    { \
        return fate_of_file(name, file) > 0 ? -1 : REAL(#function, int (*) types) arguments; \
    }
ON_FILE("fsync", fsync, (int file), (file), (int))
ON_FILE("fdatasync", fdatasync, (int file), (file), (int))
ON_FILE("ftruncate", ftruncate, (int file, off_t size), (file, size), (int, off_t))
ON_FILE("ftruncate", ftruncate64, (int file, off_t size), (file, size), (int, off_t))

#define ON_PATH(name, function, path, parameters, arguments, types) \
    int function parameters \
    { \
        return fate(name, path) > 0 ? -1 : REAL(#function, int (*) types) arguments; \
    }
ON_PATH("rename", rename, to, (const char *from, const char *to), (from, to), (const char *, const char *))
ON_PATH("link", link, to, (const char *from, const char *to), (from, to), (const char *, const char *))
ON_PATH("unlink", unlink, path, (const char *path), (path), (const char *))
ON_PATH("unlink", rmdir, path, (const char *path), (path), (const char *))
ON_PATH("mkdir", mkdir, path, (const char *path, mode_t mode), (path, mode), (const char *, mode_t))

#define OPEN(function) \
    int function(const char *path, int flags, ...) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return fate("open", path) > 0 ? -1 : REAL(#function, int (*)(const char *, int, ...))(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define MMAP(function) \
    void *function(void *address, size_t size, int protection, int flags, int file, off_t offset) \
    { \
        return fate_of_file("mmap", file) > 0 ? MAP_FAILED \
            : REAL(#function, void *(*)(void *, size_t, int, int, int, off_t))( \
                address, size, protection, flags, file, offset); \
    }
MMAP(mmap)
MMAP(mmap64)
