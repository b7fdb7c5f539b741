#include "feature/content/directory.h"
#include "io/reach.h"

int directory_read(const char *path, directory_fn *fn, void *arg, const char **failed) {
    *failed = "opendir()";
    DIR *dir = reach_opendir(path);
    if (dir == NULL)
        return -errno;
    int err = 0;
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (d == NULL) {
            err = -errno;
            *failed = "readdir()";
            break;
        }
        if (d->d_name[0] != '.')
            fn(arg, dir, d);
    }
    closedir(dir);
    return err;
}

bool directory_of(struct req *r, struct str *path) {
    if (!req_map_path(r, path))
        return false;
    if (path->n > 1)
        path->n--;
    *path = arena_dup(&r->arena, *path);
    return true;
}
