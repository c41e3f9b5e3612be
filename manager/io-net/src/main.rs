//! The network manager: loads modules and moves packets between them.

fn main() {}
