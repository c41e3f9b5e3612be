//! Converter between IP and Ethernet: ARP.
