// The opener's judgement of names, and its deeds over a channel. What the kernel refuses, src/app/confined_test.py shows.
#include "base/test.h"
#include "io/channel.h"
#include "io/reach.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct reach_place places[] = {
    {STR_INIT("/srv/www"), false, false},
    {STR_INIT("/srv/img/"), false, false},
    {STR_INIT("/srv/site-"), false, true},
    {STR_INIT("/srv/up"), true, false},
    {STR_INIT("/srv/a/../b"), false, false},
    {STR_INIT("/etc/hosts"), false, false},
};

static bool allows(const char *path, bool writes) { return reach_allows(places, ARRAY_LEN(places), str_c(path), writes, false); }

TEST(places_by_name) {
    static const char *const good[] = {"/srv/www", "/srv/www/", "/srv/www/a/b", "/srv/www//a", "/srv/www/..a", "/srv/img/x", "/srv/site-one/x",
                                       "/srv/site-", "/srv/up/x", "/srv/a/../b/c", "/etc/hosts", "/srv/www/a..b/c"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        EXPECT(allows(good[i], false));
    static const char *const bad[] = {"",          "/",         "/srv",          "/srv/wwwx",       "/srv/www/..",        "/srv/www/../x", "/srv/www/a/../../x",
                                      "/srv/img",  "/srv/imgx", "/srv/site",     "/srv/site-x/..",  "/srv/site-/../www",  "srv/www",       "/srv/b",
                                      "/etc/hostsx", "/etc/passwd"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        EXPECT(!allows(bad[i], false));
    EXPECT(allows("/srv/up/x", true));
    EXPECT(!allows("/srv/www/x", true));
}

TEST(everything_is_a_place) {
    const struct reach_place all = {STR_INIT("/"), false, false};
    EXPECT(reach_allows(&all, 1, STR("/any/thing"), false, false));
    EXPECT(!reach_allows(&all, 1, STR("/any/../thing"), false, false));
    EXPECT(!reach_allows(&all, 1, STR("/any"), true, false));
}

// --- over a channel ----------------------------------------------------------------------------------------------------------

static char base[32], own[64];

static const char *in(const char *name) {
    static char path[4][128];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", own, name);
    return p;
}

static int opener(void) {
    int ends[2];
    if (!channel_pair(ends))
        return -1;
    if (fork() == 0) {
        close(ends[0]);
        const struct reach_place all[] = {{str_c(own), true, false}};
        reach_serve(ends[1], all, 1);
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

// The opener stays root, and who asks is nobody, before a directory of root's: what is done, the opener did.
static int lent = -1;
static int lend(void) {
    int fd = lent;
    lent = -1;
    return fd;
}

static int deeds(void) {
    lent = opener();
    if (lent < 0 || setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    int plain = open(in("file"), O_RDONLY | O_CLOEXEC);
    if (plain >= 0 || errno != EACCES)
        return 2;
    if (reach_open(in("file"), O_RDONLY | O_CLOEXEC, 0) >= 0 || errno != EACCES)
        return 3; // not confined: the system call alone
    reach_through(lend);
    int fd = reach_open(in("new"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "n", 1) != 1 || close(fd) != 0)
        return 4;
    if (reach_open(in("new"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) >= 0 || errno != EEXIST)
        return 5;
    if (reach_mkdir(in("dir"), 0755) != 0 || reach_rename(in("new"), in("dir/moved")) != 0 || reach_unlink(in("dir/none")) == 0 || errno != ENOENT)
        return 6;
    DIR *d = reach_opendir(in("dir"));
    if (d != NULL)
        return 7; // user_may: nobody may not, whoever else may
    fd = reach_open(in("."), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "t", 1) != 1 || reach_link(fd, in("named")) != 0 || close(fd) != 0)
        return 8;
    // What has a name elsewhere gets none in a place.
    int named = open("/etc/passwd", O_RDONLY | O_CLOEXEC), path = open("/etc/shadow", O_PATH | O_CLOEXEC);
    if (reach_link(named, in("linked")) == 0 || errno != EACCES || reach_link(path, in("linked")) == 0 || errno != EACCES)
        return 11;
    if (reach_open("/etc/shadow", O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
        return 9;
    if (reach_rename(in("named"), "/tmp/weir-elsewhere") == 0 || errno != EACCES)
        return 10;
    return 0;
}

TEST(opener_does_it) {
    if (geteuid() != 0)
        return;
    memcpy(base, "/tmp/weir-reach-XXXXXX", 23);
    EXPECT(mkdtemp(base) != NULL);
    snprintf(own, sizeof own, "%s/own", base);
    EXPECT(mkdir(own, 0700) == 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(deeds());
    int status = 0;
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT_INT(status, 0);
    struct stat st;
    EXPECT(stat(in("dir/moved"), &st) == 0 && st.st_size == 1);
    EXPECT(stat(in("named"), &st) == 0 && st.st_size == 1);
    EXPECT(unlink(in("dir/moved")) == 0 && unlink(in("named")) == 0 && rmdir(in("dir")) == 0 && rmdir(own) == 0 && rmdir(base) == 0);
}
