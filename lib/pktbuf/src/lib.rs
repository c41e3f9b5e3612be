//! The packet pool, and owned and shared packets from it.
