/*
 * QNX message passing on Linux: channels, connections, messages, pulses, events.
 *
 * Link with -lio-net-msg. Names, constants and meanings are those of QNX Neutrino 6; what differs on Linux or over a
 * network is listed in docs/guide/messages.md. Sizes and the status of a reply have the width of a machine word.
 *
 * Each call comes twice. The plain one returns -1 and sets errno. The one in `_r` leaves errno alone: where the call
 * returns a number, a negative errno; where it returns nothing but success, EOK or a positive errno.
 *
 * Calls may be used from any thread. After fork the child has neither channels nor connections.
 */
#ifndef IO_NET_SYS_NEUTRINO_H
#define IO_NET_SYS_NEUTRINO_H

/* In a strict mode (-std=c99) the C library shows POSIX's types only to who asks before the first of its headers. */
#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include <sys/states.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Another header came first, and it is too late to ask: these are glibc's own types, as it would have shown them. */
#if defined(__GLIBC__) && !defined(__USE_POSIX199309)
#include <bits/types/clockid_t.h>
#include <bits/types/struct_timespec.h>
union sigval {
    int sival_int;
    void *sival_ptr;
};
struct sigevent {
    union sigval sigev_value;
    int sigev_signo;
    int sigev_notify;
    union {
        int _pad[12];
        void *_align;
    } _sigev_un;
};
enum { SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD = 2 };
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define TIMER_ABSTIME 1
#endif

#ifndef EOK
#define EOK 0
#endif
/* "The node cannot be reached": QNX's name for what Linux calls EREMOTE. */
#ifndef ENOREMOTE
#define ENOREMOTE EREMOTE
#endif

/* This node, where a node descriptor is wanted. */
#define ND_LOCAL_NODE 0u
/* The low half of a node descriptor is the node, the high half the quality of service. */
#define ND_NODE_CMP(a, b) ((int) (((a) & 0xffffu) - ((b) & 0xffffu)))

/* The process that speaks for a node. Where io-net's network manager listens is known to the library alone. */
#define SYSMGR_PID 1
#define SYSMGR_CHID 1

/* An index for ConnectAttach: the connection is numbered apart from file descriptors. */
#define _NTO_SIDE_CHANNEL 0x40000000

/* ---- Flags of a channel ---- */

/* The receiver keeps its own priority instead of taking that of the sender. */
#define _NTO_CHF_FIXED_PRIORITY 0x0001u
/* A client that gives up while the server has its message stays blocked until the server, told by
 * _PULSE_CODE_UNBLOCK, replies. */
#define _NTO_CHF_UNBLOCK 0x0002u
/* _PULSE_CODE_THREADDEATH when a thread of this process ends. */
#define _NTO_CHF_THREAD_DEATH 0x0004u
/* _PULSE_CODE_DISCONNECT when the last connection of a client is gone. */
#define _NTO_CHF_DISCONNECT 0x0008u
/* For the network manager only. */
#define _NTO_CHF_NET_MSG 0x0010u
/* Fill in srcmsglen. It always is. */
#define _NTO_CHF_SENDER_LEN 0x0020u
/* _PULSE_CODE_COIDDEATH when a connection of this process has lost its server. */
#define _NTO_CHF_COID_DISCONNECT 0x0040u
/* Fill in dstmsglen. It always is. */
#define _NTO_CHF_REPLY_LEN 0x0080u

/* ---- Flags of a connection ---- */

#define _NTO_COF_CLOEXEC 0x0001u
/* Told by ConnectServerInfo: the channel has gone. */
#define _NTO_COF_DEAD 0x0002u

/* ---- Pulses ---- */

#define _PULSE_TYPE 0
#define _PULSE_SUBTYPE 0

#define _PULSE_CODE_MINAVAIL 0
#define _PULSE_CODE_MAXAVAIL 127

/* value: the rcvid of the client that wants to go on. */
#define _PULSE_CODE_UNBLOCK (-32)
/* scoid: the client's; it stays reserved until ConnectDetach(scoid). */
#define _PULSE_CODE_DISCONNECT (-33)
/* value: the thread's number. */
#define _PULSE_CODE_THREADDEATH (-34)
/* value: the connection that lost its server. */
#define _PULSE_CODE_COIDDEATH (-35)
#define _PULSE_CODE_NET_ACK (-36)
#define _PULSE_CODE_NET_UNBLOCK (-37)
#define _PULSE_CODE_NET_DETACH (-38)

struct _pulse {
    uint16_t type;    /* _PULSE_TYPE */
    uint16_t subtype; /* _PULSE_SUBTYPE */
    int8_t code;
    uint8_t zero[3];
    union sigval value;
    int32_t scoid;
};

/* ---- What a server learns about a message and its sender ---- */

struct _msg_info {
    uint32_t nd;       /* the client's node, as this node sees it */
    uint32_t srcnd;    /* this node, as the client's node sees it */
    pid_t pid;         /* the client */
    int32_t tid;       /* its thread */
    int32_t chid;      /* the channel on which the message came */
    int32_t scoid;     /* the client's connection, as the server sees it */
    int32_t coid;      /* the same, as the client sees it */
    size_t msglen;     /* bytes received so far */
    size_t srcmsglen;  /* bytes that the client sent */
    size_t dstmsglen;  /* bytes that the client has room for in the reply */
    int16_t priority;  /* of the sending thread */
    int16_t flags;     /* _NTO_MI_* */
    uint32_t reserved;
};

#define _NTO_MI_ENDIAN_BIG 0x0001
#define _NTO_MI_ENDIAN_DIFF 0x0002
/* The client has asked to be unblocked. */
#define _NTO_MI_UNBLOCK_REQ 0x0100
#define _NTO_MI_NET_CRED_DIRTY 0x0200

/* What a client learns of a connection: nd, pid, chid, scoid, coid and flags (_NTO_COF_*); the rest is 0. */
#define _server_info _msg_info

/* Groups that a _cred_info has room for. */
#define _NTO_NGROUPS 8

struct _cred_info {
    uid_t ruid, euid, suid;
    gid_t rgid, egid, sgid;
    uint32_t ngroups;
    gid_t grouplist[_NTO_NGROUPS];
};

struct _client_info {
    uint32_t nd;
    pid_t pid;
    pid_t sid;      /* 0: the session's leader is in another PID namespace; -1: on another node */
    uint32_t flags; /* 0 */
    struct _cred_info cred;
};

/* ---- Parts of a message ---- */

typedef struct iovec iov_t;

#define SETIOV(iov, addr, len) ((iov)->iov_base = (void *) (addr), (iov)->iov_len = (len))
#define GETIOVBASE(iov) ((iov)->iov_base)
#define GETIOVLEN(iov) ((iov)->iov_len)

/* ---- Events ----
 *
 * `struct sigevent` is the C library's, whose kinds SIGEV_NONE, SIGEV_SIGNAL and SIGEV_THREAD keep their numbers. The
 * other kinds of QNX have numbers of their own here, and their members lie in the structure's spare room. A server hands
 * an event back to the client that made it, and has no need to look inside.
 */

#define SIGEV_SIGNAL_CODE 0x102
#define SIGEV_SIGNAL_THREAD 0x103
#define SIGEV_PULSE 0x104
#define SIGEV_UNBLOCK 0x105
#define SIGEV_INTR 0x106

/* The pulse has the priority of whoever delivers the event. */
#define SIGEV_PULSE_PRIO_INHERIT (-1)

#define sigev_coid sigev_signo
#define sigev_code _sigev_un._pad[0]
#define sigev_priority _sigev_un._pad[1]

/* Ored into sigev_notify: hints of QNX's, which change nothing here. */
#define SIGEV_FLAG_CRITICAL 0
#define SIGEV_FLAG_UPDATEABLE 0
#define SIGEV_MAKE_CRITICAL(event) ((void) (event))
#define SIGEV_MAKE_UPDATEABLE(event) ((void) (event))
#define SIGEV_GET_TYPE(event) ((event)->sigev_notify)

#define SIGEV_NONE_INIT(event) ((event)->sigev_notify = SIGEV_NONE)
#define SIGEV_UNBLOCK_INIT(event) ((event)->sigev_notify = SIGEV_UNBLOCK)
#define SIGEV_INTR_INIT(event) ((event)->sigev_notify = SIGEV_INTR)
#define SIGEV_SIGNAL_INIT(event, signal) \
    ((event)->sigev_notify = SIGEV_SIGNAL, (event)->sigev_signo = (signal), (event)->sigev_value.sival_ptr = NULL)
#define SIGEV_SIGNAL_VALUE_INIT(event, signal, v) \
    ((event)->sigev_notify = SIGEV_SIGNAL, (event)->sigev_signo = (signal), \
     (event)->sigev_value.sival_ptr = (void *) (uintptr_t) (v))
#define SIGEV_SIGNAL_CODE_INIT(event, signal, v, c) \
    ((event)->sigev_notify = SIGEV_SIGNAL_CODE, (event)->sigev_signo = (signal), \
     (event)->sigev_value.sival_ptr = (void *) (uintptr_t) (v), (event)->sigev_code = (c), (event)->sigev_priority = 0)
#define SIGEV_SIGNAL_THREAD_INIT(event, signal, v, c) \
    ((event)->sigev_notify = SIGEV_SIGNAL_THREAD, (event)->sigev_signo = (signal), \
     (event)->sigev_value.sival_ptr = (void *) (uintptr_t) (v), (event)->sigev_code = (c), (event)->sigev_priority = 0)
#define SIGEV_PULSE_INIT(event, coid, prio, c, v) \
    ((event)->sigev_notify = SIGEV_PULSE, (event)->sigev_coid = (coid), (event)->sigev_priority = (prio), \
     (event)->sigev_code = (c), (event)->sigev_value.sival_ptr = (void *) (uintptr_t) (v))

/* ---- Channels and connections ---- */

int ChannelCreate(unsigned flags);
int ChannelCreate_r(unsigned flags);
int ChannelDestroy(int chid);
int ChannelDestroy_r(int chid);

/* A descriptor that polls readable while a message or a pulse may wait on the channel; receive with no time (TimerTimeout)
 * until that fails with ETIMEDOUT. It belongs to the channel: do not read or close it. For epoll and the loops built on it;
 * QNX has no such call. */
int ChannelFd(int chid);
int ChannelFd_r(int chid);

int ConnectAttach(uint32_t nd, pid_t pid, int chid, unsigned index, int flags);
int ConnectAttach_r(uint32_t nd, pid_t pid, int chid, unsigned index, int flags);
int ConnectDetach(int coid);
int ConnectDetach_r(int coid);
/* Sets the flags in `mask` to `bits`; returns those before. Here no connection outlives an exec, whatever they say. */
int ConnectFlags(pid_t pid, int coid, unsigned mask, unsigned bits);
int ConnectFlags_r(pid_t pid, int coid, unsigned mask, unsigned bits);
/* `pid`: 0 or this process. Returns `coid`, or the next one above it that there is. */
int ConnectServerInfo(pid_t pid, int coid, struct _server_info *info);
int ConnectServerInfo_r(pid_t pid, int coid, struct _server_info *info);
/* `scoid` -1: this process. As many of its groups as fit in `ngroups` and in the structure; of a client, the real and the
 * saved user and group are given as the effective ones. */
int ConnectClientInfo(int scoid, struct _client_info *info, int ngroups);
int ConnectClientInfo_r(int scoid, struct _client_info *info, int ngroups);

/* ---- Sending: s is one part, v is parts; first the message, then the reply ---- */

long MsgSend(int coid, const void *smsg, size_t sbytes, void *rmsg, size_t rbytes);
long MsgSend_r(int coid, const void *smsg, size_t sbytes, void *rmsg, size_t rbytes);
long MsgSendsv(int coid, const void *smsg, size_t sbytes, const iov_t *riov, size_t rparts);
long MsgSendsv_r(int coid, const void *smsg, size_t sbytes, const iov_t *riov, size_t rparts);
long MsgSendvs(int coid, const iov_t *siov, size_t sparts, void *rmsg, size_t rbytes);
long MsgSendvs_r(int coid, const iov_t *siov, size_t sparts, void *rmsg, size_t rbytes);
long MsgSendv(int coid, const iov_t *siov, size_t sparts, const iov_t *riov, size_t rparts);
long MsgSendv_r(int coid, const iov_t *siov, size_t sparts, const iov_t *riov, size_t rparts);

/* The same: no call here is a point of thread cancellation. */
long MsgSendnc(int coid, const void *smsg, size_t sbytes, void *rmsg, size_t rbytes);
long MsgSendnc_r(int coid, const void *smsg, size_t sbytes, void *rmsg, size_t rbytes);
long MsgSendsvnc(int coid, const void *smsg, size_t sbytes, const iov_t *riov, size_t rparts);
long MsgSendsvnc_r(int coid, const void *smsg, size_t sbytes, const iov_t *riov, size_t rparts);
long MsgSendvsnc(int coid, const iov_t *siov, size_t sparts, void *rmsg, size_t rbytes);
long MsgSendvsnc_r(int coid, const iov_t *siov, size_t sparts, void *rmsg, size_t rbytes);
long MsgSendvnc(int coid, const iov_t *siov, size_t sparts, const iov_t *riov, size_t rparts);
long MsgSendvnc_r(int coid, const iov_t *siov, size_t sparts, const iov_t *riov, size_t rparts);

/* With which priority this thread's messages wait to be received: 1 to 255, 10 unless it was set or the thread is a realtime
 * one. A thread that receives takes on its sender's. `pid` is 0; -1 with EINVAL. setprio returns the priority before. */
int getprio(pid_t pid);
int setprio(pid_t pid, int prio);

int MsgSendPulse(int coid, int priority, int code, int value);
int MsgSendPulse_r(int coid, int priority, int code, int value);
int MsgSendPulsePtr(int coid, int priority, int code, void *value);
int MsgSendPulsePtr_r(int coid, int priority, int code, void *value);

/* ---- Receiving: > 0 is the rcvid of a message, 0 a pulse ---- */

int MsgReceive(int chid, void *msg, size_t bytes, struct _msg_info *info);
int MsgReceive_r(int chid, void *msg, size_t bytes, struct _msg_info *info);
int MsgReceivev(int chid, const iov_t *riov, size_t rparts, struct _msg_info *info);
int MsgReceivev_r(int chid, const iov_t *riov, size_t rparts, struct _msg_info *info);
int MsgReceivePulse(int chid, void *pulse, size_t bytes, struct _msg_info *info);
int MsgReceivePulse_r(int chid, void *pulse, size_t bytes, struct _msg_info *info);
int MsgReceivePulsev(int chid, const iov_t *piov, size_t parts, struct _msg_info *info);
int MsgReceivePulsev_r(int chid, const iov_t *piov, size_t parts, struct _msg_info *info);

/* ---- With a message that was received ---- */

int MsgReply(int rcvid, long status, const void *msg, size_t bytes);
int MsgReply_r(int rcvid, long status, const void *msg, size_t bytes);
int MsgReplyv(int rcvid, long status, const iov_t *riov, size_t rparts);
int MsgReplyv_r(int rcvid, long status, const iov_t *riov, size_t rparts);
int MsgError(int rcvid, int error);
int MsgError_r(int rcvid, int error);
ssize_t MsgRead(int rcvid, void *msg, size_t bytes, size_t offset);
ssize_t MsgRead_r(int rcvid, void *msg, size_t bytes, size_t offset);
ssize_t MsgReadv(int rcvid, const iov_t *riov, size_t rparts, size_t offset);
ssize_t MsgReadv_r(int rcvid, const iov_t *riov, size_t rparts, size_t offset);
ssize_t MsgWrite(int rcvid, const void *msg, size_t bytes, size_t offset);
ssize_t MsgWrite_r(int rcvid, const void *msg, size_t bytes, size_t offset);
ssize_t MsgWritev(int rcvid, const iov_t *iov, size_t parts, size_t offset);
ssize_t MsgWritev_r(int rcvid, const iov_t *iov, size_t parts, size_t offset);
int MsgInfo(int rcvid, struct _msg_info *info);
int MsgInfo_r(int rcvid, struct _msg_info *info);
int MsgDeliverEvent(int rcvid, const struct sigevent *event);
int MsgDeliverEvent_r(int rcvid, const struct sigevent *event);
/* Whether the event could be delivered to the client; with rcvid 0, to this process. */
int MsgVerifyEvent(int rcvid, const struct sigevent *event);
int MsgVerifyEvent_r(int rcvid, const struct sigevent *event);
/* Checks an event that the server behind `coid` is to be given. It is not changed, and nothing need be undone. */
int MsgRegisterEvent(struct sigevent *event, int coid);
int MsgRegisterEvent_r(struct sigevent *event, int coid);
int MsgUnregisterEvent(const struct sigevent *event);
int MsgUnregisterEvent_r(const struct sigevent *event);
/* The calling thread takes on the priority of the message's sender. */
int MsgCurrent(int rcvid);
int MsgCurrent_r(int rcvid);

/* ---- Signals ---- */

/* Sends `signo` (0: none, and only the checks are made) with `value` to process `pid` on node `nd`, or to its thread `tid`
 * unless that is 0. On this node `pid` 0 is the caller's process group, or with a `tid` its process, and below 0 the process
 * group -pid. `si_code` is SI_QUEUE whatever `code` says. To another node success means that it is on its way. */
int SignalKill(uint32_t nd, pid_t pid, int tid, int signo, int code, int value);
int SignalKill_r(uint32_t nd, pid_t pid, int tid, int signo, int code, int value);

/* ---- Timeouts: for the next blocking call of this thread ---- */

#define _NTO_TIMEOUT_SEND (1 << STATE_SEND)
#define _NTO_TIMEOUT_RECEIVE (1 << STATE_RECEIVE)
#define _NTO_TIMEOUT_REPLY (1 << STATE_REPLY)
/* Calls of the C library's, which no timeout of this library's ends: EINVAL. */
#define _NTO_TIMEOUT_SIGSUSPEND (1 << STATE_SIGSUSPEND)
#define _NTO_TIMEOUT_SIGWAITINFO (1 << STATE_SIGWAITINFO)
#define _NTO_TIMEOUT_NANOSLEEP (1 << STATE_NANOSLEEP)
#define _NTO_TIMEOUT_MUTEX (1 << STATE_MUTEX)
#define _NTO_TIMEOUT_CONDVAR (1 << STATE_CONDVAR)
#define _NTO_TIMEOUT_JOIN (1 << STATE_JOIN)
#define _NTO_TIMEOUT_INTR (1 << STATE_INTR)
#define _NTO_TIMEOUT_SEM (1 << STATE_SEM)

/* `flags`: the states in which the thread may wait no longer than `*ntime` nanoseconds (TIMER_ABSTIME: until then, by
 * the clock `id`); no `ntime`: not at all. `notify`: NULL or SIGEV_UNBLOCK, and the call fails with ETIMEDOUT; a signal,
 * which is sent, and the call fails with EINTR; a pulse, which is sent, and the call goes on. `*otime`: what was left of the
 * timeout before. */
int TimerTimeout(clockid_t id, int flags, const struct sigevent *notify, const uint64_t *ntime, uint64_t *otime);
int TimerTimeout_r(clockid_t id, int flags, const struct sigevent *notify, const uint64_t *ntime, uint64_t *otime);
int timer_timeout(clockid_t id, int flags, const struct sigevent *notify, const struct timespec *ntime,
                  struct timespec *otime);
int timer_timeout_r(clockid_t id, int flags, const struct sigevent *notify, const struct timespec *ntime,
                    struct timespec *otime);

#ifdef __cplusplus
}
#endif

#endif
