//! System calls behind safe functions: memory maps, sockets, epoll, TUN/TAP, clocks.
