//! Driver for memif links.
