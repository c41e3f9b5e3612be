//! Programs that the benchmarks run: ping-pong clients and servers.
