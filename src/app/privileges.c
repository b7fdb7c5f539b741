#include "app/privileges.h"
#include "io/log.h"
#include <grp.h>
#include <pwd.h>
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

bool privileges_drop(struct str user, uid_t uid, gid_t gid) {
    if (setgid(gid) == 0 && initgroups(user.p, gid) == 0 && setuid(uid) == 0)
        return true;
    log_msg(LOG_EMERG, errno, "setgid(%u), initgroups(" STR_FMT ") or setuid(%u) failed", gid, STR_ARG(user), uid);
    return false;
}
