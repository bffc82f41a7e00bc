/* Starts N containers to measure on: `launch N`.
 *
 * Each has new PID, mount, network, UTS and IPC namespaces, a cgroup of its own in every hierarchy that is
 * mounted, a root filesystem on overlayfs (where there is none, a read-only bind), and the mount table that
 * Docker makes. Its one process sleeps. Prints "ready", waits for the end of its input, for SIGINT, SIGTERM or
 * its parent's death, and takes everything away again. What a launcher that was killed has left behind, the
 * next one removes. Exits with 1 where a container could not be started.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_HIERARCHIES 32
#define PREFIX "isoaudit-bench-"
#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)

static char hierarchy[MOST_HIERARCHIES][256]; /* mount points */
static int hierarchies;
static char ours[64]; /* name of our cgroup in each, and of our folder */
static char state[PATH_MAX]; /* our folder, with the image of all */
static volatile sig_atomic_t stop;

static void on_signal(int number) {
    (void)number;
    stop = 1;
}

/* A path; one that is too long ends the program rather than name something else. */
__attribute__((format(printf, 2, 3))) static void join(char path[PATH_MAX], const char *format, ...) {
    va_list parts;
    va_start(parts, format);
    int length = vsnprintf(path, PATH_MAX, format, parts);
    va_end(parts);
    if (length < 0 || length >= PATH_MAX) {
        fprintf(stderr, "launch: a path is too long\n");
        exit(1);
    }
}

static int put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, strlen(text));
    close(fd);
    return written < 0 ? -1 : 0;
}

static int copy(const char *from, const char *to) {
    static char buffer[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ssize_t size = -1;
    if (in >= 0 && out >= 0)
        while ((size = read(in, buffer, sizeof buffer)) > 0)
            if (write(out, buffer, size) != size) {
                size = -1;
                break;
            }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return size < 0 ? -1 : 0;
}

static void find_hierarchies(void) {
    FILE *file = fopen("/proc/self/mounts", "re");
    char line[4096], target[256], type[64];
    while (file && fgets(line, sizeof line, file) && hierarchies < MOST_HIERARCHIES)
        if (sscanf(line, "%*s %255s %63s", target, type) == 2
            && (!strcmp(type, "cgroup") || !strcmp(type, "cgroup2")))
            strcpy(hierarchy[hierarchies++], target);
    if (file)
        fclose(file);
}

/* 64 hexadecimal digits, different from the first on. */
static const char *name_of(int number) {
    static char id[65];
    uint64_t value = (uint64_t)getpid() << 32 | (unsigned)number;
    for (int part = 0; part < 4; part++) {
        value += 0x9e3779b97f4a7c15; /* splitmix64 */
        uint64_t mixed = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
        sprintf(id + 16 * part, "%016llx", (unsigned long long)(mixed ^ mixed >> 31));
    }
    return id;
}

/* A cpuset of v1 takes no process before it has CPUs and memory. */
static void inherit_cpuset(const char *folder) {
    static const char *files[] = {"cpuset.cpus", "cpuset.mems"};
    char from[PATH_MAX], to[PATH_MAX], value[4096];
    for (int i = 0; i < 2; i++) {
        join(from, "%s/../%s", folder, files[i]);
        join(to, "%s/%s", folder, files[i]);
        int fd = open(from, O_RDONLY | O_CLOEXEC);
        ssize_t size = fd < 0 ? -1 : read(fd, value, sizeof value - 1);
        if (fd >= 0)
            close(fd);
        if (size > 0) {
            value[size] = 0;
            put(to, value); /* on v2, and in other hierarchies, there is nothing to be done */
        }
    }
}

static int make_cgroup(const char *folder) {
    if (mkdir(folder, 0755) && errno != EEXIST)
        return -1;
    inherit_cpuset(folder);
    return 0;
}

static int join_cgroups(pid_t pid, const char *id) {
    char path[PATH_MAX], number[16];
    snprintf(number, sizeof number, "%d", pid);
    for (int i = 0; i < hierarchies; i++) {
        join(path, "%s/%s/%s", hierarchy[i], ours, id);
        if (make_cgroup(path))
            return -1;
        join(path, "%s/%s/%s/cgroup.procs", hierarchy[i], ours, id);
        if (put(path, number))
            return -1;
    }
    return 0;
}

static void remove_cgroups(const char *name) {
    char top[PATH_MAX], path[PATH_MAX];
    for (int i = 0; i < hierarchies; i++) {
        join(top, "%s/%s", hierarchy[i], name);
        DIR *folder = opendir(top);
        for (struct dirent *entry; folder && (entry = readdir(folder));)
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
                join(path, "%s/%s", top, entry->d_name);
                /* A process that was reaped a moment ago may still be counted. */
                for (int attempt = 0; attempt < 100 && rmdir(path) && errno == EBUSY; attempt++)
                    usleep(10000);
            }
        if (folder)
            closedir(folder);
        rmdir(top);
    }
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void remove_state(const char *folder) { nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

static const char *temporary(void) {
    const char *folder = getenv("TMPDIR");
    return folder && *folder ? folder : "/tmp";
}

/* What launchers that were killed have left behind: their name ends in their pid. */
static void remove_leftovers(void) {
    char path[PATH_MAX];
    for (int i = -1; i < hierarchies; i++) {
        DIR *folder = opendir(i < 0 ? temporary() : hierarchy[i]);
        for (struct dirent *entry; folder && (entry = readdir(folder));) {
            if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)))
                continue;
            if (kill(atoi(entry->d_name + strlen(PREFIX)), 0) == 0 || errno != ESRCH)
                continue;
            remove_cgroups(entry->d_name);
            join(path, "%s/%s", temporary(), entry->d_name);
            remove_state(path);
        }
        if (folder)
            closedir(folder);
    }
}

/* A small image: what isoaudit looks for in one, where Debian has it. */
static int make_state(void) {
    static const char *folders[] = {"", "/root", "/upper", "/image", "/image/dev", "/image/proc", "/image/sys",
                                    "/image/etc", "/image/usr", "/image/usr/lib"};
    static const char *beside[] = {"resolv.conf", "hostname", "hosts"};
    char path[PATH_MAX], from[PATH_MAX], library[PATH_MAX];
    struct utsname system;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        join(path, "%s%s", state, folders[i]);
        if (mkdir(path, 0755))
            return -1;
    }
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        join(path, "%s/%s", state, beside[i]);
        put(path, "");
        join(path, "%s/image/etc/%s", state, beside[i]);
        put(path, "");
    }
    join(path, "%s/image/usr/lib/os-release", state);
    put(path, "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n");
    join(path, "%s/image/etc/os-release", state);
    if (symlink("../usr/lib/os-release", path))
        return -1;
    join(path, "%s/image/lib", state);
    if (symlink("usr/lib", path))
        return -1;
    uname(&system);
    join(library, "/usr/lib/%s-linux-gnu", system.machine);
    join(path, "%s/image%s", state, library);
    mkdir(path, 0755);
    join(path, "%s/image%s/libc.so.6", state, library);
    join(from, "%s/libc.so.6", library);
    if (copy(from, path))
        unlink(path); /* a host with musl: then the image has no C library */
    return 0;
}

static int attach(const char *source, const char *target, const char *type, unsigned long flags,
                  const char *data) {
    mkdir(target, 0755);
    return mount(source, target, type, flags, data);
}

static int bind(const char *source, const char *target, unsigned long flags) {
    if (mount(source, target, NULL, MS_BIND | MS_REC, NULL))
        return -1;
    return flags ? mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | flags, NULL) : 0;
}

/* Inside `root`, which is the working directory: what Docker mounts, in its order. */
static int mount_like_docker(const char *id) {
    static const char *read_only[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    static const char *masked[] = {"proc/kcore", "proc/keys", "proc/timer_list"};
    static const char *emptied[] = {"proc/acpi", "sys/firmware"};
    static const struct { const char *path; unsigned minor; } nodes[] = {
        {"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9}};
    const unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char from[PATH_MAX], to[PATH_MAX];
    struct stat info;

    if (attach("proc", "proc", "proc", quiet, NULL)
        || attach("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "size=65536k,mode=755")
        || attach("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
        || attach("sysfs", "sys", "sysfs", quiet | MS_RDONLY, NULL)
        || attach("tmpfs", "sys/fs/cgroup", "tmpfs", quiet, "mode=755"))
        return -1;
    for (int i = 0; i < hierarchies; i++) {
        const char *last = strrchr(hierarchy[i], '/');
        join(from, "%s/%s/%s", hierarchy[i], ours, id);
        /* The one hierarchy of v2 is /sys/fs/cgroup itself. */
        join(to, "sys/fs/cgroup%s", strcmp(last, "/cgroup") ? last : "");
        mkdir(to, 0755);
        if (bind(from, to, quiet | MS_RDONLY))
            return -1;
    }
    if (attach("mqueue", "dev/mqueue", "mqueue", quiet, NULL)
        || attach("shm", "dev/shm", "tmpfs", quiet, "mode=1777,size=65536k"))
        return -1;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (mknod(nodes[i].path, S_IFCHR | 0666, makedev(1, nodes[i].minor)))
            return -1;
    if (mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0)) || symlink("pts/ptmx", "dev/ptmx")
        || symlink("/proc/self/fd", "dev/fd") || symlink("/proc/self/fd/0", "dev/stdin")
        || symlink("/proc/self/fd/1", "dev/stdout") || symlink("/proc/self/fd/2", "dev/stderr"))
        return -1;
    static const char *beside[] = {"resolv.conf", "hostname", "hosts"};
    for (int i = 0; i < 3; i++) {
        join(from, "%s/%s", state, beside[i]);
        join(to, "etc/%s", beside[i]);
        if (bind(from, to, 0))
            return -1;
    }
    for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++)
        if (stat(read_only[i], &info) == 0 && bind(read_only[i], read_only[i], quiet | MS_RDONLY))
            return -1;
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
        if (stat(masked[i], &info) == 0 && bind("dev/null", masked[i], 0))
            return -1;
    for (size_t i = 0; i < sizeof emptied / sizeof *emptied; i++)
        if (stat(emptied[i], &info) == 0 && mount("tmpfs", emptied[i], "tmpfs", MS_RDONLY, NULL))
            return -1;
    return 0;
}

struct start {
    const char *id;
    int go[2], done[2];
};

static int enter(const char *id) {
    char options[PATH_MAX], path[PATH_MAX], image[PATH_MAX];
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return -1;
    join(path, "%s/upper", state);
    if (mount("tmpfs", path, "tmpfs", 0, "size=1m,mode=755") || chdir(path) || mkdir("diff", 0755)
        || mkdir("work", 0755))
        return -1;
    join(options, "lowerdir=%s/image,upperdir=%s/diff,workdir=%s/work", state, path, path);
    join(path, "%s/root", state);
    if (mount("overlay", path, "overlay", 0, options)) {
        join(image, "%s/image", state);
        if (bind(image, path, MS_RDONLY))
            return -1;
    }
    if (chdir(path) || mount_like_docker(id))
        return -1;
    if (sethostname(id, 12) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH))
        return -1;
    return chdir("/");
}

static int contained(void *argument) {
    struct start *start = argument;
    char byte = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "sleep");
    umask(0);
    close(start->go[1]);
    /* Nothing comes if the launcher died before the line above. */
    if (read(start->go[0], &byte, 1) != 1)
        _exit(1);
    if (enter(start->id)) {
        perror("launch: in the container");
        _exit(1);
    }
    (void)!write(start->done[1], &byte, 1);
    for (int fd = 0; fd < 64; fd++)
        close(fd);
    for (;;)
        pause();
}

static pid_t launch(const char *id) {
    static char stack[1 << 16] __attribute__((aligned(16)));
    struct start start = {.id = id};
    char byte = 0;
    if (pipe2(start.go, O_CLOEXEC))
        return -1;
    if (pipe2(start.done, O_CLOEXEC)) {
        close(start.go[0]), close(start.go[1]);
        return -1;
    }
    pid_t pid = clone(contained, stack + sizeof stack, NAMESPACES | SIGCHLD, &start);
    if (pid < 0)
        perror("launch: clone");
    close(start.go[0]);
    close(start.done[1]);
    if (pid > 0) {
        int joined = join_cgroups(pid, id);
        if (joined)
            perror("launch: cgroup");
        else
            (void)!write(start.go[1], &byte, 1);
        close(start.go[1]);
        if (joined || read(start.done[0], &byte, 1) != 1) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            pid = -1;
        }
    } else {
        close(start.go[1]);
    }
    close(start.done[0]);
    return pid;
}

int main(int count, char **words) {
    int wanted = count == 2 ? atoi(words[1]) : 0, started = 0;
    char path[PATH_MAX];
    pid_t *pids = wanted > 0 ? calloc(wanted, sizeof *pids) : NULL;
    if (!pids) {
        fprintf(stderr, "usage: launch NUMBER\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* A name that isoaudit takes for a runtime's monitor, as it would a shim's: it looks no further up. */
    prctl(PR_SET_NAME, PREFIX);
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a signal ends the waits below */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(022);

    find_hierarchies();
    remove_leftovers();
    snprintf(ours, sizeof ours, PREFIX "%d", getpid());
    join(state, "%s/%s", temporary(), ours);
    int failed = make_state();
    if (failed)
        perror(state);
    for (int i = 0; i < hierarchies && !failed; i++) {
        join(path, "%s/%s", hierarchy[i], ours);
        failed = make_cgroup(path);
        if (failed)
            perror(path);
    }
    while (!failed && !stop && started < wanted) {
        pids[started] = launch(name_of(started));
        if (pids[started] < 0)
            failed = 1;
        else
            started++;
    }
    if (!failed && !stop) {
        printf("ready\n");
        fflush(stdout);
        while (!stop && read(STDIN_FILENO, path, sizeof path) > 0)
            ;
    }
    for (int i = 0; i < started; i++)
        kill(pids[i], SIGKILL);
    for (int i = 0; i < started; i++)
        while (waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
            ;
    remove_cgroups(ours);
    remove_state(state);
    return failed;
}
