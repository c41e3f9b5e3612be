/* Reads the example's counter, when it is there. */
#include <fcntl.h>
#include <sys/msgio.h>

#include "test.h"

int main(void) {
    for (int expected = 1; expected <= 3; expected++) {
        char text[16] = "", number[16];
        int fd = -1, len = snprintf(number, sizeof number, "%d\n", expected);

        for (int i = 0; i < 2000 && (fd = msg_open("/dev/counter", O_RDONLY, 0)) < 0; i++)
            usleep(5000);
        CHECK(fd >= 0);
        CHECK(msg_read(fd, text, sizeof text) == len && strcmp(text, number) == 0);
        CHECK(msg_read(fd, text, sizeof text) == 0);
        CHECK(msg_close(fd) == 0);
    }
    return 0;
}
