#include "app/privileges.h"
#include "conf/conf.h"
#include "io/log.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sys/prctl.h>
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

// The newest fields that this needs; kernels read as much of it as they know.
struct ruleset {
    uint64_t files, network, scoped;
};
enum { SCOPE_SIGNAL = 1 << 1, ABI_WITH_REFER = 2, ABI_WITH_SCOPES = 6 };

// Files may move from one directory to another (MOVE, request bodies with names): any ruleset forbids that unless a rule allows it.
static bool allow_moving(int ruleset) {
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_REFER, .parent_fd = open("/", O_PATH | O_CLOEXEC)};
    bool ok = rule.parent_fd >= 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    if (rule.parent_fd >= 0)
        close(rule.parent_fd);
    return ok;
}

void privileges_confine(void) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_msg(LOG_WARN, errno, "prctl(PR_SET_NO_NEW_PRIVS) failed");
    // What is handled and allowed by no rule is forbidden everywhere.
    struct ruleset r = {.files = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                                 LANDLOCK_ACCESS_FS_REFER};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < ABI_WITH_REFER)
        return; // the kernel does not have it, or could not do without forbidding moves
    size_t size = abi >= ABI_WITH_SCOPES ? sizeof r : sizeof r.files;
    if (abi >= ABI_WITH_SCOPES)
        r.scoped = SCOPE_SIGNAL;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
    if (fd < 0 || !allow_moving(fd) || syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        log_msg(LOG_NOTICE, errno, "the worker is not confined by Landlock");
    if (fd >= 0)
        close(fd);
}
