//! The smallest module that passes conformance: a filter that counts packets.
