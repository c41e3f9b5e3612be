/*
 * What resource managers have in common: a device's attributes, an open with its offset, and handlers that do what is
 * usual. A manager with these alone behaves like /dev/null.
 *
 * For an open with more in it, define IOFUNC_OCB_T before the first include as a structure that begins with an
 * iofunc_ocb_t, and give the device's mount functions that make and free it. For a device with more in it, define
 * IOFUNC_ATTR_T as a structure that begins with an iofunc_attr_t.
 */
#ifndef IO_NET_SYS_IOFUNC_H
#define IO_NET_SYS_IOFUNC_H

#ifndef IOFUNC_ATTR_T
#define IOFUNC_ATTR_T struct _iofunc_attr
#endif
#ifndef IOFUNC_OCB_T
#define IOFUNC_OCB_T struct _iofunc_ocb
#endif
#ifndef RESMGR_HANDLE_T
#define RESMGR_HANDLE_T IOFUNC_ATTR_T
#endif
#ifndef RESMGR_OCB_T
#define RESMGR_OCB_T IOFUNC_OCB_T
#endif

#include <sys/types.h>
#include <time.h>

IOFUNC_ATTR_T;
IOFUNC_OCB_T;

#include <sys/resmgr.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A device's node is a name, and nothing that the kernel knows: QNX's type for it. */
#ifndef S_IFNAM
#define S_IFNAM S_IFCHR
#endif

typedef struct _iofunc_funcs {
    unsigned nfuncs;
    IOFUNC_OCB_T *(*ocb_calloc)(resmgr_context_t *ctp, IOFUNC_ATTR_T *attr);
    void (*ocb_free)(IOFUNC_OCB_T *ocb);
} iofunc_funcs_t;

#define _IOFUNC_NFUNCS 2

typedef struct _iofunc_mount {
    uint32_t flags;
    const iofunc_funcs_t *funcs;
} iofunc_mount_t;

/* Times that are to be set to now, when somebody asks for them. */
#define IOFUNC_ATTR_ATIME 0x1u
#define IOFUNC_ATTR_MTIME 0x2u
#define IOFUNC_ATTR_CTIME 0x4u
#define IOFUNC_ATTR_DIRTY_TIME 0x8u

typedef struct _iofunc_attr {
    iofunc_mount_t *mount; /* NULL: plain opens */
    uint32_t flags;        /* IOFUNC_ATTR_* */
    uint32_t count;        /* opens */
    uint32_t rcount;       /* of them for reading */
    uint32_t wcount;       /* of them for writing */
    uint64_t inode;
    uint64_t rdev;
    int64_t nbytes;
    int64_t mtime;
    int64_t atime;
    int64_t ctime;
    uint32_t mode;
    uint32_t nlink;
    uid_t uid;
    gid_t gid;
} iofunc_attr_t;

typedef struct _iofunc_ocb {
    IOFUNC_ATTR_T *attr;
    uint32_t ioflag; /* _IO_FLAG_* | O_* */
    uint32_t flags;
    int64_t offset;
} iofunc_ocb_t;

/* Fills tables with the handlers below. */
void iofunc_func_init(unsigned nconnect, resmgr_connect_funcs_t *connect_funcs, unsigned nio, resmgr_io_funcs_t *io_funcs);
/* `dattr` is reserved, `info` the owner: NULL is root. */
void iofunc_attr_init(iofunc_attr_t *attr, mode_t mode, iofunc_attr_t *dattr, struct _client_info *info);
/* Sets the times whose flags are set. */
int iofunc_time_update(iofunc_attr_t *attr);

/* Whether the client may open it as it asks: EOK or EACCES. */
int iofunc_open(resmgr_context_t *ctp, io_open_t *msg, iofunc_attr_t *attr, iofunc_attr_t *dattr, struct _client_info *info);
/* As iofunc_open, and the open is made and bound. ENOENT for what lies below the device's path. */
int iofunc_open_default(resmgr_context_t *ctp, io_open_t *msg, IOFUNC_ATTR_T *attr, void *extra);
/* Whether it was opened for that: EOK or EBADF. `*nonblock`, unless NULL, is whether it must not wait. */
int iofunc_read_verify(resmgr_context_t *ctp, io_read_t *msg, iofunc_ocb_t *ocb, int *nonblock);
int iofunc_write_verify(resmgr_context_t *ctp, io_write_t *msg, iofunc_ocb_t *ocb, int *nonblock);
int iofunc_read_default(resmgr_context_t *ctp, io_read_t *msg, IOFUNC_OCB_T *ocb);
int iofunc_write_default(resmgr_context_t *ctp, io_write_t *msg, IOFUNC_OCB_T *ocb);
int iofunc_close_ocb_default(resmgr_context_t *ctp, void *reserved, IOFUNC_OCB_T *ocb);
int iofunc_stat_default(resmgr_context_t *ctp, io_stat_t *msg, IOFUNC_OCB_T *ocb);
int iofunc_lseek_default(resmgr_context_t *ctp, io_lseek_t *msg, IOFUNC_OCB_T *ocb);
/* Puts an entry of a directory at `buffer`: the bytes that it takes there, 0 where `room` has not so many or `name` cannot be
 * one. `next` is the directory's offset behind it. */
size_t iofunc_dirent(void *buffer, size_t room, uint64_t ino, uint64_t next, const char *name);
/* _RESMGR_DEFAULT: none of the commands that all devices have. */
int iofunc_devctl_default(resmgr_context_t *ctp, io_devctl_t *msg, IOFUNC_OCB_T *ocb);
int iofunc_unblock_default(resmgr_context_t *ctp, void *pulse, IOFUNC_OCB_T *ocb);
int iofunc_sync_default(resmgr_context_t *ctp, void *msg, IOFUNC_OCB_T *ocb);

#ifdef __cplusplus
}
#endif

#endif
