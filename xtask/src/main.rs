//! The project's chores: stage, demo, test, check, bench, new-module.

fn main() {}
