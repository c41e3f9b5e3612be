//! Offloads in software, for drivers whose device has none.
