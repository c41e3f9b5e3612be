//! ICMP: echo, errors sent and errors received (RFC 792; RFC 1122, 3.2.2).

use io_net_wire::icmpv4::{self as wire, Header};
use io_net_wire::{ipv4, protocol};

use crate::env::Env;
use crate::error::SocketError;
use crate::ip::input::Inbound;
use crate::ip::output::{IpMeta, Segmentation, send, send_fragments};
use crate::ip::{Net, Path};
use crate::tcp::flow::Flow;
use crate::tcp::icmp::Complaint;
use crate::tcp::seq::Seq;
use crate::time::Instant;

/// Bytes of the offending packet that an error quotes: all that fits 576 (RFC 1812, 4.3.2.3).
const QUOTE_MAX: usize = 576 - ipv4::HEADER_LEN - wire::HEADER_LEN;

/// An error about a packet that this host sent.
pub(crate) struct Report {
    pub(crate) protocol: u8,
    pub(crate) flow: Flow,
    /// Sequence number of a TCP segment.
    pub(crate) seq: Seq,
    pub(crate) complaint: Complaint,
}

/// Takes a message: answers an echo, or returns the error for the transport that it concerns.
pub(crate) fn input<E: Env>(net: &mut Net, env: &mut E, packet: &Inbound<'_>) -> Option<Report> {
    net.stats.icmp_in += 1;
    let Ok(header) = Header::parse(packet.payload) else {
        net.stats.icmp_drop_malformed += 1;
        return None;
    };
    match header.kind {
        wire::ECHO if !packet.broadcast => {
            reply(net, env, packet, &header);
            None
        }
        wire::UNREACHABLE | wire::TIME_EXCEEDED | wire::PARAMETER_PROBLEM => {
            let report = report(&header, packet);
            net.stats.icmp_drop_malformed += u64::from(report.is_none());
            report
        }
        // Redirects are not followed, source quench is dead (RFC 6633).
        _ => {
            net.stats.icmp_drop_type += 1;
            None
        }
    }
}

fn reply<E: Env>(net: &mut Net, env: &mut E, packet: &Inbound<'_>, echo: &Header) {
    let ip = IpMeta {
        source: packet.header.dest,
        dest: packet.header.source,
        protocol: protocol::ICMP,
        ttl: 64,
        tos: packet.header.tos,
    };
    let Some(path) = net.path(ip.dest, None) else {
        net.stats.ip_out_no_route += 1;
        return;
    };
    let answer = Header {
        kind: wire::ECHO_REPLY,
        code: 0,
        rest: echo.rest,
    };
    let body = packet.payload;
    send_message(net, env, &path, &ip, &answer, &body[wire::HEADER_LEN..]);
}

/// Sends a message, in fragments if it must be.
fn send_message<E: Env>(
    net: &mut Net,
    env: &mut E,
    path: &Path,
    ip: &IpMeta,
    header: &Header,
    data: &[u8],
) {
    let len = wire::HEADER_LEN + data.len();
    let fill = |out: &mut [u8]| {
        out[wire::HEADER_LEN..].copy_from_slice(data);
        header.emit(out);
    };
    let sent = if ipv4::HEADER_LEN + len <= usize::from(path.mtu) {
        send(net, env, path, ip, len, Segmentation::default(), fill)
    } else {
        let mut message = vec![0; len];
        fill(&mut message);
        send_fragments(net, env, path, ip, &message)
    };
    net.stats.icmp_out += u64::from(sent);
}

/// Tells the sender of `original`, an IP packet, that it could not be delivered, unless the rules
/// forbid it (RFC 1122, 3.2.2) or too many errors were sent lately.
pub(crate) fn send_unreachable<E: Env>(
    net: &mut Net,
    env: &mut E,
    now: Instant,
    packet: &Inbound<'_>,
    original: &[u8],
    code: u8,
) {
    if packet.broadcast || packet.header.fragment_offset != 0 {
        return;
    }
    let about_error = packet.header.protocol == protocol::ICMP
        && packet
            .payload
            .first()
            .is_none_or(|kind| wire::is_error_type(*kind));
    if about_error {
        return;
    }
    if !net.icmp_limit.allow(now) {
        net.stats.icmp_limited += 1;
        return;
    }
    let ip = IpMeta {
        source: packet.header.dest,
        dest: packet.header.source,
        protocol: protocol::ICMP,
        ttl: 64,
        tos: 0,
    };
    let Some(path) = net.path(ip.dest, None) else {
        net.stats.ip_out_no_route += 1;
        return;
    };
    let header = Header {
        kind: wire::UNREACHABLE,
        code,
        rest: 0,
    };
    let quote = &original[..original.len().min(QUOTE_MAX)];
    send_message(net, env, &path, &ip, &header, quote);
}

/// Reads the packet that an error quotes.
fn report(header: &Header, packet: &Inbound<'_>) -> Option<Report> {
    let quote = &packet.payload[wire::HEADER_LEN..];
    let ip = ipv4::Header::parse_quoted(quote).ok()?;
    let transport = &quote[usize::from(ip.header_len)..];
    // Both transports begin with the ports; RFC 792 promises eight bytes.
    let start: &[u8; 8] = transport.first_chunk()?;
    // Only what we sent ourselves can be complained about.
    if ip.source != packet.header.dest || ip.fragment_offset != 0 {
        return None;
    }
    let flow = Flow {
        local: ip.source.into(),
        remote: ip.dest.into(),
        local_port: u16::from_be_bytes([start[0], start[1]]),
        remote_port: u16::from_be_bytes([start[2], start[3]]),
    };
    Some(Report {
        protocol: ip.protocol,
        flow,
        seq: Seq(u32::from_be_bytes([start[4], start[5], start[6], start[7]])),
        complaint: complaint(header),
    })
}

/// The meaning of types and codes (RFC 1122, 3.2.2.1).
fn complaint(header: &Header) -> Complaint {
    Complaint::Unreachable(match (header.kind, header.code) {
        (wire::UNREACHABLE, wire::CODE_FRAG_NEEDED) => {
            return Complaint::TooLong(header.rest as u16);
        }
        (wire::UNREACHABLE, wire::CODE_PORT) => SocketError::Refused,
        (wire::UNREACHABLE, wire::CODE_PROTOCOL) | (wire::PARAMETER_PROBLEM, _) => {
            SocketError::Protocol
        }
        (wire::UNREACHABLE, wire::CODE_NET | 6 | 9 | 11) => SocketError::NetUnreachable,
        _ => SocketError::HostUnreachable,
    })
}
