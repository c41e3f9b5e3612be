//! System calls behind safe functions: memory maps, sockets, epoll, TUN/TAP, clocks.

pub mod clock;
pub mod copy;
pub mod cpu;
pub mod epoll;
pub mod eventfd;
pub mod fd;
pub mod fifo;
pub mod futex;
pub mod heap;
pub mod map;
pub mod mount;
pub mod netdev;
pub mod region;
pub mod seqpacket;
pub mod signal;
pub mod signalfd;
pub mod task;
pub mod tun;
pub mod unix;
