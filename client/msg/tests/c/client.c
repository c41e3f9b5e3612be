/*
 * Each call that a client makes, against server.c in another process, perhaps on another node: client [NAME [stranger]]. Where a
 * network makes a difference, the checks say so. To the server's node a stranger is nobody in particular.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <sys/netmgr.h>

#include "test.h"

static int coid, remote, stranger;
static const char *name = NAME;

static struct request request(int type, int value) {
    struct request r = {.type = (uint16_t) type, .value = value};
    return r;
}

/* Every form of MsgSend carries the same bytes both ways. */
static void sends(void) {
    char out[64], in[64];
    iov_t si[2], ri[3];
    const struct request head = request(ECHO, 42);

    memset(out, 'x', sizeof out);
    memcpy(out, &head, sizeof head);
    SETIOV(&si[0], out, 10);
    SETIOV(&si[1], out + 10, sizeof out - 10);
    SETIOV(&ri[0], in, 1);
    SETIOV(&ri[1], NULL, 0);
    SETIOV(&ri[2], in + 1, sizeof in - 1);
    CHECK(GETIOVBASE(&si[0]) == out && GETIOVLEN(&si[0]) == 10);
#define EACH(f, ...) \
    memset(in, 0, sizeof in); \
    CHECK(f(coid, __VA_ARGS__) == (long) sizeof out); \
    CHECK(memcmp(in, out, sizeof in) == 0)
    EACH(MsgSend, out, sizeof out, in, sizeof in);
    EACH(MsgSend_r, out, sizeof out, in, sizeof in);
    EACH(MsgSendnc, out, sizeof out, in, sizeof in);
    EACH(MsgSendnc_r, out, sizeof out, in, sizeof in);
    EACH(MsgSendsv, out, sizeof out, ri, 3);
    EACH(MsgSendsv_r, out, sizeof out, ri, 3);
    EACH(MsgSendsvnc, out, sizeof out, ri, 3);
    EACH(MsgSendsvnc_r, out, sizeof out, ri, 3);
    EACH(MsgSendvs, si, 2, in, sizeof in);
    EACH(MsgSendvs_r, si, 2, in, sizeof in);
    EACH(MsgSendvsnc, si, 2, in, sizeof in);
    EACH(MsgSendvsnc_r, si, 2, in, sizeof in);
    EACH(MsgSendv, si, 2, ri, 3);
    EACH(MsgSendv_r, si, 2, ri, 3);
    EACH(MsgSendvnc, si, 2, ri, 3);
    EACH(MsgSendvnc_r, si, 2, ri, 3);
    /* A reply is cut to the room that there is. */
    memset(in, 0, sizeof in);
    CHECK(MsgSend(coid, out, sizeof out, in, 9) == (long) sizeof out);
    CHECK(memcmp(in, out, 9) == 0 && in[9] == 0);
}

static void errors(void) {
    const struct request fail = request(FAIL, EPERM);
    struct request head = request(4000, 0);

    FAILS(MsgSend(coid, &fail, sizeof fail, NULL, 0), EPERM);
    CHECK(MsgSend_r(coid, &fail, sizeof fail, NULL, 0) == -EPERM);
    FAILS(MsgSend(coid, &head, sizeof head, NULL, 0), ENOSYS);
    FAILS(MsgSend(coid, NULL, 8, NULL, 0), EFAULT);
    FAILS(MsgSend(-1, &head, sizeof head, NULL, 0), EBADF);
    CHECK(MsgSend_r(4711, &head, sizeof head, NULL, 0) == -EBADF);
    FAILS(MsgReply(4711, 0, NULL, 0), ESRCH);
    FAILS(MsgRead(4711, &head, sizeof head, 0), ESRCH);
    FAILS(MsgWrite(4711, &head, sizeof head, 0), ESRCH);
    FAILS(MsgInfo(4711, NULL), ESRCH);
    FAILS(ConnectDetach(4711), EINVAL);
    FAILS(ChannelDestroy(4711), EINVAL);
    FAILS(ConnectAttach(0, getpid(), 4711, 0, 0), ESRCH);
    CHECK(ConnectAttach_r(0, getpid(), 4711, 0, 0) == -ESRCH);
    CHECK(ConnectDetach_r(4711) == EINVAL && ChannelDestroy_r(4711) == EINVAL);
}

static void infos(void) {
    struct request head = request(ABOUT, 0);
    struct _msg_info info;
    struct _server_info server;
    struct _client_info client;
    char room[200];
    iov_t ri[2] = {{&info, sizeof info}, {room, sizeof room}};

    CHECK(MsgSendsv(coid, &head, sizeof head, ri, 2) == EOK);
    CHECK((info.nd != ND_LOCAL_NODE) == remote && info.pid == getpid() && info.tid == (int) syscall(SYS_gettid));
    CHECK(info.coid == coid && info.scoid != 0);
    CHECK(ConnectServerInfo(0, coid, &server) == coid && ND_NODE_CMP(info.srcnd, server.nd) == 0);
    CHECK(info.msglen == sizeof head && info.srcmsglen == sizeof head);
    CHECK(info.dstmsglen == sizeof info + sizeof room);
    CHECK(ConnectServerInfo(0, coid, &server) == coid);
    CHECK((server.nd != ND_LOCAL_NODE) == remote && server.pid > 0 && server.pid != getpid() && server.chid == info.chid);
    CHECK(ConnectServerInfo_r(getpid(), coid, NULL) == coid);
    FAILS(ConnectServerInfo(0, 0x7fffffff, &server), EINVAL);
    CHECK(info.priority == getprio(0));
    CHECK(setprio(0, 33) == info.priority && getprio(0) == 33);
    CHECK(MsgSendsv(coid, &head, sizeof head, ri, 2) == EOK && info.priority == 33);
    CHECK(setprio(0, 10) == 33);
    FAILS(setprio(0, 0), EINVAL);
    FAILS(setprio(1, 10), EINVAL);
    head.type = CLIENT;
    CHECK(MsgSend(coid, &head, sizeof head, &client, sizeof client) == EOK);
    CHECK(client.pid == getpid() && (client.nd != ND_LOCAL_NODE) == remote);
    if (!remote) {
        CHECK(client.sid == getsid(0));
        CHECK(client.cred.euid == geteuid() && client.cred.egid == getegid());
    }
    FAILS(ConnectClientInfo(4711, &client, 0), EINVAL);
}

/* MsgRead and MsgWrite reach into this process's buffers. */
static void reach(void) {
    static unsigned char data[sizeof(struct request) + PIECE];
    const struct request read = request(READ, 0), write = request(WRITE, 0);
    long sum = 0;

    memcpy(data, &read, sizeof read);
    for (size_t i = sizeof read; i < sizeof data; i++)
        sum += data[i] = (unsigned char) (i * 7);
    CHECK(MsgSend(coid, data, sizeof data, NULL, 0) == sum);
    CHECK(MsgSend(coid, &write, sizeof write, data, PIECE) == 5);
    CHECK(memcmp(data, "headww", 6) == 0 && data[PIECE - 1] == 'w');
}

/* Long messages, both ways, of lengths around those that make a difference. */
static void large(void) {
    static const size_t lengths[] = {4095, 4096, 4097, 65535, 65536, 65537, (1 << 20) + 1, LARGEST};
    unsigned char *out = malloc(LARGEST), *in = malloc(LARGEST);
    const struct request head = request(LARGE, 0);

    CHECK(out != NULL && in != NULL);
    for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
        unsigned long sum = 0;

        memcpy(out, &head, sizeof head);
        for (size_t i = sizeof head; i < lengths[n]; i++)
            out[i] = (unsigned char) (i * 13 + i / 4096);
        for (size_t i = 0; i < lengths[n]; i++)
            sum += out[i];
        memset(in, 0, lengths[n]);
        CHECK(MsgSend(coid, out, lengths[n], in, lengths[n]) == (long) (sum & 0x7fffffff));
        CHECK(memcmp(in, out, lengths[n]) == 0);
    }
    free(out);
    free(in);
}

/* Signals to the server's process, where this user is the server's, or root, on that node too. */
static void signals(void) {
    const struct request head = request(SIGNALED, 0);
    struct _server_info server;
    long seen = 0;

    CHECK(ConnectServerInfo(0, coid, &server) == coid);
    FAILS(SignalKill(server.nd, server.pid, 0, 1000, 0, 0), EINVAL);
    CHECK(SignalKill(server.nd, server.pid, 0, SIGUSR1, 0, 4567) == 0);
    /* What nobody in particular sends has no effect; time is given for one. */
    for (int i = 0; i < (stranger ? 20 : 2000) && (seen = MsgSend(coid, &head, sizeof head, NULL, 0)) != 4567; i++)
        usleep(5000);
    CHECK(seen == (stranger ? 0 : 4567));
    CHECK(SignalKill(0xfff0, server.pid, 0, SIGUSR1, 0, 0) == -1 && (errno == ESRCH || errno == ENOREMOTE));
}

static void restarts(void) {
    const struct request head = request(AGAIN, 2), release = request(FREE, 0);

    CHECK(MsgSend(coid, &head, sizeof head, NULL, 0) == 3);
    FAILS(MsgSend(coid, &release, sizeof release, NULL, 0), ENOTTY);
}

static void pulses(int own) {
    const struct request head = request(PULSES, 0);
    struct _pulse pulse;
    struct _msg_info info;
    iov_t iov[2] = {{&pulse, 4}, {(char *) &pulse + 4, sizeof pulse - 4}};
    int chid, loop;

    CHECK(MsgSendPulse(coid, -1, 7, -12345) == 0);
    CHECK(MsgSend(coid, &head, sizeof head, &pulse, sizeof pulse) == EOK);
    CHECK(pulse.code == 7 && pulse.value.sival_int == -12345);
    CHECK(MsgSendPulsePtr_r(coid, 10, _PULSE_CODE_MAXAVAIL, &pulse) == EOK);
    CHECK(MsgSend(coid, &head, sizeof head, &pulse, sizeof pulse) == EOK);
    CHECK(pulse.code == 127 && pulse.value.sival_ptr == &pulse);
    FAILS(MsgSendPulse(coid, 10, -1, 0), EINVAL);
    FAILS(MsgSendPulse(coid, 10, 1000, 0), EINVAL);

    /* To a channel of one's own, where the highest priority comes first. */
    CHECK((chid = ChannelCreate(0)) > 0);
    CHECK((loop = ConnectAttach(ND_LOCAL_NODE, 0, chid, _NTO_SIDE_CHANNEL, 0)) >= _NTO_SIDE_CHANNEL);
    CHECK(loop != own);
    CHECK(MsgSendPulse(loop, 10, 1, 100) == 0);
    CHECK(MsgSendPulse_r(loop, 20, 2, 200) == EOK);
    CHECK(MsgSendPulse(loop, 10, 3, 300) == 0);
    CHECK(MsgSendPulsePtr(loop, 10, 4, NULL) == 0);
    CHECK(MsgReceivePulse(chid, &pulse, sizeof pulse, &info) == 0 && pulse.code == 2);
    CHECK(MsgReceivePulsev(chid, iov, 2, NULL) == 0 && pulse.code == 1 && pulse.value.sival_int == 100);
    CHECK(MsgReceivePulse_r(chid, &pulse, sizeof pulse, NULL) == 0 && pulse.code == 3);
    CHECK(MsgReceivePulsev_r(chid, iov, 2, NULL) == 0 && pulse.code == 4);
    CHECK(ConnectDetach(loop) == 0);
    CHECK(ChannelDestroy(chid) == 0);
}

static volatile sig_atomic_t signal_seen, signal_value, signal_thread;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void) context;
    signal_seen = signal;
    signal_value = info->si_value.sival_int;
    signal_thread = (int) syscall(SYS_gettid);
}

/* Each is delivered twice, perhaps later than this: what comes then is ignored. */
static void await_signal(int signal) {
    for (int i = 0; i < 2000 && signal_seen != signal; i++)
        usleep(5000);
    CHECK(signal_seen == signal);
    CHECK(sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, NULL) == 0);
}

static void events(int chid, int loop) {
    struct {
        struct request head;
        struct sigevent event;
    } message = {.head = request(EVENT, 0)};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct _pulse pulse;

    SIGEV_PULSE_INIT(&message.event, loop, 15, 9, 77);
    CHECK(MsgVerifyEvent(0, &message.event) == 0);
    CHECK(MsgSend(coid, &message, sizeof message, NULL, 0) == EOK);
    for (int i = 0; i < 2; i++) {
        CHECK(MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == 0);
        CHECK(pulse.code == 9 && pulse.value.sival_int == 77);
    }

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    SIGEV_SIGNAL_CODE_INIT(&message.event, SIGUSR1, 88, 1);
    CHECK(MsgSend(coid, &message, sizeof message, NULL, 0) == EOK);
    await_signal(SIGUSR1);
    CHECK(signal_value == 88);
    SIGEV_SIGNAL_INIT(&message.event, SIGUSR2);
    CHECK(MsgSend(coid, &message, sizeof message, NULL, 0) == EOK);
    await_signal(SIGUSR2);

    /* To the thread that sent, with its value. */
    CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
    SIGEV_SIGNAL_THREAD_INIT(&message.event, SIGRTMIN, 99, 1);
    CHECK(MsgSend(coid, &message, sizeof message, NULL, 0) == EOK);
    await_signal(SIGRTMIN);
    CHECK(signal_value == 99 && signal_thread == (int) syscall(SYS_gettid));

    SIGEV_NONE_INIT(&message.event);
    CHECK(MsgSend(coid, &message, sizeof message, NULL, 0) == EOK);

    SIGEV_PULSE_INIT(&message.event, 4711, 10, 1, 0);
    FAILS(MsgVerifyEvent(0, &message.event), EBADF);
    message.event.sigev_notify = 0x777;
    FAILS(MsgVerifyEvent(0, &message.event), EINVAL);
    CHECK(MsgVerifyEvent_r(0, &message.event) == EINVAL);
    FAILS(MsgDeliverEvent(4711, NULL), EFAULT);
}

static void timeouts(int chid) {
    const uint64_t soon = 20 * 1000 * 1000;
    const struct timespec spec = {.tv_nsec = 20 * 1000 * 1000};
    const struct request hold = request(HOLD, 0), echo = request(ECHO, 0);
    struct sigevent event;
    struct timespec now;
    uint64_t then, left;
    char room[100];
    int deaf, other;

    SIGEV_UNBLOCK_INIT(&event);
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, &event, &soon, NULL) == 0);
    FAILS(MsgReceive(chid, room, sizeof room, NULL), ETIMEDOUT);
    /* No time at all: what is there, or nothing. */
    CHECK(TimerTimeout_r(CLOCK_REALTIME, _NTO_TIMEOUT_RECEIVE, NULL, NULL, NULL) == EOK);
    CHECK(MsgReceivePulse_r(chid, room, sizeof room, NULL) == -ETIMEDOUT);
    clock_gettime(CLOCK_REALTIME, &now);
    then = (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec + soon;
    CHECK(TimerTimeout(CLOCK_REALTIME, _NTO_TIMEOUT_RECEIVE | TIMER_ABSTIME, NULL, &then, NULL) == 0);
    CHECK(MsgReceive_r(chid, room, sizeof room, NULL) == -ETIMEDOUT);

    /* The server holds the message: it is asked to let go, and says ENOTTY. */
    CHECK(timer_timeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND | _NTO_TIMEOUT_REPLY, &event, &spec, NULL) == 0);
    FAILS(MsgSend(coid, &hold, sizeof hold, room, sizeof room), ENOTTY);

    /* Nobody receives. */
    CHECK((deaf = ChannelCreate(_NTO_CHF_UNBLOCK)) > 0);
    CHECK((other = ConnectAttach(0, getpid(), deaf, 0, _NTO_COF_CLOEXEC)) >= 0);
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND, NULL, &soon, NULL) == 0);
    FAILS(MsgSend(other, &echo, sizeof echo, NULL, 0), ETIMEDOUT);
    CHECK(ConnectDetach_r(other) == EOK && ChannelDestroy_r(deaf) == EOK);

    /* One call uses it up. */
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_REPLY, NULL, &soon, &left) == 0);
    CHECK(left == 0);
    CHECK(MsgSend(coid, &echo, sizeof echo, room, sizeof room) == sizeof echo);
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_REPLY, NULL, &soon, &left) == 0);
    CHECK(left == 0);
    CHECK(TimerTimeout(CLOCK_MONOTONIC, 0, NULL, NULL, &left) == 0);
    CHECK(left > 0 && left <= soon);

    event.sigev_notify = SIGEV_THREAD;
    FAILS(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND, &event, &soon, NULL), EINVAL);
    CHECK(TimerTimeout_r(CLOCK_MONOTONIC, 1 << 12, NULL, &soon, NULL) == EINVAL);
}

static void descriptor(int chid, int loop) {
    struct pollfd fd = {.fd = ChannelFd(chid), .events = POLLIN};
    struct _pulse pulse;

    CHECK(fd.fd >= 0 && ChannelFd_r(chid) == fd.fd);
    /* It says that something may be there, until it was found that nothing is. */
    CHECK(TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_RECEIVE, NULL, NULL, NULL) == 0);
    FAILS(MsgReceive(chid, &pulse, sizeof pulse, NULL), ETIMEDOUT);
    CHECK(poll(&fd, 1, 0) == 0);
    CHECK(MsgSendPulse(loop, 10, 1, 1) == 0);
    CHECK(poll(&fd, 1, 10000) == 1);
    CHECK(MsgReceive(chid, &pulse, sizeof pulse, NULL) == 0 && pulse.code == 1);
    FAILS(ChannelFd(4711), EINVAL);
}

/* A child has nothing of its parent's, and makes its own. That the server hears of its end is seen in its count. */
static void forked(void) {
    const struct request head = request(GONE, 0);
    long before = MsgSend(coid, &head, sizeof head, NULL, 0);
    pid_t child = fork();
    int status;

    if (child == 0) {
        FAILS(MsgSend(coid, &head, sizeof head, NULL, 0), EBADF);
        CHECK((coid = name_open(name, 0)) >= 0);
        sends();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < 2000 && MsgSend(coid, &head, sizeof head, NULL, 0) == before; i++)
        usleep(5000);
    CHECK(MsgSend(coid, &head, sizeof head, NULL, 0) == before + 1);
}

static void *die(void *unused) {
    const struct request head = request(DIE, 0);

    (void) unused;
    errno = 0;
    CHECK(MsgSend(coid, &head, sizeof head, NULL, 0) == -1 && errno == ESRCH);
    return NULL;
}

static void death(int chid) {
    const struct request head = request(ECHO, 0);
    struct _pulse pulse;
    pthread_t thread;
    int threads;

    CHECK((threads = ChannelCreate(_NTO_CHF_THREAD_DEATH)) > 0);
    CHECK(pthread_create(&thread, NULL, die, NULL) == 0);
    CHECK(MsgReceivePulse(chid, &pulse, sizeof pulse, NULL) == 0);
    CHECK(pulse.code == _PULSE_CODE_COIDDEATH && pulse.value.sival_int == coid);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(MsgReceivePulse(threads, &pulse, sizeof pulse, NULL) == 0);
    CHECK(pulse.code == _PULSE_CODE_THREADDEATH && pulse.value.sival_int > 0);
    CHECK(ChannelDestroy(threads) == 0);
    FAILS(MsgSend(coid, &head, sizeof head, NULL, 0), ESRCH);
    FAILS(name_open(name, 0), ENOENT);
    CHECK(name_close(coid) == 0);
    FAILS(name_close(coid), EINVAL);
}

/* The node in the name, and this node as that one calls it. */
static void nodes(void) {
    const struct request head = request(ABOUT, 0);
    struct _server_info server;
    struct _msg_info info;
    char *end, text[100];
    int nd, len;

    CHECK((nd = netmgr_strtond(name, &end)) > 0 && *end == '/');
    CHECK(ConnectServerInfo(0, coid, &server) == coid && ND_NODE_CMP(server.nd, (unsigned) nd) == 0);
    CHECK((len = netmgr_ndtostr(ND2S_DIR_SHOW, (unsigned) nd, text, sizeof text)) > 1);
    CHECK((size_t) len == strlen(text) + 1 && netmgr_strtond(text, NULL) == nd);
    CHECK(netmgr_ndtostr(ND2S_DIR_SHOW, (unsigned) nd, text, 4) == len && strlen(text) == 3);
    CHECK(MsgSend(coid, &head, sizeof head, &info, sizeof info) == EOK);
    CHECK(ND_NODE_CMP((unsigned) netmgr_remote_nd((unsigned) nd, ND_LOCAL_NODE), info.nd) == 0);
    CHECK(netmgr_remote_nd(ND_LOCAL_NODE, (unsigned) nd) == nd);
}

int main(int argc, char **argv) {
    int chid, loop;

    if (argc > 1) {
        name = argv[1];
        remote = strncmp(name, "/net/", 5) == 0;
        stranger = argc > 2;
    }

    CHECK((coid = name_open(name, 0)) >= 0);
    CHECK((chid = ChannelCreate_r(_NTO_CHF_COID_DISCONNECT)) > 0);
    CHECK((loop = ConnectAttach_r(0, 0, chid, _NTO_SIDE_CHANNEL, 0)) > 0);
    sends();
    errors();
    infos();
    if (remote)
        nodes();
    reach();
    large();
    restarts();
    signals();
    pulses(loop);
    events(chid, loop);
    timeouts(chid);
    descriptor(chid, loop);
    forked();
    CHECK(ConnectFlags(0, coid, 0, 0) >= 0 && ConnectFlags_r(0, 4711, 0, 0) == -EINVAL);
    death(chid);
    return 0;
}
