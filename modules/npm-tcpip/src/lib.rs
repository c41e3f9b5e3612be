//! The TCP/IP protocol module: sockets for programs over the stack.
