//! QNX's calls for C: what `include/sys/*.h` declares.
//!
//! | file | header | calls |
//! | --- | --- | --- |
//! | [`channel`] | `sys/neutrino.h` | channels, connections, who is at their ends |
//! | [`send`] | `sys/neutrino.h` | MsgSend in its forms, pulses |
//! | [`receive`] | `sys/neutrino.h` | MsgReceive, MsgReply, MsgRead, MsgWrite and theirs |
//! | [`event`] | `sys/neutrino.h` | events and timeouts |
//! | [`signal`] | `sys/neutrino.h` | SignalKill |
//! | [`dispatch`], [`pool`] | `sys/dispatch.h` | a server's loop, and threads that go round in it |
//! | [`resmgr`], [`iofunc`] | `sys/resmgr.h`, `sys/iofunc.h` | resource managers |
//! | [`name`] | `sys/dispatch.h` | name_attach, name_open |
//! | [`netmgr`] | `sys/netmgr.h` | node descriptors |
//! | [`msgio`] | `sys/msgio.h` | files by message, the client's side |
//! | `convert` | | C's types to ours and back, errno |
//!
//! Each call translates its arguments, calls the function of [`crate::handle`] that has its name,
//! and translates the result. A pointer that C gives is believed, as everywhere in C; a null one
//! with a length is EFAULT.

#[macro_use]
mod convert;
mod channel;
mod dispatch;
mod event;
mod iofunc;
mod msgio;
mod name;
mod netmgr;
mod pool;
mod receive;
mod resmgr;
mod send;
mod signal;
