// What a confined process may still do, seen from inside. Each case is a child of its own, because there is no way back.
#include "app/privileges.h"
#include "base/test.h"
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static long landlock_abi(void) { return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION); }

// The child's word: 0, or an errno.
static int in_child(int (*fn)(void)) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn());
    int status = 0;
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int execute(void) {
    (void)privileges_confine(NULL, 0);
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int execute_unconfined(void) {
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int make_device(void) {
    char path[] = "/tmp/weir-device-XXXXXX";
    if (mkdtemp(path) == NULL)
        return errno;
    (void)privileges_confine(NULL, 0);
    char name[64];
    snprintf(name, sizeof name, "%s/null", path);
    int err = mknod(name, S_IFCHR | 0600, makedev(1, 3)) == 0 ? 0 : errno;
    unlink(name);
    rmdir(path);
    return err;
}

static int signal_parent(void) {
    (void)privileges_confine(NULL, 0);
    return kill(getppid(), 0) == 0 ? 0 : errno;
}

static int signal_itself(void) {
    (void)privileges_confine(NULL, 0);
    return kill(getpid(), 0) == 0 ? 0 : errno;
}

// Files, directories, sockets: what serving needs.
static int serve(void) {
    (void)privileges_confine(NULL, 0);
    char path[] = "/tmp/weir-file-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, "x", 1) != 1 || unlink(path) != 0)
        return errno;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (s < 0 || bind(s, (struct sockaddr *)&any, sizeof any) != 0 || listen(s, 1) != 0)
        return errno;
    socklen_t n = sizeof any;
    int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (getsockname(s, (struct sockaddr *)&any, &n) != 0 || connect(c, (struct sockaddr *)&any, n) != 0)
        return errno;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : EINVAL;
}

static int move_between_directories(void) {
    char a[] = "/tmp/weir-from-XXXXXX", b[] = "/tmp/weir-to-XXXXXX", from[64], to[64];
    if (mkdtemp(a) == NULL || mkdtemp(b) == NULL)
        return errno;
    snprintf(from, sizeof from, "%s/f", a);
    snprintf(to, sizeof to, "%s/f", b);
    close(open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    (void)privileges_confine(NULL, 0);
    int err = rename(from, to) == 0 ? 0 : errno;
    unlink(from);
    unlink(to);
    rmdir(a);
    rmdir(b);
    return err;
}

static char places_dir[32];
static const char *const places_made[] = {"in", "out", "write", "in/link", "in/f", "out/f", "write/f"};

static const char *below(const char *name) {
    static char path[8][64];
    static unsigned next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", places_dir, name);
    return p;
}

static bool opens(const char *name, int flags) {
    int fd = open(below(name), flags | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// Files below the places, and of these only the writable ones for writing; through links as little as by name.
static int keep_to_places(void) {
    const struct reach_place places[] = {{str_c(below("in")), false, false}, {str_c(below("write")), true, false}};
    if (!opens("in/f", O_RDWR | O_CREAT) || !opens("out/f", O_RDWR | O_CREAT))
        return 1;
    if (!privileges_confine(places, 2))
        return landlock_abi() >= 2 ? 2 : 0;
    if (!opens("in/f", O_RDONLY) || opens("in/f", O_WRONLY))
        return 3;
    if (opens("out/f", O_RDONLY) || opens("in/link/f", O_RDONLY))
        return 4;
    if (!opens("write/f", O_RDWR | O_CREAT))
        return 5;
    if (unlink(below("in/f")) == 0 || symlink("/", below("write/link")) == 0 || mkdir(below("more"), 0755) == 0)
        return 6;
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? 0 : 7;
}

TEST(confined_to_places) {
    memcpy(places_dir, "/tmp/weir-places-XXXXXX", 24);
    EXPECT(mkdtemp(places_dir) != NULL);
    for (int i = 0; i < 3; i++)
        EXPECT(mkdir(below(places_made[i]), 0755) == 0);
    EXPECT(symlink(below("out"), below("in/link")) == 0);
    EXPECT_INT(in_child(keep_to_places), 0);
    for (int i = ARRAY_LEN(places_made); i-- > 0;)
        remove(below(places_made[i]));
    EXPECT(rmdir(places_dir) == 0);
}

TEST(confined_moves_files) { EXPECT_INT(in_child(move_between_directories), 0); }
TEST(confined_serves) { EXPECT_INT(in_child(serve), 0); }

TEST(confined_executes_nothing) {
    EXPECT_INT(in_child(execute_unconfined), 0);
    if (landlock_abi() >= 2)
        EXPECT_INT(in_child(execute), EACCES);
}

TEST(confined_makes_no_device) {
    if (landlock_abi() >= 2 && geteuid() == 0)
        EXPECT_INT(in_child(make_device), EACCES);
}

TEST(confined_signals_nobody_else) {
    EXPECT_INT(in_child(signal_itself), 0);
    if (landlock_abi() >= 6)
        EXPECT_INT(in_child(signal_parent), EPERM);
}

static int keep_one(void) {
    if (!privileges_drop(STR("nobody"), 65534, 65534, CONF_NET_RAW))
        return 1;
    return privileges_suffice(CONF_NET_RAW) && setuid(0) != 0 ? 0 : 2;
}

// From root there is no way back, and nothing left to go it with.
static int become_nobody(void) {
    if (!privileges_drop(STR("nobody"), 65534, 65534, 0))
        return 1;
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return 2;
    if (prctl(PR_CAPBSET_READ, 0, 0, 0, 0) != 0)
        return 3;
    int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
    return fd < 0 && errno == EACCES ? 0 : 4;
}

TEST(dropped_privileges_are_gone) {
    if (geteuid() == 0)
        EXPECT_INT(in_child(become_nobody), 0);
    if (geteuid() == 0)
        EXPECT_INT(in_child(keep_one), 0);
}
