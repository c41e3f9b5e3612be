//! Learning Ethernet bridge.
