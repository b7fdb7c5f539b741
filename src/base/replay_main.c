// Feeds a fuzzer the files named on the command line, and every file of the directories named there: its corpus as a
// test under any compiler. Not part of the product.
#include "base/base.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static NORETURN void die(const char *path) {
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    exit(2);
}

// The bytes lie in memory of exactly their size, so that a sanitizer sees a read past the end.
static void replay_file(const char *path, size_t size) {
    uint8_t *data = xmalloc(size);
    FILE *f = fopen(path, "rb");
    if (f == NULL || fread(data, 1, size, f) != size)
        die(path);
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static size_t replay(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0)
        die(path);
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return 1;
    }
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    if (count < 0)
        die(path);
    size_t files = 0;
    for (int i = 0; i < count; i++) {
        char inner[4096];
        if (snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name) >= (int)sizeof(inner))
            die(path);
        if (names[i]->d_name[0] != '.')
            files += replay(inner);
        free(names[i]);
    }
    free(names);
    return files;
}

int main(int argc, char **argv) {
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += replay(argv[i]);
    printf("%zu inputs replayed\n", files);
    return files > 0 ? 0 : 1;
}
