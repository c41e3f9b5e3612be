//! QNX message passing on Linux: Send, Receive, Reply.
