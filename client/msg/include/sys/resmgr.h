/*
 * Resource managers: servers whose clients open, read and write a name.
 *
 * A handler returns EOK or an errno; _RESMGR_NPARTS(n), and the first n parts of ctp->iov are the reply; or _RESMGR_NOREPLY,
 * and it replies itself, perhaps later. ctp->status is the status of the reply.
 */
#ifndef IO_NET_SYS_RESMGR_H
#define IO_NET_SYS_RESMGR_H

#include <limits.h>

#include <sys/dispatch.h>
#include <sys/iomsg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a device is to its open handler, and an open to the others. sys/iofunc.h has them be its own structures. */
#ifndef RESMGR_HANDLE_T
#define RESMGR_HANDLE_T void
#endif
#ifndef RESMGR_OCB_T
#define RESMGR_OCB_T void
#endif

#define _RESMGR_NOREPLY INT_MIN
#define _RESMGR_DEFAULT (INT_MIN + 1)
#define _RESMGR_ERRNO(error) (error)
#define _RESMGR_NPARTS(n) (-(n))
#define _RESMGR_PTR(ctp, addr, len) (SETIOV((ctp)->iov, addr, len), _RESMGR_NPARTS(1))
#define _RESMGR_STATUS(ctp, s) ((ctp)->status = (s))
#define _IO_SET_READ_NBYTES(ctp, n) _RESMGR_STATUS(ctp, n)
#define _IO_SET_WRITE_NBYTES(ctp, n) _RESMGR_STATUS(ctp, n)

enum _file_type { _FTYPE_ANY = 0, _FTYPE_FILE = 1 };

typedef struct _resmgr_attr {
    unsigned flags;
    unsigned nparts_max;   /* up to _RESMGR_IOV_MAX */
    unsigned msg_max_size; /* the most of a message that is received at once; at least 4096 are */
} resmgr_attr_t;

typedef struct _resmgr_connect_funcs {
    unsigned nfuncs;
    int (*open)(resmgr_context_t *ctp, io_open_t *msg, RESMGR_HANDLE_T *handle, void *extra);
} resmgr_connect_funcs_t;

typedef struct _resmgr_io_funcs {
    unsigned nfuncs;
    int (*read)(resmgr_context_t *ctp, io_read_t *msg, RESMGR_OCB_T *ocb);
    int (*write)(resmgr_context_t *ctp, io_write_t *msg, RESMGR_OCB_T *ocb);
    int (*close_ocb)(resmgr_context_t *ctp, void *reserved, RESMGR_OCB_T *ocb);
    int (*stat)(resmgr_context_t *ctp, io_stat_t *msg, RESMGR_OCB_T *ocb);
    int (*devctl)(resmgr_context_t *ctp, io_devctl_t *msg, RESMGR_OCB_T *ocb);
    int (*unblock)(resmgr_context_t *ctp, void *pulse, RESMGR_OCB_T *ocb);
    int (*lseek)(resmgr_context_t *ctp, io_lseek_t *msg, RESMGR_OCB_T *ocb);
    int (*msg)(resmgr_context_t *ctp, io_msg_t *msg, RESMGR_OCB_T *ocb);
    int (*sync)(resmgr_context_t *ctp, void *msg, RESMGR_OCB_T *ocb);
} resmgr_io_funcs_t;

/* Flags of resmgr_attach. DIR: the device has what lies below its path too. What else QNX has changes nothing. */
#define _RESMGR_FLAG_BEFORE 0x0001u
#define _RESMGR_FLAG_AFTER 0x0002u
#define _RESMGR_FLAG_OPAQUE 0x0004u
#define _RESMGR_FLAG_DIR 0x0100u
#define _RESMGR_FLAG_SELF 0x0200u

#define _RESMGR_CONNECT_NFUNCS 1
#define _RESMGR_IO_NFUNCS 9

/*
 * Gives `path` to a device: "/dev/counter" (which is the local name "dev/counter"), or "/dev/name/global/NAME". `handle`
 * and the tables must outlive the dispatch_t. A dispatch_t may have any number of them. Returns its id, or -1 with errno as name_attach.
 */
int resmgr_attach(dispatch_t *dpp, const resmgr_attr_t *attr, const char *path, enum _file_type file_type, unsigned flags,
                  const resmgr_connect_funcs_t *connect_funcs, const resmgr_io_funcs_t *io_funcs, RESMGR_HANDLE_T *handle);
/* Takes the name away. Who has it open keeps it so, until dispatch_destroy closes for all. */
int resmgr_detach(dispatch_t *dpp, int id, unsigned flags);

/* Within an open handler: this open has `ocb`, and the handlers of `io_funcs` (NULL: the device's). */
int resmgr_open_bind(resmgr_context_t *ctp, void *ocb, const resmgr_io_funcs_t *io_funcs);

/* As MsgRead and so on, with the message that is being handled. */
ssize_t resmgr_msgread(resmgr_context_t *ctp, void *msg, size_t size, size_t offset);
ssize_t resmgr_msgreadv(resmgr_context_t *ctp, const iov_t *riov, size_t rparts, size_t offset);
ssize_t resmgr_msgwrite(resmgr_context_t *ctp, const void *msg, size_t size, size_t offset);
ssize_t resmgr_msgwritev(resmgr_context_t *ctp, const iov_t *iov, size_t parts, size_t offset);

#ifdef __cplusplus
}
#endif

#endif
