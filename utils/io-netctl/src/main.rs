//! Controls a running io-net: mount, umount, graph, stats, nicinfo, log.

fn main() {}
