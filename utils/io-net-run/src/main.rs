//! Runs an unmodified program over io-net's sockets.

fn main() {}
