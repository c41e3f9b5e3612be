/*
 * Files by message: open, read, write, seek, stat and devctl of what a resource manager serves.
 *
 * On QNX these are open(), read() and so on. Here those are the kernel's, so that the calls have names of their own, and
 * the descriptor is a connection: MsgSend works on it too. A path names a manager on this node ("/dev/counter",
 * "/dev/name/local/counter", or just "counter") or on another ("/net/lab2/dev/counter").
 *
 * On failure -1, and errno is set; msg_devctl returns the error number itself, as devctl() does.
 */
#ifndef IO_NET_SYS_MSGIO_H
#define IO_NET_SYS_MSGIO_H

#include <dirent.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `oflag` as for open(); `mode` matters with O_CREAT only. */
int msg_open(const char *path, int oflag, mode_t mode);
int msg_close(int fd);
ssize_t msg_read(int fd, void *buf, size_t nbytes);
ssize_t msg_write(int fd, const void *buf, size_t nbytes);
ssize_t msg_pread(int fd, void *buf, size_t nbytes, off_t offset);
ssize_t msg_pwrite(int fd, const void *buf, size_t nbytes, off_t offset);
off_t msg_lseek(int fd, off_t offset, int whence);
int msg_fstat(int fd, struct stat *st);
/* The next entry of a directory: 1, 0 at its end, or -1 with errno: ENOTDIR. msg_lseek to 0 begins anew. */
int msg_readdir(int fd, struct dirent *entry);
/* EOK or the error. `info`, unless NULL, gets what the manager returned. */
int msg_devctl(int fd, int dcmd, void *data, size_t nbytes, int *info);

#ifdef __cplusplus
}
#endif

#endif
