/* Numbers of device commands: what is called, with how much data, which way. */
#ifndef IO_NET_DEVCTL_H
#define IO_NET_DEVCTL_H

#define _POSIX_DEVDIR_NONE 0u
#define _POSIX_DEVDIR_TO 0x80000000u
#define _POSIX_DEVDIR_FROM 0x40000000u
#define _POSIX_DEVDIR_TOFROM (_POSIX_DEVDIR_TO | _POSIX_DEVDIR_FROM)

#define __DION(class, cmd) ((int) (((class) << 8) + (cmd) + _POSIX_DEVDIR_NONE))
#define __DIOF(class, cmd, data) ((int) (((sizeof(data) & 0x3fffu) << 16) + ((class) << 8) + (cmd) + _POSIX_DEVDIR_FROM))
#define __DIOT(class, cmd, data) ((int) (((sizeof(data) & 0x3fffu) << 16) + ((class) << 8) + (cmd) + _POSIX_DEVDIR_TO))
#define __DIOTF(class, cmd, data) \
    ((int) (((sizeof(data) & 0x3fffu) << 16) + ((class) << 8) + (cmd) + _POSIX_DEVDIR_TOFROM))

#define get_device_direction(dcmd) ((unsigned) (dcmd) & _POSIX_DEVDIR_TOFROM)

/* Classes; the numbers of a manager's own begin with MISC. */
#define _DCMD_ALL 0x01
#define _DCMD_NET 0x0c
#define _DCMD_MISC 0x05

#endif
