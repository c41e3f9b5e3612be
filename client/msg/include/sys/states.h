/* States of a thread, as QNX numbers them. TimerTimeout's flags are 1 << state. */
#ifndef IO_NET_SYS_STATES_H
#define IO_NET_SYS_STATES_H

#define STATE_DEAD 0
#define STATE_RUNNING 1
#define STATE_READY 2
#define STATE_STOPPED 3
/* A sent message waits to be received. */
#define STATE_SEND 4
/* Waits for a message. */
#define STATE_RECEIVE 5
/* Its message was received; waits for the reply. */
#define STATE_REPLY 6
#define STATE_STACK 7
#define STATE_WAITTHREAD 8
#define STATE_WAITPAGE 9
#define STATE_SIGSUSPEND 10
#define STATE_SIGWAITINFO 11
#define STATE_NANOSLEEP 12
#define STATE_MUTEX 13
#define STATE_CONDVAR 14
#define STATE_JOIN 15
#define STATE_INTR 16
#define STATE_SEM 17
#define STATE_WAITCTX 18
/* The network manager has not taken a pulse or signal yet. */
#define STATE_NET_SEND 19
/* The network manager works for the thread. */
#define STATE_NET_REPLY 20
#define STATE_MAX 24

#endif
