//! The Network DDK: the safe Rust interface that modules are written against.
