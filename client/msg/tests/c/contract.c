/*
 * What QNX promises of each call: results, errors, and who waits where. Clients and servers are threads of this process; what
 * two processes make a difference to is in client.c.
 */
#define _GNU_SOURCE /* pthread_tryjoin_np, getresuid */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "test.h"

static const uint64_t soon = 20 * 1000 * 1000;

static int self_tid(void) {
    return (int) syscall(SYS_gettid);
}

/* ---- A client in a thread of its own ---- */

struct client {
    pthread_t thread;
    int coid, priority;
    unsigned timeout; /* states that its call may stay in for `soon` */
    const void *message;
    size_t bytes;
    char reply[64];
    atomic_int tid;
    long result;
    int error;
};

static void *client_thread(void *argument) {
    struct client *c = argument;

    CHECK(setprio(0, c->priority) == 10);
    atomic_store(&c->tid, self_tid());
    if (c->timeout)
        CHECK(TimerTimeout(CLOCK_MONOTONIC, (int) c->timeout, NULL, &soon, NULL) == 0);
    errno = 0;
    c->result = MsgSend(c->coid, c->message, c->bytes, c->reply, sizeof c->reply);
    c->error = errno;
    return NULL;
}

static void start(struct client *c, int coid, const void *message, size_t bytes) {
    *c = (struct client){.coid = coid, .priority = 10, .message = message, .bytes = bytes};
    CHECK(pthread_create(&c->thread, NULL, client_thread, c) == 0);
    while (atomic_load(&c->tid) == 0)
        usleep(100);
}

static void ended(struct client *c, long result, int error) {
    CHECK(pthread_join(c->thread, NULL) == 0);
    if (c->result != result || (result == -1 && c->error != error))
        fprintf(stderr, "%ld, errno %d\n", c->result, c->error);
    CHECK(c->result == result && (result != -1 || c->error == error));
}

static int channel(unsigned flags, int *coid) {
    int chid = ChannelCreate(flags);

    CHECK(chid > 0);
    CHECK((*coid = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0)) >= _NTO_SIDE_CHANNEL);
    return chid;
}

static void close_channel(int chid, int coid) {
    CHECK(ConnectDetach(coid) == 0);
    CHECK(ChannelDestroy(chid) == 0);
}

static int receive(int chid, void *buffer, size_t bytes, struct _msg_info *info) {
    int rcvid;

    /* A signal meant for another thread may come by here. */
    do
        rcvid = MsgReceive(chid, buffer, bytes, info);
    while (rcvid == -1 && errno == EINTR);
    return rcvid;
}

/* ---- The tests ---- */

static void *receives(void *chid) {
    char room[8];

    errno = 0;
    CHECK(MsgReceive(*(int *) chid, room, sizeof room, NULL) == -1 && errno == ESRCH);
    return NULL;
}

static void channels(void) {
    int chid, other, coid, again;
    struct _server_info info;
    struct client sent, received;
    pthread_t receiver;
    char room[8];

    FAILS(ChannelCreate(_NTO_CHF_NET_MSG), EPERM);
    FAILS(ChannelCreate(0x40000000), EINVAL);
    FAILS(MsgReceive(4711, room, sizeof room, NULL), ESRCH);
    FAILS(MsgReceivePulse(4711, room, sizeof room, NULL), ESRCH);
    CHECK(MsgReceive_r(-1, room, sizeof room, NULL) == -ESRCH);

    /* Connections: the lowest index that is free. */
    chid = channel(_NTO_CHF_SENDER_LEN | _NTO_CHF_REPLY_LEN, &coid);
    CHECK((other = ConnectAttach(ND_LOCAL_NODE, getpid(), chid, 100, _NTO_COF_CLOEXEC)) == 100);
    CHECK((again = ConnectAttach(ND_LOCAL_NODE, getpid(), chid, 100, 0)) == 101);
    CHECK(ConnectDetach(other) == 0);
    FAILS(ConnectDetach(other), EINVAL);
    FAILS(MsgSend(other, room, 1, NULL, 0), EBADF);
    CHECK(ConnectAttach(ND_LOCAL_NODE, 0, chid, 100, 0) == other);
    CHECK(ConnectFlags(0, other, 0, 0) == 0);
    CHECK(ConnectFlags(getpid(), other, _NTO_COF_CLOEXEC, _NTO_COF_CLOEXEC) == 0);
    CHECK(ConnectFlags(0, other, _NTO_COF_CLOEXEC, 0) == _NTO_COF_CLOEXEC);
    CHECK(ConnectServerInfo(0, 50, &info) == other && info.coid == other);
    CHECK(info.nd == ND_LOCAL_NODE && info.pid == getpid() && info.chid == chid && info.flags == 0);
    CHECK(ConnectDetach(other) == 0 && ConnectDetach(again) == 0);
    FAILS(ConnectAttach(ND_LOCAL_NODE, -1, chid, 0, 0), ESRCH);
    FAILS(ConnectAttach(ND_LOCAL_NODE, getpid(), -1, 0, 0), ESRCH);

    /* The channel goes: whoever waits there is told. */
    start(&received, coid, "received", 8);
    CHECK(receive(chid, room, sizeof room, NULL) > 0);
    start(&sent, coid, "sent", 4);
    CHECK((again = channel(0, &other)) > 0);
    CHECK(pthread_create(&receiver, NULL, receives, &again) == 0);
    usleep(1000);
    CHECK(ChannelDestroy(chid) == 0 && ChannelDestroy(again) == 0);
    ended(&received, -1, ESRCH);
    ended(&sent, -1, ESRCH);
    CHECK(pthread_join(receiver, NULL) == 0);
    FAILS(ChannelDestroy(chid), EINVAL);
    do
        CHECK(ConnectServerInfo(0, coid, &info) == coid);
    while (info.flags != _NTO_COF_DEAD);
    FAILS(MsgSend(coid, room, 1, NULL, 0), ESRCH);
    FAILS(MsgSendPulse(coid, -1, 1, 1), ESRCH);
    CHECK(ConnectDetach(coid) == 0 && ConnectDetach(other) == 0);
}

static void clients(void) {
    struct _client_info own, info;
    struct _msg_info about;
    struct client c;
    gid_t groups[_NTO_NGROUPS * 16];
    int coid, chid = channel(0, &coid), rcvid, count = getgroups(_NTO_NGROUPS * 16, groups);
    uid_t ruid, euid, suid;
    char room[8];

    CHECK(ConnectClientInfo(-1, &own, _NTO_NGROUPS) == 0);
    CHECK(getresuid(&ruid, &euid, &suid) == 0);
    CHECK(own.nd == ND_LOCAL_NODE && own.pid == getpid() && own.sid == getsid(0));
    CHECK(own.cred.ruid == ruid && own.cred.euid == euid && own.cred.suid == suid && own.cred.egid == getegid());
    CHECK((int) own.cred.ngroups == (count < _NTO_NGROUPS ? count : _NTO_NGROUPS));

    start(&c, coid, "who", 3);
    CHECK((rcvid = receive(chid, room, sizeof room, &about)) > 0);
    CHECK(about.pid == getpid() && about.tid == atomic_load(&c.tid) && about.nd == ND_LOCAL_NODE && about.srcnd == 0);
    CHECK(about.srcmsglen == 3 && about.msglen == 3 && about.dstmsglen == sizeof c.reply && about.flags == 0);
    CHECK(ConnectClientInfo(about.scoid, &info, _NTO_NGROUPS) == 0);
    CHECK(info.pid == own.pid && info.sid == own.sid && info.cred.euid == own.cred.euid);
    CHECK(info.cred.ngroups == own.cred.ngroups);
    CHECK(memcmp(info.cred.grouplist, own.cred.grouplist, sizeof info.cred.grouplist) == 0);
    CHECK(ConnectClientInfo(about.scoid, &info, 0) == 0 && info.cred.ngroups == 0);
    FAILS(ConnectClientInfo(4711, &info, 0), EINVAL);
    CHECK(MsgReply(rcvid, -5, NULL, 0) == 0);
    ended(&c, -5, 0);
    close_channel(chid, coid);
}

/* Reading and writing at offsets; what a reply leaves alone; errors as replies. */
static void messages(void) {
    char room[16] = "", some[4];
    iov_t iov[3] = {{room, 2}, {room + 2, 0}, {room + 2, 3}};
    struct client c;
    int coid, chid = channel(0, &coid), rcvid, turns = 0;

    start(&c, coid, "0123456789", 10);
    CHECK((rcvid = MsgReceivev(chid, iov, 3, NULL)) > 0 && memcmp(room, "01234", 5) == 0);
    CHECK(MsgRead(rcvid, some, 4, 5) == 4 && memcmp(some, "5678", 4) == 0);
    CHECK(MsgRead(rcvid, some, 4, 8) == 2 && memcmp(some, "8978", 4) == 0);
    CHECK(MsgRead(rcvid, some, 4, 10) == 0 && MsgRead(rcvid, some, 4, 1000) == 0);
    CHECK(MsgReadv(rcvid, iov, 3, 7) == 3 && memcmp(room, "789", 3) == 0);
    CHECK(MsgRead(rcvid, NULL, 0, 0) == 0);
    CHECK(MsgWrite(rcvid, "abcdef", 6, 60) == 4 && MsgWrite(rcvid, "x", 1, 64) == 0);
    iov[0].iov_base = "AB";
    iov[2].iov_base = "CDE";
    CHECK(MsgWritev(rcvid, iov, 3, 2) == 5);
    CHECK(MsgCurrent(rcvid) == 0);
    CHECK(MsgReplyv(rcvid, 7, iov, 1) == 0);
    ended(&c, 7, 0);
    CHECK(memcmp(c.reply, "ABABCDE\0", 8) == 0 && memcmp(c.reply + 60, "abcd", 4) == 0);
    FAILS(MsgRead(rcvid, some, 4, 0), ESRCH);
    FAILS(MsgWrite(rcvid, some, 4, 0), ESRCH);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
    FAILS(MsgError(rcvid, EPERM), ESRCH);
    FAILS(MsgInfo(rcvid, NULL), ESRCH);
    FAILS(MsgCurrent(rcvid), ESRCH);
    FAILS(MsgReply(0, 0, NULL, 0), ESRCH);
    FAILS(MsgReply(-1, 0, NULL, 0), ESRCH);

    /* Nothing at all is a message too. */
    start(&c, coid, NULL, 0);
    CHECK((rcvid = receive(chid, NULL, 0, NULL)) > 0);
    CHECK(MsgError(rcvid, EOK) == 0);
    ended(&c, 0, 0);
    start(&c, coid, "again", 5);
    CHECK((rcvid = receive(chid, room, sizeof room, NULL)) > 0);
    CHECK(MsgError(rcvid, EDOM) == 0);
    ended(&c, -1, EDOM);
    /* ERESTART: from the beginning. */
    start(&c, coid, "again", 5);
    do {
        memset(room, 0, sizeof room);
        CHECK((rcvid = receive(chid, room, sizeof room, NULL)) > 0 && memcmp(room, "again", 6) == 0);
        CHECK(MsgError(rcvid, turns < 3 ? ERESTART : EOK) == 0);
    } while (turns++ < 3);
    ended(&c, 0, 0);
    close_channel(chid, coid);
}

static void pulses(void) {
    struct _pulse pulse;
    struct client c;
    int coid, chid = channel(0, &coid), rcvid, sent = 0;
    char room[16];

    FAILS(MsgSendPulse(coid, 256, 1, 1), EINVAL);
    FAILS(MsgSendPulse(coid, -2, 1, 1), EINVAL);
    FAILS(MsgSendPulse(4711, 10, 1, 1), EBADF);
    /* A pulse overtakes a message only by its priority. */
    start(&c, coid, "message", 7);
    CHECK(MsgSendPulse(coid, 9, 1, 1) == 0);
    CHECK(MsgSendPulse(coid, 11, 2, INT32_MIN) == 0);
    CHECK(MsgReceive(chid, &pulse, sizeof pulse, NULL) == 0 && pulse.code == 2 && pulse.value.sival_int == INT32_MIN);
    CHECK(pulse.type == _PULSE_TYPE && pulse.subtype == _PULSE_SUBTYPE && pulse.scoid > 0);
    CHECK(MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == 0 && pulse.code == 1);
    while ((rcvid = receive(chid, room, sizeof room, NULL)) == 0)
        ;
    CHECK(rcvid > 0 && MsgReply(rcvid, 0, NULL, 0) == 0);
    ended(&c, 0, 0);
    /* As much of it as there is room for. */
    CHECK(setprio(0, 10) > 0 && MsgSendPulse(coid, SIGEV_PULSE_PRIO_INHERIT, 5, 6) == 0);
    memset(room, 'x', sizeof room);
    CHECK(MsgReceive(chid, room, 5, NULL) == 0 && room[4] == 5 && room[5] == 'x');
    /* There is an end to them, and none is lost before. */
    while (MsgSendPulse(coid, 10, 1, sent) == 0)
        sent++;
    CHECK(errno == EAGAIN && sent >= 64);
    for (int i = 0; i < sent; i++)
        CHECK(MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == 0 && pulse.value.sival_int == i);
    close_channel(chid, coid);
}

static atomic_int caught, caught_by, caught_value;

static void catch(int signo, siginfo_t *info, void *context) {
    (void) context;
    atomic_store(&caught_value, info->si_value.sival_int);
    atomic_store(&caught_by, self_tid());
    atomic_store(&caught, signo);
}

static void await(int signo) {
    for (int i = 0; i < 4000 && atomic_load(&caught) != signo; i++)
        usleep(2500);
    CHECK(atomic_exchange(&caught, 0) == signo);
}

/* Each kind of event, as a server delivers it to a client that waits, and after its reply. */
static void events(void) {
    struct sigevent event;
    struct _pulse pulse;
    struct client c;
    int coid, chid = channel(0, &coid), own, loop = channel(0, &own), rcvid;
    char room[8];

    start(&c, coid, "event", 5);
    CHECK((rcvid = receive(chid, room, sizeof room, NULL)) > 0);
    SIGEV_PULSE_INIT(&event, own, 17, 3, 1234);
    CHECK(MsgRegisterEvent(&event, coid) == 0 && MsgVerifyEvent(rcvid, &event) == 0);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
    CHECK(MsgReceivePulse(loop, &pulse, sizeof pulse, NULL) == 0 && pulse.code == 3 && pulse.value.sival_int == 1234);
    SIGEV_SIGNAL_VALUE_INIT(&event, SIGUSR1, 1);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
    await(SIGUSR1);
    SIGEV_SIGNAL_CODE_INIT(&event, SIGUSR1, 5, 1);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
    await(SIGUSR1);
    CHECK(atomic_load(&caught_value) == 5);
    SIGEV_NONE_INIT(&event);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
    SIGEV_INTR_INIT(&event);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
    event.sigev_notify = SIGEV_THREAD;
    FAILS(MsgDeliverEvent(rcvid, &event), EINVAL);
    FAILS(MsgRegisterEvent(&event, coid), EINVAL);
    SIGEV_SIGNAL_INIT(&event, 1000);
    FAILS(MsgDeliverEvent(rcvid, &event), EINVAL);
    SIGEV_NONE_INIT(&event);
    FAILS(MsgRegisterEvent(&event, 4711), EBADF);
    FAILS(MsgDeliverEvent(4711, &event), ESRCH);

    /* To the thread that sent, whose call that ends. */
    SIGEV_SIGNAL_THREAD_INIT(&event, SIGUSR2, 6, 1);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
    await(SIGUSR2);
    CHECK(atomic_load(&caught_by) == atomic_load(&c.tid) && atomic_load(&caught_value) == 6);
    ended(&c, -1, EINTR);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);

    /* UNBLOCK ends its call, as if its time were up. */
    SIGEV_UNBLOCK_INIT(&event);
    start(&c, coid, "unblock", 7);
    CHECK((rcvid = receive(chid, room, sizeof room, NULL)) > 0);
    while (MsgInfo(rcvid, NULL) == 0) {
        CHECK(MsgDeliverEvent(rcvid, &event) == 0);
        usleep(2000);
    }
    ended(&c, -1, ETIMEDOUT);
    close_channel(chid, coid);
    close_channel(loop, own);
}

struct pair {
    int first, second;
    atomic_int rcvid;
};

/* Sends once to be known, then waits where nobody comes, until its event ends that. */
static void *waits(void *argument) {
    struct pair *pair = argument;
    char room[8];

    CHECK(MsgSend(pair->first, "known", 5, NULL, 0) == 0);
    errno = 0;
    CHECK(MsgReceive(pair->second, room, sizeof room, NULL) == -1 && errno == ETIMEDOUT);
    CHECK(MsgSend(pair->first, "still", 5, NULL, 0) == 1);
    return NULL;
}

static void unblocks_a_receiver(void) {
    struct sigevent event;
    struct pair pair;
    pthread_t thread;
    int chid = channel(0, &pair.first), quiet, known, rcvid;
    char room[8];

    pair.second = channel(0, &quiet);
    SIGEV_UNBLOCK_INIT(&event);
    CHECK(pthread_create(&thread, NULL, waits, &pair) == 0);
    CHECK((known = receive(chid, room, sizeof room, NULL)) > 0 && MsgReply(known, 0, NULL, 0) == 0);
    do {
        CHECK(MsgDeliverEvent(known, &event) == 0);
        CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, &soon, NULL) == 0);
    } while ((rcvid = MsgReceive(chid, room, sizeof room, NULL)) == -1 && errno == ETIMEDOUT);
    CHECK(rcvid > 0 && MsgReply(rcvid, 1, NULL, 0) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    close_channel(chid, pair.first);
    close_channel(pair.second, quiet);
}

static void timeouts(void) {
    struct timespec spec = {.tv_nsec = 20 * 1000 * 1000}, left;
    struct sigevent event;
    struct _pulse pulse;
    int coid, chid = channel(0, &coid), own, loop = channel(0, &own), rcvid;
    struct client c = {.coid = coid, .priority = 10, .message = "late", .bytes = 4, .timeout = _NTO_TIMEOUT_REPLY};
    char room[8];

    /* Not in the state that counts: the call waits on. */
    CHECK(pthread_create(&c.thread, NULL, client_thread, &c) == 0);
    usleep(40 * 1000);
    CHECK((rcvid = receive(chid, room, sizeof room, NULL)) > 0);
    ended(&c, -1, ETIMEDOUT);
    FAILS(MsgReply(rcvid, 0, NULL, 0), ESRCH);
    c = (struct client){.coid = coid, .priority = 10, .message = "late", .bytes = 4, .timeout = _NTO_TIMEOUT_SEND};
    CHECK(pthread_create(&c.thread, NULL, client_thread, &c) == 0);
    ended(&c, -1, ETIMEDOUT);

    /* A pulse instead: it comes, and the call waits on. */
    SIGEV_PULSE_INIT(&event, coid, 10, 44, 55);
    CHECK(timer_timeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, &event, &spec, NULL) == 0);
    CHECK(MsgReceive(chid, &pulse, sizeof pulse, NULL) == 0 && pulse.code == 44 && pulse.value.sival_int == 55);
    /* A signal: the call is interrupted. */
    SIGEV_SIGNAL_INIT(&event, SIGUSR1);
    CHECK(timer_timeout_r(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, &event, &spec, NULL) == EOK);
    FAILS(MsgReceive(loop, room, sizeof room, NULL), EINTR);
    await(SIGUSR1);
    event.sigev_notify = SIGEV_THREAD;
    FAILS(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND, &event, &soon, NULL), EINVAL);
    SIGEV_PULSE_INIT(&event, 4711, 10, 1, 0);
    FAILS(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND, &event, &soon, NULL), EBADF);
    FAILS(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_NANOSLEEP, NULL, &soon, NULL), EINVAL);
    spec.tv_nsec = -1;
    FAILS(timer_timeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND, NULL, &spec, NULL), EINVAL);
    /* What was left of the last one; it is taken back by one without states. */
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_REPLY, NULL, &soon, NULL) == 0);
    CHECK(timer_timeout(CLOCK_MONOTONIC, 0, NULL, NULL, &left) == 0);
    CHECK(left.tv_sec == 0 && left.tv_nsec > 0 && left.tv_nsec <= (long) soon);
    close_channel(chid, coid);
    close_channel(loop, own);
}

static void signals(void) {
    struct _pulse pulse;
    struct _msg_info info;
    struct client c;
    int coid, chid = channel(_NTO_CHF_UNBLOCK, &coid), rcvid;
    char room[8];

    FAILS(SignalKill(ND_LOCAL_NODE, getpid(), 0, 1000, 0, 0), EINVAL);
    FAILS(SignalKill(ND_LOCAL_NODE, getpid(), 0, -1, 0, 0), EINVAL);
    FAILS(SignalKill(ND_LOCAL_NODE, INT32_MAX, 0, SIGUSR1, 0, 0), ESRCH);
    FAILS(SignalKill(ND_LOCAL_NODE, getpid(), INT32_MAX, SIGUSR1, 0, 0), ESRCH);
    FAILS(SignalKill(77, getpid(), 0, SIGUSR1, 0, 0), ENOREMOTE);
    CHECK(SignalKill_r(ND_LOCAL_NODE, 1, -1, 0, 0, 0) == ESRCH);
    CHECK(SignalKill(ND_LOCAL_NODE, getpid(), 0, 0, 0, 0) == 0 && SignalKill(ND_LOCAL_NODE, 0, 0, 0, 0, 0) == 0);
    CHECK(SignalKill(ND_LOCAL_NODE, getpid(), self_tid(), SIGUSR1, 0, 4321) == 0);
    await(SIGUSR1);
    CHECK(atomic_load(&caught_by) == self_tid() && atomic_load(&caught_value) == 4321);

    /* Not received: the call ends. Received: the server is told, and has the last word. */
    start(&c, coid, "sent", 4);
    do
        CHECK(SignalKill(ND_LOCAL_NODE, getpid(), atomic_load(&c.tid), SIGUSR1, 0, 0) == 0);
    while (usleep(2000) == 0 && pthread_tryjoin_np(c.thread, NULL) != 0);
    CHECK(c.result == -1 && c.error == EINTR);
    start(&c, coid, "received", 8);
    CHECK((rcvid = receive(chid, room, sizeof room, NULL)) > 0);
    do {
        CHECK(SignalKill(ND_LOCAL_NODE, 0, atomic_load(&c.tid), SIGUSR1, 0, 0) == 0);
        CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, &soon, NULL) == 0);
    } while (MsgReceive(chid, &pulse, sizeof pulse, NULL) != 0);
    CHECK(pulse.code == _PULSE_CODE_UNBLOCK && pulse.value.sival_int == rcvid);
    CHECK(MsgInfo(rcvid, &info) == 0 && (info.flags & _NTO_MI_UNBLOCK_REQ) && pulse.scoid == info.scoid);
    CHECK(MsgReply(rcvid, 99, NULL, 0) == 0);
    ended(&c, 99, 0);
    close_channel(chid, coid);
}

static void priorities(void) {
    struct client c[3];
    struct _msg_info info;
    int coid, chid = channel(0, &coid), fixed, kept = channel(_NTO_CHF_FIXED_PRIORITY, &fixed), rcvid;
    const int levels[3] = {20, 30, 12};
    char room[8];

    CHECK(setprio(0, 10) > 0);
    for (int i = 0; i < 3; i++) {
        c[i] = (struct client){.coid = i < 2 ? coid : fixed, .priority = levels[i], .message = "urgent", .bytes = 6};
        CHECK(pthread_create(&c[i].thread, NULL, client_thread, &c[i]) == 0);
    }
    CHECK((rcvid = receive(kept, room, sizeof room, &info)) > 0 && info.priority == 12 && getprio(0) == 10);
    CHECK(MsgCurrent(rcvid) == 0 && getprio(0) == 12 && MsgReply(rcvid, 0, NULL, 0) == 0);
    while (atomic_load(&c[0].tid) == 0 || atomic_load(&c[1].tid) == 0)
        usleep(100);
    usleep(20 * 1000);
    CHECK((rcvid = receive(chid, room, sizeof room, &info)) > 0 && info.priority == 30 && getprio(0) == 30);
    CHECK(MsgReply(rcvid, 0, NULL, 0) == 0);
    CHECK((rcvid = receive(chid, room, sizeof room, &info)) > 0 && info.priority == 20 && getprio(0) == 20);
    CHECK(MsgReply(rcvid, 0, NULL, 0) == 0);
    for (int i = 0; i < 3; i++)
        ended(&c[i], 0, 0);
    CHECK(setprio(0, 10) == 20);
    close_channel(chid, coid);
    close_channel(kept, fixed);
}

/* Who has a message while a more urgent one waits becomes as urgent, until it receives again. */
static void urgency(void) {
    int coid, chid = channel(0, &coid), fixed, kept = channel(_NTO_CHF_FIXED_PRIORITY, &fixed), first, second;
    struct client slow, fast, other;
    char room[8];

    start(&slow, coid, "slow", 4);
    CHECK((first = receive(chid, room, sizeof room, NULL)) > 0 && getprio(0) == 10);
    fast = (struct client){.coid = coid, .priority = 25, .message = "fast", .bytes = 4};
    CHECK(pthread_create(&fast.thread, NULL, client_thread, &fast) == 0);
    for (int i = 0; i < 4000 && getprio(0) != 25; i++)
        usleep(2500);
    CHECK(getprio(0) == 25);
    CHECK(MsgReply(first, 0, NULL, 0) == 0);
    CHECK((second = receive(chid, room, sizeof room, NULL)) > 0 && getprio(0) == 25 && MsgReply(second, 0, NULL, 0) == 0);
    ended(&slow, 0, 0);
    ended(&fast, 0, 0);
    CHECK(MsgSendPulse(coid, 11, 1, 1) == 0 && MsgReceivePulse(chid, room, sizeof room, NULL) == 0 && getprio(0) == 11);

    /* Not where receivers keep their own, nor where somebody else receives. */
    CHECK(setprio(0, 10) == 11);
    start(&slow, fixed, "slow", 4);
    CHECK((first = receive(kept, room, sizeof room, NULL)) > 0);
    other = (struct client){.coid = fixed, .priority = 30, .message = "urge", .bytes = 4};
    CHECK(pthread_create(&other.thread, NULL, client_thread, &other) == 0);
    usleep(30 * 1000);
    CHECK(getprio(0) == 10 && MsgReply(first, 0, NULL, 0) == 0);
    CHECK((second = receive(kept, room, sizeof room, NULL)) > 0 && MsgReply(second, 0, NULL, 0) == 0 && getprio(0) == 10);
    ended(&slow, 0, 0);
    ended(&other, 0, 0);
    close_channel(chid, coid);
    close_channel(kept, fixed);
}

static atomic_int handled, waiters;

static dispatch_context_t *counted_block(dispatch_context_t *ctp) {
    atomic_fetch_add(&waiters, 1);
    ctp = dispatch_block(ctp);
    atomic_fetch_sub(&waiters, 1);
    return ctp;
}

static int on_pooled(message_context_t *ctp, int code, unsigned flags, void *handle) {
    CHECK(handle == &handled && code == ECHO && flags == 0);
    atomic_fetch_add(&handled, 1);
    return MsgReply(ctp->rcvid, EOK, NULL, 0);
}

static void pools(void) {
    thread_pool_attr_t attr = {
        .block_func = counted_block,
        .unblock_func = dispatch_unblock,
        .handler_func = dispatch_handler,
        .context_alloc = dispatch_context_alloc,
        .context_free = dispatch_context_free,
        .lo_water = 2,
        .increment = 1,
        .hi_water = 3,
        .maximum = 5,
    };
    static const struct request echo = {.type = ECHO};
    struct client c[8];
    thread_pool_t *pool;
    dispatch_t *dpp;
    int coid;

    CHECK(thread_pool_create(NULL, 0) == NULL && errno == EINVAL);
    CHECK((dpp = attr.handle = dispatch_create()) != NULL);
    CHECK(message_attach(dpp, NULL, ECHO, ECHO, on_pooled, &handled) == 0);
    CHECK((coid = message_connect(dpp, 0)) >= 0);
    CHECK((pool = thread_pool_create(&attr, 0)) != NULL && thread_pool_start(pool) == EOK);
    for (int turn = 0; turn < 20; turn++) {
        for (int i = 0; i < 8; i++)
            start(&c[i], coid, &echo, sizeof echo);
        for (int i = 0; i < 8; i++)
            ended(&c[i], 0, 0);
        CHECK(atomic_load(&waiters) <= 5);
    }
    CHECK(atomic_load(&handled) == 160);
    CHECK(thread_pool_destroy(pool) == 0 && atomic_load(&waiters) == 0);
    CHECK(ConnectDetach(coid) == 0 && dispatch_destroy(dpp) == 0);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = catch, .sa_flags = SA_SIGINFO};

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    channels();
    clients();
    messages();
    pulses();
    events();
    unblocks_a_receiver();
    timeouts();
    signals();
    priorities();
    urgency();
    pools();
    return 0;
}
