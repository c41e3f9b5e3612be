//! Driver for shared-memory links between io-net processes.
