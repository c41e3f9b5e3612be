//! The binary interface between io-net and its modules: repr(C) types only.
