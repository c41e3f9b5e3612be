//! The sockets API over io-net, for programs that link it.
