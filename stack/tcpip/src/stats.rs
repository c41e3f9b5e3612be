//! Named counters: one for each reason to drop a packet, and some of the traffic.

macro_rules! stats {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// Counters since the stack was made. They only grow.
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct Stats { $($(#[$meta])* pub $name: u64,)* }

        impl Stats {
            /// Each counter with its name, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

stats! {
    /// Packets given to the stack.
    ip_in,
    /// Packets handed to the environment.
    ip_out,
    /// Packets that went through the loopback.
    ip_loopback,
    /// Packets for which the environment had no buffer; retried or dropped by their protocol.
    ip_out_no_buffer,
    /// Packets not sent for want of a route.
    ip_out_no_route,
    /// Dropped: interface unknown or down.
    ip_drop_iface,
    /// Dropped: malformed IP header.
    ip_drop_header,
    /// Dropped: IP header checksum wrong.
    ip_drop_checksum,
    /// Dropped: source address that cannot be (RFC 1122, 3.2.1.3).
    ip_drop_martian,
    /// Dropped: for another host.
    ip_drop_not_ours,
    /// Dropped: no such protocol (answered by ICMP).
    ip_drop_protocol,
    /// Packets of Qnet, which are for another module.
    ip_in_qnet,
    /// Dropped: loopback queue full.
    ip_drop_loopback_full,
    /// Dropped: IPv6 is not spoken yet.
    ip_drop_version,
    /// Fragments received.
    frag_in,
    /// Datagrams put together from fragments.
    frag_reassembled,
    /// Fragments sent.
    frag_out,
    /// Dropped: a fragment that makes no sense.
    frag_drop_malformed,
    /// Dropped: datagrams with overlapping fragments.
    frag_drop_overlap,
    /// Dropped: incomplete datagrams that grew too old.
    frag_drop_timeout,
    /// Dropped: incomplete datagrams that made room for newer.
    frag_drop_memory,
    /// ICMP messages received.
    icmp_in,
    /// ICMP messages sent.
    icmp_out,
    /// Dropped: malformed ICMP message or bad checksum.
    icmp_drop_malformed,
    /// Dropped: ICMP type without use here.
    icmp_drop_type,
    /// Not sent: ICMP errors over the rate limit.
    icmp_limited,
    /// UDP datagrams received.
    udp_in,
    /// UDP datagrams sent.
    udp_out,
    /// Dropped: malformed UDP datagram.
    udp_drop_malformed,
    /// Dropped: UDP checksum wrong.
    udp_drop_checksum,
    /// Dropped: no socket on that port.
    udp_drop_no_socket,
    /// Dropped: the socket's buffer was full.
    udp_drop_full,
    /// TCP segments received (a super-segment counts once).
    tcp_in,
    /// TCP segments sent (a super-segment counts once).
    tcp_out,
    /// Dropped: malformed TCP header or options.
    tcp_drop_malformed,
    /// Dropped: TCP checksum wrong.
    tcp_drop_checksum,
    /// Dropped: no socket; answered by a reset unless it was one.
    tcp_drop_no_socket,
    /// Dropped: sequence number outside the window.
    tcp_drop_window,
    /// Dropped: timestamp older than the last (PAWS, RFC 7323, 5).
    tcp_drop_paws,
    /// Dropped: acknowledgement of something never sent, or far too old (RFC 5961, 5).
    tcp_drop_ack,
    /// Dropped: segment without ACK where one is needed, or otherwise out of place in its state.
    tcp_drop_state,
    /// Dropped: data after the owner closed the socket; answered by a reset.
    tcp_drop_after_close,
    /// Dropped: out-of-order data in more pieces than are kept.
    tcp_drop_assembler,
    /// Dropped: data that the socket's buffer did not take.
    tcp_drop_buffer,
    /// Dropped: SYN to a listener whose accept queue is full.
    tcp_drop_backlog,
    /// Dropped: SYN for want of a socket.
    tcp_drop_limit,
    /// Half-open connections given up to make room for newer.
    tcp_syn_evicted,
    /// Established connections refused by the environment for want of buffers.
    tcp_refused_buffers,
    /// Connections opened by the local side.
    tcp_active_opens,
    /// Connections opened by peers.
    tcp_passive_opens,
    /// Connections that failed or were reset.
    tcp_failed,
    /// Segments sent again.
    tcp_retransmits,
    /// Retransmission timeouts.
    tcp_timeouts,
    /// Fast retransmits.
    tcp_fast_retransmits,
    /// Duplicate acknowledgements received.
    tcp_dup_acks,
    /// Segments received out of order.
    tcp_out_of_order,
    /// Zero-window probes sent.
    tcp_persist_probes,
    /// Keepalive probes sent.
    tcp_keepalive_probes,
    /// Resets sent.
    tcp_resets_out,
    /// Resets received and accepted.
    tcp_resets_in,
    /// Challenge acknowledgements sent.
    tcp_challenge_acks,
    /// Challenge acknowledgements over the rate limit.
    tcp_challenge_limited,
    /// Connections in TIME-WAIT cut short to make room.
    tcp_time_wait_evicted,
    /// Answers of a socket buffer that could not be (a program wrote rubbish).
    buffer_lies,
}
