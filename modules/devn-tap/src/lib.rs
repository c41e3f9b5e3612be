//! Driver for Linux TAP devices.
