/* Keeps, of the files below RECORD_ROOT, what each fsync brings to the disk.
 *
 * Loaded by LD_PRELOAD. Into RECORD_LOG go, in their order, a line a happening:
 *   C inode              a file or folder was made, and nothing of it is on the disk
 *   F inode snapshot     a file was synced, as it is in the snapshot beside the log
 *   D inode snapshot     a folder was synced; the snapshot has a line a name:
 *                        kind inode name, or `l 0 name<TAB>target`
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *root, *log_path;
static size_t root_length;
static int counter;

static int raw_open(const char *path, int flags) {
    return syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("RECORD_ROOT");
    log_path = getenv("RECORD_LOG");
    root_length = root ? strlen(root) : 0;
}

static int is_below(const char *path) {
    return root && log_path && !strncmp(path, root, root_length) &&
           (path[root_length] == '/' || path[root_length] == 0);
}

static int full_path(int folder, const char *path, char *into) {
    char base[PATH_MAX];
    if (path[0] == '/') return snprintf(into, PATH_MAX, "%s", path) < PATH_MAX;
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, base, sizeof base - 1);
        if (length < 0) return 0;
        base[length] = 0;
    }
    return snprintf(into, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

static void note(const char *line) {
    int log = raw_open(log_path, O_WRONLY | O_CREAT | O_APPEND);
    if (log < 0 || write(log, line, strlen(line)) < 0) abort();
    close(log);
}

static void note_made(const char *path) {
    struct stat now;
    char line[64];
    if (lstat(path, &now)) return;
    snprintf(line, sizeof line, "C %lu\n", (unsigned long)now.st_ino);
    note(line);
}

static void copy(int from, int into) {
    char piece[1 << 16];
    off_t place = 0;
    ssize_t length;
    while ((length = pread(from, piece, sizeof piece, place)) > 0) {
        if (write(into, piece, length) != length) abort();
        place += length;
    }
}

static void list(const char *path, int into) {
    DIR *folder = opendir(path);
    struct dirent *one;
    if (!folder) return;
    while ((one = readdir(folder))) {
        char whole[PATH_MAX * 2], target[PATH_MAX], line[PATH_MAX * 3];
        struct stat now;
        if (!strcmp(one->d_name, ".") || !strcmp(one->d_name, "..")) continue;
        snprintf(whole, sizeof whole, "%s/%s", path, one->d_name);
        if (lstat(whole, &now)) continue;
        if (S_ISLNK(now.st_mode)) {
            ssize_t length = readlink(whole, target, sizeof target - 1);
            if (length < 0) continue;
            target[length] = 0;
            snprintf(line, sizeof line, "l 0 %s\t%s\n", one->d_name, target);
        } else {
            snprintf(line, sizeof line, "%c %lu %s\n", S_ISDIR(now.st_mode) ? 'd' : 'f',
                     (unsigned long)now.st_ino, one->d_name);
        }
        if (write(into, line, strlen(line)) < 0) abort();
    }
    closedir(folder);
}

static void note_synced(int descriptor) {
    int before = errno;
    char link[64], path[PATH_MAX], name[PATH_MAX], line[PATH_MAX];
    struct stat now;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0 && !fstat(descriptor, &now)) {
        path[length] = 0;
        if (is_below(path)) {
            int number = __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
            snprintf(name, sizeof name, "%s.%d.%d", log_path, getpid(), number);
            int into = raw_open(name, O_WRONLY | O_CREAT | O_TRUNC);
            if (into < 0) abort();
            if (S_ISDIR(now.st_mode)) {
                list(path, into);
            } else {
                int from = raw_open(link, O_RDONLY);
                if (from < 0) abort();
                copy(from, into);
                close(from);
            }
            close(into);
            snprintf(line, sizeof line, "%c %lu %s\n", S_ISDIR(now.st_mode) ? 'D' : 'F',
                     (unsigned long)now.st_ino, strrchr(name, '/') + 1);
            note(line);
        }
    }
    errno = before;
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

int fsync(int descriptor) {
    note_synced(descriptor);
    return REAL(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    note_synced(descriptor);
    return REAL(fdatasync)(descriptor);
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    int makes = (flags & O_CREAT) && full_path(folder, path, whole) && is_below(whole) &&
                access(whole, F_OK);
    int descriptor = syscall(SYS_openat, folder, path, flags, mode);
    if (makes && descriptor >= 0) {
        int before = errno;
        note_made(whole);
        errno = before;
    }
    return descriptor;
}

#define MODE                                  \
    mode_t mode = 0;                          \
    if (flags & (O_CREAT | O_TMPFILE)) {      \
        va_list more;                         \
        va_start(more, flags);                \
        mode = va_arg(more, mode_t);          \
        va_end(more);                         \
    }

int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }

int mkdir(const char *path, mode_t mode) {
    char whole[PATH_MAX];
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    int before = errno;
    if (!result && full_path(AT_FDCWD, path, whole) && is_below(whole)) note_made(whole);
    errno = before;
    return result;
}
