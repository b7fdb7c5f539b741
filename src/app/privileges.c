#include "app/privileges.h"
#include "conf/conf.h"
#include "io/log.h"
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool privileges_user(const struct main_conf *m, uid_t *uid, gid_t *gid, struct str *name) {
    *uid = getuid();
    *gid = getgid();
    *name = STR_NONE;
    if (geteuid() != 0)
        return true;
    if (m->user.n != 0) {
        *name = m->user;
        *uid = m->uid;
        *gid = m->gid;
        return true;
    }
    const struct passwd *pw = getpwnam("nobody");
    if (pw == NULL) {
        log_msg(LOG_EMERG, 0, "getpwnam(\"nobody\") failed: name a user with the directive \"user\"");
        return false;
    }
    *uid = pw->pw_uid;
    *gid = pw->pw_gid;
    *name = STR("nobody");
    const struct group *gr = getgrnam("nogroup");
    if (gr != NULL)
        *gid = gr->gr_gid;
    return true;
}

// Changing to a user who is not root empties the effective and permitted sets, unless they are asked to stay; the bounding and
// ambient sets stay.
static void drop_capabilities(uint32_t keep) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{.effective = keep, .permitted = keep}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, sets) != 0)
        log_msg(LOG_ALERT, errno, "capset() failed");
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
}

static uint32_t capabilities_of(unsigned wanted) { return (wanted & CONF_NET_RAW) != 0 ? 1u << CAP_NET_RAW : 0; }

bool privileges_suffice(unsigned wanted) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
    uint32_t asked = capabilities_of(wanted);
    return asked == 0 || (syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective & asked) == asked);
}

bool privileges_drop(struct str user, uid_t uid, gid_t gid, unsigned keep) {
    uint32_t kept = capabilities_of(keep);
    for (int cap = 0; uid != 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (cap > 31 || (kept >> cap & 1) == 0)
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    if (kept != 0)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (setgid(gid) != 0 || initgroups(user.p, gid) != 0 || setuid(uid) != 0) {
        log_msg(LOG_EMERG, errno, "setgid(%u), initgroups(" STR_FMT ") or setuid(%u) failed", gid, STR_ARG(user), uid);
        return false;
    }
    if (uid != 0)
        drop_capabilities(kept);
    return true;
}

// --- Landlock --------------------------------------------------------------------------------------------------------------

// The newest fields that this needs; kernels read as much of it as they know.
struct ruleset {
    uint64_t files, network, scoped;
};
enum { SCOPE_SIGNAL = 1 << 1, ABI_WITH_REFER = 2, ABI_WITH_TRUNCATE = 3, ABI_WITH_SCOPES = 6, ABI_WITH_LOG_FLAGS = 7, LOG_OFF = 1 };
#define TRUNCATE      (1ull << 14) // LANDLOCK_ACCESS_FS_TRUNCATE, which older headers do not have
#define NEVER         (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define READING       (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING_FILES (LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
#define WRITING                                                                                                              \
    (WRITING_FILES | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |          \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
#define LINKS_AND_SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO)

// What libraries open when they are first needed: code, time zones. Users and names the supervisor has looked up.
static const struct reach_place of_system[] = {
    {STR_INIT("/lib"), false, false},
    {STR_INIT("/lib64"), false, false},
    {STR_INIT("/usr/lib"), false, false},
    {STR_INIT("/usr/lib64"), false, false},
    {STR_INIT("/usr/local/lib"), false, false},
    {STR_INIT("/usr/share/zoneinfo"), false, false},
    {STR_INIT("/etc/localtime"), false, false},
    {STR_INIT("/etc/ld.so.cache"), false, false},
    {STR_INIT("/etc/ssl"), false, false},
    {STR_INIT("/proc/self"), false, false},
    {STR_INIT("/proc/sys/vm"), false, false},
    {STR_INIT("/sys/devices/system/cpu"), false, false},
    {STR_INIT("/dev/urandom"), false, false},
    {STR_INIT("/dev/null"), true, false},
};

// A place that is not there (yet) gets no rule.
static bool allow(int ruleset, const char *path, uint64_t rights) {
    struct stat st;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return true;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | WRITING_FILES;
    bool ok = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.parent_fd);
    return ok;
}

// A text that ends within a name stands for the directory of that name, else for the one above it unless that is the root:
// what else it may stand for, the opener judges.
static bool allow_places(int ruleset, const struct reach_place *places, size_t count, uint64_t handled) {
    for (size_t i = 0; i < count; i++) {
        const struct reach_place *p = &places[i];
        char dir[PATH_MAX];
        struct stat st;
        bool above = p->stem && stat(p->path.p, &st) != 0;
        size_t n = above ? (size_t)str_rchr(p->path, '/') : p->path.n;
        if (n >= sizeof dir || (above && n == 0))
            continue;
        memcpy(dir, p->path.p, n);
        dir[n] = '\0';
        if (!allow(ruleset, dir, (p->writes ? READING | WRITING : READING) & handled))
            return false;
    }
    return true;
}

bool privileges_confine(const struct reach_place *places, size_t count) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_msg(LOG_WARN, errno, "prctl(PR_SET_NO_NEW_PRIVS) failed");
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < ABI_WITH_REFER)
        return false; // the kernel does not have it, or could not do without forbidding moves
    // What is handled and allowed by no rule is forbidden everywhere.
    struct ruleset r = {.files = NEVER | LANDLOCK_ACCESS_FS_REFER};
    if (places != NULL)
        r.files |= READING | (abi >= ABI_WITH_TRUNCATE ? WRITING : WRITING & ~TRUNCATE) | LINKS_AND_SOCKETS;
    size_t size = abi >= ABI_WITH_SCOPES ? sizeof r : sizeof r.files;
    if (abi >= ABI_WITH_SCOPES)
        r.scoped = SCOPE_SIGNAL;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
    bool ok = fd >= 0 && (places != NULL ? allow_places(fd, of_system, ARRAY_LEN(of_system), r.files) &&
                                               allow_places(fd, places, count, r.files)
                                         : allow(fd, "/", LANDLOCK_ACCESS_FS_REFER));
    // Audit would tell of each refusal, and the opener sets most of them right.
    ok = ok && syscall(SYS_landlock_restrict_self, fd, abi >= ABI_WITH_LOG_FLAGS ? LOG_OFF : 0) == 0;
    if (!ok)
        log_msg(LOG_NOTICE, errno, "the worker is not confined by Landlock");
    if (fd >= 0)
        close(fd);
    return ok && places != NULL;
}
