/* Node descriptors: small numbers that stand for nodes, valid on this node and for a while only. Do not keep them. */
#ifndef IO_NET_SYS_NETMGR_H
#define IO_NET_SYS_NETMGR_H

#include <stddef.h>
#include <stdint.h>

#include <sys/neutrino.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What netmgr_ndtostr shows; SHOW of a thing wins over HIDE. With neither, it is shown where it says something. */
#define ND2S_DIR_SHOW 0x0001u
#define ND2S_DIR_HIDE 0x0002u
#define ND2S_QOS_SHOW 0x0004u
#define ND2S_QOS_HIDE 0x0008u
#define ND2S_NAME_SHOW 0x0010u
#define ND2S_NAME_HIDE 0x0020u
#define ND2S_DOMAIN_SHOW 0x0040u
#define ND2S_DOMAIN_HIDE 0x0080u
#define ND2S_LOCAL_STR 0x1000u
#define ND2S_SEP_FORCE 0x2000u

/* The node that `name` means: "lab2", "/net/lab2.example.com", "lab2~exclusive:en0". `*endstr` is set behind it.
 * -1 with errno: ENOTSUP where no Qnet runs, ENOENT or EINVAL for a name that is none. */
int netmgr_strtond(const char *name, char **endstr);

/* The name of node `nd`, at most `maxbuf` bytes with its NUL. Returns the bytes that the whole name needs, or -1 with
 * errno: ENOTSUP, ESRCH. */
int netmgr_ndtostr(unsigned flags, unsigned nd, char *buf, size_t maxbuf);

/* How node `remote_nd` calls the node that is `local_nd` here. -1 with errno: ENOTSUP, ESRCH. */
int netmgr_remote_nd(unsigned remote_nd, unsigned local_nd);

#ifdef __cplusplus
}
#endif

#endif
