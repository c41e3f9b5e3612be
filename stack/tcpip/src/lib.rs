//! The TCP/IP stack, sans-IO: no clock, socket, thread or unsafe.
