/* What the test programs share: checks, and the requests that client.c sends to server.c. */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/dispatch.h>
#include <sys/iomsg.h>
#include <sys/neutrino.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: %s (errno %d: %s)\n", __FILE__, __LINE__, #what, errno, strerror(errno)); \
            exit(1); \
        } \
    } while (0)

/* The call fails with -1 and this errno. */
#define FAILS(call, with) \
    do { \
        errno = 0; \
        CHECK((call) == -1); \
        CHECK(errno == (with)); \
    } while (0)

#define NAME "c/test"
#define PIECE 100000
#define LARGEST (9u << 20)

enum command {
    ECHO = _IO_MAX + 1, /* the message comes back, status: its length */
    FAIL,               /* MsgError with the number in `value` */
    ABOUT,              /* the message's _msg_info comes back */
    CLIENT,             /* ConnectClientInfo of the sender comes back */
    READ,               /* the server reads PIECE bytes after the request; status: their sum */
    WRITE,              /* the server writes PIECE bytes into the reply */
    EVENT,              /* an event after the request: delivered before the reply, and after it */
    HOLD,               /* no reply until the client wants to be unblocked; then ENOTTY */
    PULSES,             /* the last pulse of a client's comes back */
    GONE,               /* status: how many clients have gone */
    AGAIN,              /* ERESTART as many times as `value` says, then the number of turns as the status */
    SIGNALED,           /* status: the value of the last SIGUSR1 */
    FREE,               /* SIGEV_UNBLOCK for the sender, who then wants to be unblocked: ENOTTY */
    LARGE,              /* the server reads all of it in pieces, and writes it into the reply; status: its sum */
    DIE                 /* the server exits */
};

struct request {
    uint16_t type;
    uint16_t zero;
    int32_t value;
};

#endif
