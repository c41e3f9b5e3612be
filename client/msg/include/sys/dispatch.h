/* Names for channels: a server attaches one, clients open it. */
#ifndef IO_NET_SYS_DISPATCH_H
#define IO_NET_SYS_DISPATCH_H

#include <sys/neutrino.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _dispatch dispatch_t;

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
