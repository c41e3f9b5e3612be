/*
 * Messages by which files are opened, read and written: what a resource manager receives.
 *
 * Each begins with its type. Numbers are in the byte order of the machine. The status of the reply is EOK, an error, or
 * (read, write) a number of bytes.
 */
#ifndef IO_NET_SYS_IOMSG_H
#define IO_NET_SYS_IOMSG_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define _IO_BASE 0x100
#define _IO_MAX 0x1ff

#define _IO_CONNECT 0x100
#define _IO_READ 0x101
#define _IO_WRITE 0x102
#define _IO_STAT 0x104
#define _IO_NOTIFY 0x105
#define _IO_DEVCTL 0x106
#define _IO_LSEEK 0x109
#define _IO_MSG 0x113
#define _IO_DUP 0x115
#define _IO_CLOSE 0x116
#define _IO_SYNC 0x119

/* ---- _IO_CONNECT ---- */

#define _IO_CONNECT_OPEN 2

/* Bits of ioflag, apart from the C library's O_* of the same open. */
#define _IO_FLAG_RD 0x1u
#define _IO_FLAG_WR 0x2u

struct _io_connect {
    uint16_t type;
    uint16_t subtype; /* _IO_CONNECT_* */
    uint32_t file_type;
    uint16_t reply_max;
    uint16_t entry_max;
    uint32_t key;
    uint32_t handle;
    uint32_t ioflag; /* _IO_FLAG_* | O_* without the access mode */
    uint32_t mode;   /* of a file that is made */
    uint16_t sflag;
    uint16_t access;
    uint16_t zero;
    uint16_t path_len; /* bytes of path, its NUL included */
    uint8_t eflag;
    uint8_t extra_type;
    uint16_t extra_len;
    char path[1];      /* "local/NAME" or "global/NAME"; a handler sees what follows its device's name */
};

typedef union {
    struct _io_connect connect;
} io_open_t;

/* ---- _IO_READ, _IO_WRITE ---- */

#define _IO_XTYPE_NONE 0u
#define _IO_XTYPE_OFFSET 5u
/* A directory's entries, as many _io_dirent as fit whole. */
#define _IO_XTYPE_READDIR 9u
#define _IO_XTYPE_MASK 0xffu

struct _io_read {
    uint16_t type;
    uint16_t combine_len;
    int32_t nbytes;
    uint32_t xtype;
    uint32_t zero;
};

typedef union {
    struct _io_read i;
} io_read_t;

/* The bytes follow. A long write arrives in part: compare msglen with srcmsglen, and read the rest. */
struct _io_write {
    uint16_t type;
    uint16_t combine_len;
    int32_t nbytes;
    uint32_t xtype;
    uint32_t zero;
};

typedef union {
    struct _io_write i;
} io_write_t;

/* Follows the header of a read or write of xtype _IO_XTYPE_OFFSET. */
struct _xtype_offset {
    int64_t offset;
};

/* An entry of a directory. The directory's offset counts what its manager likes: bytes, entries. */
struct _io_dirent {
    uint64_t d_ino;    /* not 0 */
    uint64_t d_offset; /* where the next entry is */
    uint16_t d_reclen; /* bytes of this one, a multiple of 8 */
    uint16_t d_namelen;
    uint32_t zero;
    char d_name[1];    /* and a NUL */
};

/* ---- _IO_LSEEK: answered by the new offset as a uint64_t ---- */

struct _io_lseek {
    uint16_t type;
    uint16_t combine_len;
    int16_t whence; /* SEEK_SET, SEEK_CUR, SEEK_END */
    uint16_t zero;
    int64_t offset;
};

typedef union {
    struct _io_lseek i;
    uint64_t o;
} io_lseek_t;

/* ---- _IO_STAT: answered by a _io_stat_reply, which is the same on every machine ---- */

struct _io_stat {
    uint16_t type;
    uint16_t combine_len;
    uint32_t zero;
};

struct _io_stat_reply {
    uint64_t ino;
    uint64_t size;   /* bytes */
    uint64_t rdev;
    int64_t atime;   /* seconds since 1970 */
    int64_t mtime;
    int64_t ctime;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
};

typedef union {
    struct _io_stat i;
    struct _io_stat_reply o;
} io_stat_t;

/* ---- _IO_DEVCTL: data follows the header, both ways ---- */

struct _io_devctl {
    uint16_t type;
    uint16_t combine_len;
    int32_t dcmd;
    int32_t nbytes;
    int32_t zero;
};

struct _io_devctl_reply {
    uint32_t zero;
    int32_t ret_val;
    int32_t nbytes;
    int32_t zero2;
};

typedef union {
    struct _io_devctl i;
    struct _io_devctl_reply o;
} io_devctl_t;

/* Where the data of a devctl lies in its message. */
#define _DEVCTL_DATA(msg) ((void *) ((char *) &(msg) + sizeof(msg)))

/* ---- _IO_CLOSE, _IO_SYNC ---- */

struct _io_close {
    uint16_t type;
    uint16_t combine_len;
    uint32_t zero;
};

typedef union {
    struct _io_close i;
} io_close_t;

/* ---- _IO_MSG: anything else, by manager ---- */

#define _IOMGR_NETMGR 0x0e
#define _IOMGR_PRIVATE_BASE 0xf000
#define _IOMGR_PRIVATE_MAX 0xffff

struct _io_msg {
    uint16_t type;
    uint16_t combine_len;
    uint16_t mgrid;
    uint16_t subtype;
};

typedef union {
    struct _io_msg i;
} io_msg_t;

#endif
