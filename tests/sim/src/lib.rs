//! Deterministic simulation of hosts running the stack.
