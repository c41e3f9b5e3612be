/*
 * A client of the device of device.h, whoever serves it, wherever: file [NODE [own]]. NODE is what stands before the
 * device's path, such as /net/lab2, or nothing. With "own", it knows the messages of device.c too.
 */
#include <fcntl.h>
#include <sys/msgio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "device.h"
#include "test.h"

static char data[DEVICE_SIZE], back[2 * DEVICE_SIZE];
static char device[256], plain_name[256], other_name[256];

static void offsets(int fd) {
    struct stat st;

    CHECK(msg_fstat(fd, &st) == 0);
    CHECK(S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0666 && st.st_size == DEVICE_SIZE);
    CHECK(msg_read(fd, back, 10) == 10 && memcmp(back, data, 10) == 0);
    CHECK(msg_lseek(fd, 0, SEEK_CUR) == 10);
    CHECK(msg_lseek(fd, 4, SEEK_SET) == 4);
    CHECK(msg_write(fd, "abcd", 4) == 4);
    CHECK(msg_lseek(fd, -4, SEEK_CUR) == 4);
    CHECK(msg_read(fd, back, 4) == 4 && memcmp(back, "abcd", 4) == 0);
    CHECK(msg_pread(fd, back, 3, 5) == 3 && memcmp(back, "bcd", 3) == 0);
    CHECK(msg_pwrite(fd, "X", 1, 5) == 1 && msg_pread(fd, back, 4, 4) == 4 && memcmp(back, "aXcd", 4) == 0);
    CHECK(msg_lseek(fd, 0, SEEK_CUR) == 8);
    CHECK(msg_lseek(fd, -6, SEEK_END) == DEVICE_SIZE - 6);
    CHECK(msg_read(fd, back, sizeof back) == 6);
    CHECK(msg_read(fd, back, sizeof back) == 0);
    FAILS(msg_write(fd, "y", 1), ENOSPC);
    FAILS(msg_lseek(fd, -1, SEEK_SET), EINVAL);
    FAILS(msg_lseek(fd, 0, 99), EINVAL);
    FAILS(msg_pread(fd, back, 1, -1), EINVAL);
}

/* More than the manager receives at once. */
static void whole(int fd) {
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char) (i * 13);
    CHECK(msg_lseek(fd, 0, SEEK_SET) == 0);
    CHECK(msg_write(fd, data, sizeof data) == sizeof data);
    CHECK(msg_lseek(fd, 0, SEEK_SET) == 0);
    CHECK(msg_read(fd, back, sizeof back) == sizeof data && memcmp(back, data, sizeof data) == 0);
}

static void commands(int fd) {
    int32_t number = 21;
    uint8_t byte = 'f';
    int info = -1;

    CHECK(msg_devctl(fd, MEMORY_DOUBLE, &number, sizeof number, &info) == EOK && number == 42 && info == 42);
    CHECK(msg_devctl(fd, MEMORY_FILL, &byte, sizeof byte, NULL) == EOK);
    CHECK(msg_pread(fd, back, 2, 100) == 2 && memcmp(back, "ff", 2) == 0);
    CHECK(msg_devctl(fd, MEMORY_CLEAR, NULL, 0, NULL) == EOK);
    CHECK(msg_pread(fd, back, 1, 100) == 1 && back[0] == 0);
    CHECK(msg_devctl(fd, __DION(_DCMD_MISC, 99), NULL, 0, NULL) == ENOTTY);
    CHECK(get_device_direction(MEMORY_DOUBLE) == _POSIX_DEVDIR_TOFROM);
}

static int opens(int fd) {
    int32_t number = -1;
    int info;

    CHECK(msg_devctl(fd, MEMORY_OPENS, &number, sizeof number, &info) == EOK && info == number);
    return number;
}

/* A client that dies without closing is closed for. */
static void closings(int fd) {
    int second, pid, status;

    CHECK(opens(fd) == 1);
    CHECK((second = msg_open(device, O_RDONLY, 0)) >= 0 && second != fd);
    CHECK(opens(fd) == 2);
    FAILS(msg_write(second, "z", 1), EBADF);
    CHECK(msg_close(second) == 0);
    CHECK(opens(fd) == 1);
    FAILS(msg_read(second, back, 1), EBADF);
    FAILS(msg_close(second), EBADF);
    if ((pid = fork()) == 0)
        _exit(msg_open(device, O_RDWR, 0) < 0 || msg_open(plain_name, O_WRONLY, 0) < 0);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    for (int i = 0; i < 2000 && opens(fd) != 1; i++)
        usleep(5000);
    CHECK(opens(fd) == 1);
}

/* What a hostile client may send. */
static void rubbish(int fd, int own) {
    struct _io_read read = {.type = _IO_READ, .nbytes = -1};
    struct _io_devctl devctl = {.type = _IO_DEVCTL, .dcmd = MEMORY_FILL, .nbytes = 1};
    uint16_t type = _IO_MAX + 3;
    int plain;

    FAILS(MsgSend(fd, &read, sizeof read, NULL, 0), EINVAL);
    FAILS(MsgSend(fd, &read, 3, NULL, 0), EINVAL);
    FAILS(MsgSend(fd, NULL, 0, NULL, 0), ENOSYS);
    if (own) {
        FAILS(MsgSend(fd, &devctl, sizeof devctl, NULL, 0), EINVAL);
        devctl.nbytes = 1 << 20;
        FAILS(MsgSend(fd, &devctl, sizeof devctl, NULL, 0), EMSGSIZE);
        CHECK(MsgSend(fd, &type, sizeof type, NULL, 0) == type + 1);
    }
    type = _IO_NOTIFY;
    CHECK(MsgSend_r(fd, &type, sizeof type, NULL, 0) < 0);
    /* A connection that was not opened. */
    read.nbytes = 1;
    CHECK((plain = name_open(plain_name, 0)) >= 0);
    FAILS(MsgSend(plain, &read, sizeof read, back, sizeof back), EBADF);
    CHECK(name_close(plain) == 0);
}

/* Messages of every type that files have, with anything in them: each is answered. */
static void noise(int fd) {
    unsigned seed = 1;
    uint16_t words[24];

    for (int i = 0; i < 3000; i++) {
        size_t size = (size_t) (rand_r(&seed) % (int) sizeof words);

        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            words[w] = rand_r(&seed) % 3 != 0 ? 0 : (uint16_t) rand_r(&seed);
        words[0] = (uint16_t) (_IO_BASE + rand_r(&seed) % 32);
        if (words[0] != _IO_CLOSE)
            (void) MsgSend(fd, words, size, back, sizeof back);
    }
    CHECK(msg_devctl(fd, MEMORY_CLEAR, NULL, 0, NULL) == EOK);
}

/* What only device.c has. */
static void others(int fd) {
    const uint64_t soon = 20 * 1000 * 1000;
    const uint16_t type = _IO_MAX + 3, end = DEVICE_PULSE;
    int other, code;

    /* A handler that keeps a client waiting, who is let go by default. */
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_REPLY, NULL, &soon, NULL) == 0);
    CHECK(msg_devctl(fd, MEMORY_HANG, NULL, 0, NULL) == EINTR);
    CHECK((other = name_open(other_name, 0)) >= 0);
    CHECK(MsgSend(other, &type, sizeof type, NULL, 0) == type + 1);
    FAILS(MsgSend(fd, (uint16_t[4]){_IO_CONNECT, 99}, 8, NULL, 0), EINVAL);
    CHECK((code = (int) MsgSend(other, &end, sizeof end, NULL, 0)) >= 0);
    CHECK(MsgSendPulse(other, -1, code, 5) == 0);
    CHECK(name_close(other) == 0);
}

int main(int argc, char **argv) {
    const char *node = argc > 1 ? argv[1] : "";
    int fd, own = argc > 2 && strcmp(argv[2], "own") == 0;

    snprintf(device, sizeof device, "%s" DEVICE, node);
    snprintf(plain_name, sizeof plain_name, "%s/dev/name/local" DEVICE, node);
    snprintf(other_name, sizeof other_name, "%s/dev/name/local/" DEVICE_OTHER, node);
    FAILS(msg_open("/dev/c/nothing", O_RDWR, 0), ENOENT);
    FAILS(msg_open("", O_RDWR, 0), EINVAL);
    CHECK((fd = msg_open(device, O_RDWR, 0)) >= 0);
    offsets(fd);
    whole(fd);
    commands(fd);
    closings(fd);
    rubbish(fd, own);
    noise(fd);
    if (own)
        others(fd);
    CHECK(msg_close(fd) == 0);
    if (own)
        FAILS(msg_open(device, O_RDWR, 0), ENOENT);
    return 0;
}
