//! System calls behind safe functions: memory maps, sockets, epoll, TUN/TAP, clocks.

pub mod clock;
pub mod copy;
pub mod cpu;
pub mod epoll;
pub mod eventfd;
pub mod fd;
pub mod fifo;
pub mod fork;
pub mod futex;
pub mod futex_any;
pub mod heap;
pub mod map;
pub mod mount;
pub mod netdev;
pub mod peer;
pub mod region;
pub mod sched;
pub mod seqpacket;
pub mod signal;
pub mod signalfd;
pub mod sigqueue;
pub mod task;
pub mod tun;
pub mod unix;
