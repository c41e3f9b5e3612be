//! End-to-end tests: real manager, real programs, real namespaces.
