/* A client of tree.c: walk [NODE]. */
#include <fcntl.h>
#include <sys/msgio.h>

#include "test.h"

static char text[200];

static const char *at(const char *node, const char *path) {
    snprintf(text, sizeof text, "%s%s", node, path);
    return text;
}

static void holds(const char *node, const char *path, const char *wanted) {
    char found[100] = "";
    int fd;

    CHECK((fd = msg_open(at(node, path), O_RDONLY, 0)) >= 0);
    CHECK(msg_read(fd, found, sizeof found) == (ssize_t) strlen(wanted) && strcmp(found, wanted) == 0);
    CHECK(msg_read(fd, found, sizeof found) == 0);
    CHECK(msg_readdir(fd, NULL) == 0);
    CHECK(msg_close(fd) == 0);
}

int main(int argc, char **argv) {
    const char *node = argc > 1 ? argv[1] : "";
    const struct request die = {.type = DIE};
    struct dirent entry;
    struct stat st;
    char name[32];
    int fd, count;

    holds(node, "/dev/beside", "inode 4711");
    holds(node, "/dev/tree/sub/file7", "inode 107");
    FAILS(msg_open(at(node, "/dev/tree/sub/file99"), O_RDONLY, 0), ENOENT);
    FAILS(msg_open(at(node, "/dev/tree/sub"), O_RDONLY, 0), ENOENT);
    FAILS(msg_open(at(node, "/dev/treeless"), O_RDONLY, 0), ENOENT);
    FAILS(msg_open(at(node, "/dev/beside/file7"), O_RDONLY, 0), ENOENT);

    CHECK((fd = msg_open(at(node, "/dev/tree"), O_RDONLY, 0)) >= 0);
    CHECK(msg_fstat(fd, &st) == 0 && S_ISDIR(st.st_mode));
    for (int turn = 0; turn < 2; turn++) {
        for (count = 0; msg_readdir(fd, &entry) == 1; count++) {
            sprintf(name, "file%d", count);
            CHECK(strcmp(entry.d_name, name) == 0 && entry.d_ino == (ino_t) count + 100);
        }
        CHECK(count == 40 && msg_readdir(fd, &entry) == 0);
        CHECK(msg_lseek(fd, 0, SEEK_SET) == 0);
    }
    FAILS(msg_readdir(4711, &entry), EBADF);
    CHECK(MsgSend(fd, &die, sizeof die, NULL, 0) == EOK);
    return 0;
}
