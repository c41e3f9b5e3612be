/* The device that file.c uses: 4 KiB of memory that begins with zeros, and commands. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdint.h>

#include <devctl.h>

#define DEVICE "/dev/c/memory"
#define DEVICE_SIZE 4096

#define MEMORY_CLEAR __DION(_DCMD_MISC, 1)
/* How many have it open; returns the same. */
#define MEMORY_OPENS __DIOF(_DCMD_MISC, 2, int32_t)
/* Fills it with a byte. */
#define MEMORY_FILL __DIOT(_DCMD_MISC, 3, uint8_t)
/* Doubles the number. */
#define MEMORY_DOUBLE __DIOTF(_DCMD_MISC, 4, int32_t)
/* No answer, until the client gives up. Only device.c has it. */
#define MEMORY_HANG __DION(_DCMD_MISC, 5)

/* Another name of device.c's channel, for messages of its own. */
#define DEVICE_OTHER "c/other"
/* Asks for the code of the pulse that ends it. */
#define DEVICE_PULSE (_IO_MAX + 4)

#endif
