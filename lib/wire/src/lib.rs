//! Wire formats of the hot path: Ethernet, ARP, IPv4, ICMP, UDP, TCP, and checksums.
