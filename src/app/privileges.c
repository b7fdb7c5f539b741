#include "app/privileges.h"
#include "io/log.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool privileges_nobody(uid_t *uid, gid_t *gid) {
    struct passwd *pw = getpwnam("nobody");
    if (pw == NULL)
        return false;
    struct group *gr = getgrnam("nogroup");
    *uid = pw->pw_uid;
    *gid = gr != NULL ? gr->gr_gid : pw->pw_gid;
    return true;
}

// Changing to a user who is not root empties the effective and permitted sets; the bounding and ambient sets stay.
static void drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0)
        log_msg(LOG_ALERT, errno, "capset() failed");
}

bool privileges_drop(struct str user, uid_t uid, gid_t gid) {
    for (int cap = 0; uid != 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    if (setgid(gid) != 0 || initgroups(user.p, gid) != 0 || setuid(uid) != 0) {
        log_msg(LOG_EMERG, errno, "setgid(%u), initgroups(" STR_FMT ") or setuid(%u) failed", gid, STR_ARG(user), uid);
        return false;
    }
    if (uid != 0)
        drop_capabilities();
    return true;
}

// The newest fields that this needs; kernels read as much of it as they know.
struct ruleset {
    uint64_t files, network, scoped;
};
enum { SCOPE_SIGNAL = 1 << 1, ABI_WITH_SCOPES = 6, ABI_WITH_REFER = 2, ACCESS_REFER = 1 << 13 };

// Whoever uses Landlock loses the right to link and rename from one directory to another, unless a rule gives it: that is how a
// temporary file gets its name.
static void allow_linking(int ruleset) {
    struct landlock_path_beneath_attr everywhere = {.allowed_access = ACCESS_REFER,
                                                    .parent_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (everywhere.parent_fd < 0)
        return;
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &everywhere, 0);
    close(everywhere.parent_fd);
}

void privileges_confine(void) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_msg(LOG_WARN, errno, "prctl(PR_SET_NO_NEW_PRIVS) failed");
    // What is handled and allowed by no rule is forbidden everywhere.
    struct ruleset r = {.files = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return; // the kernel does not have it
    if (abi >= ABI_WITH_REFER)
        r.files |= ACCESS_REFER;
    size_t size = abi >= ABI_WITH_SCOPES ? sizeof r : sizeof r.files;
    if (abi >= ABI_WITH_SCOPES)
        r.scoped = SCOPE_SIGNAL;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
    if (fd >= 0 && abi >= ABI_WITH_REFER)
        allow_linking(fd);
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        log_msg(LOG_NOTICE, errno, "the worker is not confined by Landlock");
    if (fd >= 0)
        close(fd);
}
