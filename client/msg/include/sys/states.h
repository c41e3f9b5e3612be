/* States of a thread, as QNX numbers them. TimerTimeout's flags are 1 << state. */
#ifndef IO_NET_SYS_STATES_H
#define IO_NET_SYS_STATES_H

/* A sent message waits to be received. */
#define STATE_SEND 4
/* Waits for a message. */
#define STATE_RECEIVE 5
/* Its message was received; waits for the reply. */
#define STATE_REPLY 6
/* The network manager has not taken a pulse or signal yet. */
#define STATE_NET_SEND 19
/* The network manager works for the thread. */
#define STATE_NET_REPLY 20

#endif
