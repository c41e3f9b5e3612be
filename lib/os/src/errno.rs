//! Numbers of errors, for what passes them on between processes.

pub use libc::{EAGAIN, EFAULT, ENOMEM, EPERM, EPROTO};
