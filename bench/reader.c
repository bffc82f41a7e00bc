/* The yardstick: finds the containers of this host and reads what isoaudit reads of them, each file once, with
 * directory descriptors, one thread and no parsing beyond what it takes to find them.
 *
 * Which cgroup files, settings and libraries those are, run.py takes from isoaudit itself (tables.h). Prints one
 * line of JSON: containers, processes, calls by kind, bytes read, seconds of CPU and of wall time.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tables.h"

#define MOST (1 << 20)
#define INSIDE (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define COUNT(list) (sizeof(list) / sizeof *(list))

static struct { unsigned long open, read, readlink, stat, listdir, bytes; } counts;
static char buffer[MOST], mounts[MOST], status[1 << 14], memberships[1 << 14];

static int note(int fd) {
    counts.open++;
    return fd;
}

static int open_inside(int root, const char *path, unsigned long long flags, unsigned long long resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
    return note(syscall(SYS_openat2, root, path, &how, sizeof how));
}

/* One file, whole; what it says ends in a NUL. -1 with errno where there is none. */
static ssize_t slurp(int folder, const char *path, char *into, size_t room, int to_its_end) {
    ssize_t size, total = 0;
    int fd = note(openat(folder, path, O_RDONLY | O_CLOEXEC));
    into[0] = 0;
    if (fd < 0)
        return -1;
    while (counts.read++, (size = read(fd, into + total, room - 1 - total)) > 0) {
        total += size;
        if (!to_its_end)
            break;
    }
    close(fd);
    into[total] = 0;
    counts.bytes += total;
    return size < 0 ? -1 : total;
}

static void link_of(int folder, const char *path, char target[64]) {
    counts.readlink++;
    ssize_t size = readlinkat(folder, path, target, 63);
    target[size < 0 ? 0 : size] = 0;
}

static struct hierarchy {
    char top[256];
    int version, lacks[64], files;
    const char *controllers[16], *file[64];
    int controller_count;
} hierarchies[32];
static int hierarchy_count;

static int is_leaf_only(const char *file) {
    for (size_t i = 0; i < COUNT(LEAF_ONLY); i++)
        if (!strcmp(LEAF_ONLY[i], file))
            return 1;
    return 0;
}

static void add_hierarchy(const char *target, const char *type, char *options) {
    struct hierarchy *one = &hierarchies[hierarchy_count];
    snprintf(one->top, sizeof one->top, "%s", target);
    one->version = strcmp(type, "cgroup2") ? 1 : 2;
    if (one->version == 2)
        for (size_t i = 0; i < COUNT(V2_FILES); i++)
            one->file[one->files++] = V2_FILES[i];
    else
        for (char *rest, *option = strtok_r(options, ",\n", &rest); option; option = strtok_r(NULL, ",\n", &rest))
            for (size_t i = 0; i < COUNT(V1_FILES); i++)
                if (!strcmp(V1_FILES[i].controller, option)) {
                    one->file[one->files++] = V1_FILES[i].file;
                    if (!one->controller_count || strcmp(one->controllers[one->controller_count - 1], option))
                        one->controllers[one->controller_count++] = strdup(option);
                }
    if (one->files && hierarchy_count < (int)COUNT(hierarchies) - 1)
        hierarchy_count++;
}

static void read_host(int proc) {
    for (size_t i = 0; i < COUNT(HOST_FILES); i++)
        slurp(AT_FDCWD, HOST_FILES[i], buffer, sizeof buffer, 1);
    slurp(proc, "self/mountinfo", mounts, sizeof mounts, 1);
    for (char *rest, *line = strtok_r(mounts, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char root[256], target[256], type[64], options[1024], *tail = strstr(line, " - ");
        if (tail && sscanf(line, "%*s %*s %*s %255s %255s", root, target) == 2
            && sscanf(tail, " - %63s %*s %1023s", type, options) == 2 && !strcmp(root, "/")
            && !strncmp(type, "cgroup", 6))
            add_hierarchy(target, type, options);
    }
}

/* Paths of cgroups that have been read, so that the ancestors of all are read once. */
static char *visited[1 << 16];

static int first_visit(const char *path) {
    unsigned long hash = 5381;
    for (const char *c = path; *c; c++)
        hash = hash * 33 ^ (unsigned char)*c;
    for (hash %= COUNT(visited); visited[hash]; hash = (hash + 1) % COUNT(visited))
        if (!strcmp(visited[hash], path))
            return 0;
    visited[hash] = strdup(path);
    return 1;
}

static void read_cgroup(struct hierarchy *one, const char *path, int leaf) {
    int fd = note(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; fd >= 0 && i < one->files; i++)
        if (!one->lacks[i] && (leaf || !is_leaf_only(one->file[i]))
            && slurp(fd, one->file[i], buffer, sizeof buffer, 0) < 0 && errno == ENOENT && one->version == 1)
            one->lacks[i] = leaf;
    if (fd >= 0)
        close(fd);
}

/* The path in a hierarchy, from /proc/PID/cgroup. */
static int path_in(const struct hierarchy *one, char path[1024]) {
    for (char *line = memberships, *end; (end = strchr(line, '\n')); line = end + 1) {
        char *names = memchr(line, ':', end - line), *at = names ? memchr(names + 1, ':', end - names - 1) : NULL;
        if (!at)
            continue;
        int found = one->version == 2 ? line[0] == '0' : 0;
        for (int i = 0; i < one->controller_count && !found; i++) {
            size_t length = strlen(one->controllers[i]);
            for (char *name = names + 1; name < at && !found; name += strcspn(name, ",:") + 1)
                found = strcspn(name, ",:") == length && !strncmp(name, one->controllers[i], length);
        }
        if (found && end - at - 1 < 1024) {
            memcpy(path, at + 1, end - at - 1);
            path[end - at - 1] = 0;
            return 1;
        }
    }
    return 0;
}

static void read_cgroups(void) {
    char inside[1024], path[2048];
    for (int i = 0; i < hierarchy_count; i++) {
        struct hierarchy *one = &hierarchies[i];
        if (!path_in(one, inside))
            continue;
        if (snprintf(path, sizeof path, "%s%s", one->top, strcmp(inside, "/") ? inside : "") >= (int)sizeof path)
            continue;
        read_cgroup(one, path, 1);
        while (strlen(path) > strlen(one->top)) {
            *strrchr(path, '/') = 0;
            if (first_visit(path))
                read_cgroup(one, path, 0);
        }
    }
}

/* A regular file inside, as it is safe to open one: examined before it is opened. */
static int open_regular(int root, const char *path, struct stat *info) {
    char link[64];
    int fd = -1, handle = open_inside(root, path, O_PATH, INSIDE | RESOLVE_NO_XDEV);
    if (handle < 0)
        return -1;
    counts.stat++;
    if (fstat(handle, info) == 0 && S_ISREG(info->st_mode)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
        fd = note(open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    }
    close(handle);
    return fd;
}

static void read_userland(int root, const char *machine) {
    static ino_t seen;
    struct stat info;
    char path[256];
    ssize_t size;
    for (size_t i = 0; i < COUNT(OS_RELEASE); i++) {
        int fd = open_regular(root, OS_RELEASE[i], &info);
        if (fd < 0)
            continue;
        counts.read++;
        size = pread(fd, buffer, 1 << 16, 0);
        counts.bytes += size > 0 ? size : 0;
        close(fd);
        break;
    }
    for (size_t i = 0; i < COUNT(LIBRARIES); i++) {
        snprintf(path, sizeof path, LIBRARIES[i], machine);
        int fd = open_regular(root, path, &info);
        if (fd < 0)
            continue;
        counts.stat++;
        if (fstat(fd, &info) == 0 && info.st_ino != seen) /* one library for all containers of an image */
            for (seen = info.st_ino; (size = read(fd, buffer, sizeof buffer)) > 0; counts.bytes += size)
                counts.read++;
        close(fd);
        break;
    }
    for (size_t i = 0; i < COUNT(SYSTEMD_FOLDERS); i++) {
        snprintf(path, sizeof path, SYSTEMD_FOLDERS[i], machine);
        int fd = open_inside(root, path, O_RDONLY | O_DIRECTORY, INSIDE | RESOLVE_NO_SYMLINKS);
        DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        if (folder) {
            counts.listdir++;
            while (readdir(folder))
                ;
            closedir(folder);
        }
    }
}

static void read_devices(int root) {
    char pattern[300], device[32] = "";
    struct stat info;
    int fd = open_inside(root, "dev", O_RDONLY | O_DIRECTORY | O_NONBLOCK, INSIDE | RESOLVE_NO_SYMLINKS);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    counts.listdir += folder != NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_LNK || entry->d_type == DT_REG)
            continue;
        snprintf(pattern, sizeof pattern, " /dev/%s ", entry->d_name);
        if (strstr(mounts, pattern))
            continue;
        counts.stat++;
        fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW);
    }
    if (folder)
        closedir(folder);
    /* Binds of what may be a single device. Those of nodes in /dev are known. */
    for (char *line = mounts, *end; (end = strchr(line, '\n')); line = end + 1) {
        char number[32], from[256], target[256], options[256], type[64];
        *end = 0;
        char *tail = strstr(line, " - ");
        if (!tail || sscanf(line, "%*s %*s %31s %255s %255s %255s", number, from, target, options) != 4
            || sscanf(tail, " - %63s", type) != 1)
            continue;
        if (!strcmp(target, "/dev"))
            strcpy(device, number);
        if (!strcmp(from, "/") || strstr(options, "nodev") || !strcmp(number, device) || !strcmp(target, "/")
            || !strcmp(target, "/dev") || !strncmp(type, "cgroup", 6) || !strcmp(type, "proc")
            || !strcmp(type, "sysfs"))
            continue;
        int handle = open_inside(root, target, O_PATH, INSIDE | RESOLVE_NO_SYMLINKS);
        if (handle >= 0) {
            counts.stat++;
            fstat(handle, &info);
            close(handle);
        }
    }
}

static long number_after(const char *text, const char *field) {
    const char *at = strstr(text, field);
    return at ? atol(at + strlen(field)) : 0;
}

/* The process above, which with containers is the runtime's monitor. */
static void read_monitor(int proc, long pid) {
    char path[64], link[64];
    snprintf(path, sizeof path, "%ld/status", pid);
    slurp(proc, path, buffer, sizeof buffer, 0);
    snprintf(path, sizeof path, "%ld/ns/mnt", pid);
    link_of(proc, path, link);
    snprintf(path, sizeof path, "%ld/cmdline", pid);
    slurp(proc, path, buffer, sizeof buffer, 0);
}

static int read_container(int proc, int pid, const char *host_pid_namespace, const char *machine) {
    static const char *kinds[] = {"ns/cgroup", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/time", "ns/user", "ns/uts"};
    static const char *files[] = {"uid_map", "gid_map", "limits", "attr/current", "oom_score_adj", "stat"};
    char path[64], link[64], pid_namespace[64] = "";
    snprintf(path, sizeof path, "%d", pid);
    int folder = note(openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder < 0)
        return 0;
    slurp(folder, "stat", buffer, sizeof buffer, 0);
    slurp(folder, "status", status, sizeof status, 0);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        link_of(folder, kinds[i], link);
        if (!strcmp(kinds[i], "ns/pid"))
            strcpy(pid_namespace, link);
    }
    slurp(folder, "cgroup", memberships, sizeof memberships, 1);
    read_monitor(proc, number_after(status, "\nPPid:"));
    int contained = strcmp(pid_namespace, host_pid_namespace); /* else a service with private mounts */
    if (contained) {
        slurp(folder, "mountinfo", mounts, sizeof mounts, 1);
        int root = note(openat(folder, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (root >= 0) {
            read_devices(root);
            read_userland(root, machine);
            close(root);
        }
        read_cgroups();
        for (size_t i = 0; i < COUNT(files); i++)
            slurp(folder, files[i], buffer, sizeof buffer, 1);
    }
    close(folder);
    return contained != 0;
}

struct process {
    char namespace[64];
    int pid;
};

static int by_namespace(const void *left, const void *right) {
    const struct process *a = left, *b = right;
    int order = strcmp(a->namespace, b->namespace);
    return order ? order : a->pid - b->pid;
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(void) {
    double start = seconds(CLOCK_MONOTONIC);
    int proc = note(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    char host_mnt[64], host_pid[64], link[64], path[280];
    size_t processes = 0, apart = 0, containers = 0, room = 1 << 10;
    struct process *found = malloc(room * sizeof *found);
    struct utsname system;
    uname(&system);
    read_host(proc);
    link_of(proc, "self/ns/mnt", host_mnt);
    link_of(proc, "self/ns/pid", host_pid);

    counts.listdir++;
    DIR *folder = fdopendir(dup(proc));
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        processes++;
        snprintf(path, sizeof path, "%s/ns/mnt", entry->d_name);
        link_of(proc, path, link);
        if (!link[0])
            continue;
        if (!strcmp(link, host_mnt)) {
            snprintf(path, sizeof path, "%s/ns/pid", entry->d_name);
            link_of(proc, path, link);
            if (!strcmp(link, host_pid)) {
                snprintf(path, sizeof path, "%s/root", entry->d_name);
                link_of(proc, path, link);
                if (!strcmp(link, "/") || !link[0])
                    continue;
            }
        }
        if (apart == room)
            found = realloc(found, (room *= 2) * sizeof *found);
        strcpy(found[apart].namespace, link);
        found[apart++].pid = atoi(entry->d_name);
    }
    qsort(found, apart, sizeof *found, by_namespace);
    for (size_t first = 0, next; first < apart; first = next) {
        int leader = found[first].pid;
        for (next = first + 1; next < apart && !strcmp(found[next].namespace, found[first].namespace); next++) {
            /* The others of a container: the lowest pid was the first one. */
            snprintf(path, sizeof path, "%d/status", found[next].pid);
            slurp(proc, path, buffer, sizeof buffer, 0);
            snprintf(path, sizeof path, "%d/ns/user", found[next].pid);
            link_of(proc, path, link);
        }
        containers += read_container(proc, leader, host_pid, system.machine);
    }
    printf("{\"containers\":%zu,\"processes\":%zu,\"calls\":{\"open\":%lu,\"read\":%lu,\"readlink\":%lu,"
           "\"stat\":%lu,\"listdir\":%lu},\"bytes\":%lu,\"cpu\":%.6f,\"wall\":%.6f}\n",
           containers, processes, counts.open, counts.read, counts.readlink, counts.stat, counts.listdir,
           counts.bytes, seconds(CLOCK_PROCESS_CPUTIME_ID), seconds(CLOCK_MONOTONIC) - start);
    return 0;
}
