//! Packet capture to pcapng.
