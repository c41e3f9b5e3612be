/* A server's loop, and names for channels: a server attaches one, clients open it. */
#ifndef IO_NET_SYS_DISPATCH_H
#define IO_NET_SYS_DISPATCH_H

#include <sys/neutrino.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A channel and what is done with what comes over it. */
typedef struct _dispatch dispatch_t;

/* ---- The loop ----
 *
 *     while ((ctp = dispatch_block(ctp)) != NULL)
 *         dispatch_handler(ctp);
 *
 * Several threads may do so on one dispatch_t, each with a context of its own; handlers run one at a time.
 */

/* Parts of a reply that a context has room for. */
#define _RESMGR_IOV_MAX 64

/* What was received, and the reply that a handler prepares. */
typedef struct _resmgr_context {
    int rcvid;
    struct _msg_info info;
    void *msg;             /* the message as far as it was received, or a struct _pulse */
    dispatch_t *dpp;
    int id;                /* of the resmgr_attach that it belongs to */
    unsigned msg_max_size; /* bytes at msg */
    long status;           /* of the reply */
    size_t offset;         /* 0 */
    size_t size;           /* bytes received */
    iov_t iov[_RESMGR_IOV_MAX];
} resmgr_context_t;

typedef resmgr_context_t message_context_t;

typedef union _dispatch_context {
    resmgr_context_t resmgr_context;
    message_context_t message_context;
} dispatch_context_t;

/* NULL with errno: ENOMEM. */
dispatch_t *dispatch_create(void);
/* No thread may be in dispatch_block. Takes its names away and destroys its channel. */
int dispatch_destroy(dispatch_t *dpp);

dispatch_context_t *dispatch_context_alloc(dispatch_t *dpp);
void dispatch_context_free(dispatch_context_t *ctp);
/* Waits. NULL with errno, as MsgReceive. */
dispatch_context_t *dispatch_block(dispatch_context_t *ctp);
/* Calls the handler of what came; without one, a message fails with ENOSYS and a pulse is forgotten. */
int dispatch_handler(dispatch_context_t *ctp);

/* For thread_pool_attr_t, whose threads' waits thread_pool_destroy ends by itself. */
void dispatch_unblock(dispatch_context_t *ctp);

/* ---- Threads that go round in a loop ---- */

#ifndef THREAD_POOL_HANDLE_T
#define THREAD_POOL_HANDLE_T dispatch_t
#endif
#ifndef THREAD_POOL_PARAM_T
#define THREAD_POOL_PARAM_T dispatch_context_t
#endif

typedef struct _thread_pool_attr {
    THREAD_POOL_HANDLE_T *handle;
    THREAD_POOL_PARAM_T *(*block_func)(THREAD_POOL_PARAM_T *ctp);
    void (*unblock_func)(THREAD_POOL_PARAM_T *ctp);
    int (*handler_func)(THREAD_POOL_PARAM_T *ctp);
    THREAD_POOL_PARAM_T *(*context_alloc)(THREAD_POOL_HANDLE_T *handle);
    void (*context_free)(THREAD_POOL_PARAM_T *ctp);
    void *attr;              /* NULL */
    unsigned short lo_water; /* where fewer threads wait, `increment` more are made, up to `maximum` in all */
    unsigned short increment;
    unsigned short hi_water; /* a thread that has handled something ends where so many wait; 0: none does */
    unsigned short maximum;
} thread_pool_attr_t;

typedef struct _thread_pool thread_pool_t;

/* thread_pool_start does not return; with USE_SELF the calling thread is one more of the pool's. */
#define POOL_FLAG_EXIT_SELF 0x00000001u
#define POOL_FLAG_USE_SELF 0x00000002u

/* NULL with errno: EINVAL. */
thread_pool_t *thread_pool_create(const thread_pool_attr_t *attr, unsigned flags);
/* EOK or the error. */
int thread_pool_start(void *pool);
/* Ends the threads, each when it waits. */
int thread_pool_destroy(thread_pool_t *pool);

/* ---- Messages and pulses of one's own ---- */

typedef struct _message_attr {
    unsigned flags;
    unsigned nparts_max;
    unsigned msg_max_size; /* the most that is received at once */
} message_attr_t;

/* Messages whose first two bytes are a number from `low` to `high` go to `func`, which replies itself. */
int message_attach(dispatch_t *dpp, const message_attr_t *attr, int low, int high,
                   int (*func)(message_context_t *ctp, int code, unsigned flags, void *handle), void *handle);
int message_detach(dispatch_t *dpp, int low, int high, unsigned flags);
/* A connection to the channel, for pulses to oneself. */
int message_connect(dispatch_t *dpp, int flags);

/* pulse_attach chooses the code. */
#define MSG_FLAG_ALLOC_PULSE 0x0004u

/* Returns the code, or -1 with errno: EBUSY, EINVAL, EAGAIN. */
int pulse_attach(dispatch_t *dpp, int flags, int code,
                 int (*func)(message_context_t *ctp, int code, unsigned flags, void *handle), void *handle);
int pulse_detach(dispatch_t *dpp, int code, int flags);

/* ---- Names ---- */

#define NAME_FLAG_DETACH_SAVEDPP 0x00000001u
#define NAME_FLAG_ATTACH_GLOBAL 0x00000002u

typedef struct _name_attach {
    dispatch_t *dpp;
    int chid;
    int mntid;
    int zero[2];
} name_attach_t;

/*
 * Makes a channel (_NTO_CHF_UNBLOCK | _NTO_CHF_DISCONNECT | _NTO_CHF_COID_DISCONNECT), or takes that of `dpp`, and gives
 * it the name `path`: in /dev/name/local, or with NAME_FLAG_ATTACH_GLOBAL in /dev/name/global. NULL with errno: EINVAL (no
 * name, one that begins with '/' or has a component ".."), EEXIST, EPERM, ENAMETOOLONG.
 */
name_attach_t *name_attach(dispatch_t *dpp, const char *path, unsigned flags);
/* Frees what name_attach returned, and its channel unless NAME_FLAG_DETACH_SAVEDPP. */
int name_detach(name_attach_t *attach, unsigned flags);

/* A connection to the server of `name`: -1 with errno, ENOENT where nobody serves it. */
int name_open(const char *name, int flags);
int name_close(int coid);

#ifdef __cplusplus
}
#endif

#endif
