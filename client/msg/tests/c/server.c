/* The server of client.c. */
#include "test.h"

static struct _pulse last_pulse;
static int held, gone, turns;
static volatile sig_atomic_t signaled;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void) signal;
    (void) context;
    signaled = info->si_value.sival_int;
}

static void on_free(int rcvid) {
    struct sigevent event;

    held = rcvid;
    SIGEV_UNBLOCK_INIT(&event);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
}

static void on_large(int rcvid, const struct _msg_info *info) {
    static unsigned char piece[1 << 20];
    unsigned long sum = 0;
    size_t at = 0;

    while (at < info->srcmsglen) {
        ssize_t n = MsgRead(rcvid, piece, sizeof piece, at);

        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++)
            sum += piece[i];
        CHECK(MsgWrite(rcvid, piece, (size_t) n, at) == n);
        at += (size_t) n;
    }
    CHECK(MsgReply(rcvid, (long) (sum & 0x7fffffff), NULL, 0) == 0);
}

static void on_pulse(const struct _pulse *pulse) {
    struct _msg_info info;

    CHECK(pulse->type == _PULSE_TYPE && pulse->subtype == _PULSE_SUBTYPE);
    switch (pulse->code) {
    case _PULSE_CODE_UNBLOCK:
        CHECK(pulse->value.sival_int == held);
        CHECK(MsgInfo(held, &info) == 0);
        CHECK(info.flags & _NTO_MI_UNBLOCK_REQ);
        CHECK(MsgError(held, ENOTTY) == 0);
        break;
    case _PULSE_CODE_DISCONNECT:
        gone++;
        CHECK(ConnectDetach(pulse->scoid) == 0);
        break;
    default:
        last_pulse = *pulse;
    }
}

static void on_read(int rcvid, const struct _msg_info *info, size_t at) {
    static unsigned char data[PIECE];
    iov_t iov[2];
    long sum = 0;

    CHECK(info->srcmsglen == at + PIECE);
    SETIOV(&iov[0], data, 7);
    SETIOV(&iov[1], data + 7, PIECE / 2 - 7);
    CHECK(MsgReadv(rcvid, iov, 2, at) == PIECE / 2);
    CHECK(MsgRead(rcvid, data + PIECE / 2, PIECE, at + PIECE / 2) == PIECE / 2);
    CHECK(MsgRead(rcvid, data, 1, at + PIECE) == 0);
    CHECK(MsgRead_r(rcvid, data, 1, at) == 1 && MsgReadv_r(rcvid, iov, 1, at) == 7);
    for (size_t i = 0; i < PIECE; i++)
        sum += data[i];
    CHECK(MsgReply(rcvid, sum, NULL, 0) == 0);
}

static void on_write(int rcvid, const struct _msg_info *info) {
    static char data[PIECE];
    iov_t iov[2];

    CHECK(info->dstmsglen == PIECE);
    memset(data, 'w', PIECE);
    SETIOV(&iov[0], data, 10);
    SETIOV(&iov[1], data, PIECE / 2 - 10);
    CHECK(MsgWritev(rcvid, iov, 2, 0) == PIECE / 2);
    CHECK(MsgWrite(rcvid, data, PIECE, PIECE / 2) == PIECE / 2);
    CHECK(MsgWrite_r(rcvid, data, 1, PIECE) == 0 && MsgWritev_r(rcvid, iov, 1, 0) == 10);
    SETIOV(&iov[0], "he", 2);
    SETIOV(&iov[1], "ad", 2);
    CHECK(MsgReplyv(rcvid, 5, iov, 2) == 0);
}

static void on_event(int rcvid, const struct _msg_info *info, const void *message) {
    struct sigevent event;

    memcpy(&event, (const char *) message + sizeof(struct request), sizeof event);
    if (info->nd == ND_LOCAL_NODE)
        CHECK(MsgVerifyEvent(rcvid, &event) == 0);
    else
        FAILS(MsgVerifyEvent(rcvid, &event), ENOREMOTE);
    CHECK(MsgDeliverEvent(rcvid, &event) == 0);
    CHECK(MsgReply(rcvid, EOK, NULL, 0) == 0);
    CHECK(MsgDeliverEvent_r(rcvid, &event) == EOK);
}

static void on_message(int chid, int rcvid, const struct _msg_info *info, const void *message) {
    const struct request *request = message;
    struct _client_info client;

    CHECK(info->chid == chid && info->msglen >= sizeof *request);
    switch (request->type) {
    case ECHO:
        CHECK(MsgReply_r(rcvid, (long) info->msglen, message, info->msglen) == EOK);
        break;
    case FAIL:
        CHECK(MsgError_r(rcvid, request->value) == EOK);
        break;
    case ABOUT: {
        struct _msg_info again;

        CHECK(MsgInfo_r(rcvid, &again) == EOK);
        CHECK(again.pid == info->pid && again.coid == info->coid && again.srcmsglen == info->srcmsglen);
        CHECK(MsgReply(rcvid, EOK, info, sizeof *info) == 0);
        break;
    }
    case CLIENT:
        CHECK(ConnectClientInfo(info->scoid, &client, 0) == 0);
        CHECK(MsgReply(rcvid, EOK, &client, sizeof client) == 0);
        break;
    case READ:
        on_read(rcvid, info, sizeof *request);
        break;
    case WRITE:
        on_write(rcvid, info);
        break;
    case EVENT:
        on_event(rcvid, info, message);
        break;
    case HOLD:
        held = rcvid;
        break;
    case FREE:
        on_free(rcvid);
        return;
    case LARGE:
        on_large(rcvid, info);
        break;
    case AGAIN:
        if (turns++ < request->value)
            CHECK(MsgError(rcvid, ERESTART) == 0);
        else
            CHECK(MsgReply(rcvid, turns, NULL, 0) == 0);
        break;
    case SIGNALED:
        CHECK(MsgReply(rcvid, signaled, NULL, 0) == 0);
        break;
    case PULSES:
        CHECK(last_pulse.scoid == info->scoid);
        CHECK(MsgReply(rcvid, EOK, &last_pulse, sizeof last_pulse) == 0);
        break;
    case GONE:
        CHECK(MsgReply(rcvid, gone, NULL, 0) == 0);
        break;
    case DIE:
        exit(0);
    default:
        CHECK(MsgError(rcvid, ENOSYS) == 0);
        return;
    }
    if (request->type != HOLD) {
        FAILS(MsgReply(rcvid, EOK, NULL, 0), ESRCH);
        CHECK(MsgReply_r(rcvid, EOK, NULL, 0) == ESRCH && MsgError_r(rcvid, EPERM) == ESRCH);
    }
}

int main(void) {
    union {
        struct _pulse pulse;
        struct request request;
        char bytes[512];
    } message;
    struct _msg_info info;
    iov_t iov[2];
    name_attach_t *attach = name_attach(NULL, NAME, 0);

    CHECK(attach != NULL);
    CHECK(sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, NULL) == 0);
    puts("ready");
    fflush(stdout);
    for (unsigned turn = 0;; turn++) {
        int rcvid;

        SETIOV(&iov[0], message.bytes, 3);
        SETIOV(&iov[1], message.bytes + 3, sizeof message - 3);
        switch (turn % 4) {
        case 0:
            rcvid = MsgReceive(attach->chid, &message, sizeof message, &info);
            break;
        case 1:
            rcvid = MsgReceivev(attach->chid, iov, 2, &info);
            break;
        case 2:
            rcvid = MsgReceive_r(attach->chid, &message, sizeof message, &info);
            break;
        default:
            rcvid = MsgReceivev_r(attach->chid, iov, 2, &info);
        }
        if (rcvid == -EINTR || (rcvid == -1 && errno == EINTR))
            continue;
        CHECK(rcvid >= 0);
        if (rcvid == 0)
            on_pulse(&message.pulse);
        else
            on_message(attach->chid, rcvid, &info, &message);
    }
}
