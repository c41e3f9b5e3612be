//! Linux's numbers of errors, as the messages carry them.

use io_net_msg::Error;

/// Not yours to do.
pub const PERM: Error = Error(1);
/// Nothing there.
pub const NOENT: Error = Error(2);
/// No such process.
pub const SRCH: Error = Error(3);
/// Broken, or not what was agreed on.
pub const IO: Error = Error(5);
/// No such handle.
pub const BADF: Error = Error(9);
/// Not now.
pub const AGAIN: Error = Error(11);
/// No right to.
pub const ACCES: Error = Error(13);
/// It is there already.
pub const EXIST: Error = Error(17);
/// Two file systems, or two nodes.
pub const XDEV: Error = Error(18);
/// A directory is needed.
pub const NOTDIR: Error = Error(20);
/// A directory is none of it.
pub const ISDIR: Error = Error(21);
/// It makes no sense.
pub const INVAL: Error = Error(22);
/// Too many open files.
pub const MFILE: Error = Error(24);
/// Served for reading only.
pub const ROFS: Error = Error(30);
/// A name too long.
pub const NAMETOOLONG: Error = Error(36);
/// No such request.
pub const NOSYS: Error = Error(38);
/// A message too long.
pub const MSGSIZE: Error = Error(90);
/// Not served.
pub const OPNOTSUPP: Error = Error(95);
/// The other side has gone in the middle of it.
pub const CONNRESET: Error = Error(104);
/// The other side took too long.
pub const TIMEDOUT: Error = Error(110);
/// What was known of it holds no more.
pub const STALE: Error = Error(116);
