//! Packet scripts: one stack, and a test that plays its peer segment by segment.
//!
//! Sequence numbers in a script are relative: 0 is the SYN of whoever sends. The stack has address
//! 10.0.0.1, the script 10.0.0.2.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use io_net_sim::host::Host;
use io_net_sim::segment::{assert_valid, to_wire, transport_checksum};
use io_net_tcpip::{Config, IfaceConfig, Instant, Ready, RxChecksum, RxMeta, SocketId, State};
use io_net_wire::tcp::{self, Options, Timestamp};
use io_net_wire::{ipv4, protocol};

pub use io_net_wire::tcp::{ACK, FIN, PSH, RST, SYN, URG};

/// The stack's address.
pub const STACK: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The script's address.
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The script's initial sequence number: near the wrap, as all should work there.
const PEER_ISN: u32 = 0xffff_ff00;

/// A segment with relative numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Flags.
    pub flags: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Window as in the header.
    pub window: u16,
    /// Options.
    pub options: Options,
    /// Payload.
    pub data: Vec<u8>,
    /// Wire segment size, when it stands for several.
    pub gso_size: u16,
}

/// A segment of the script, with a window of 64 KiB and no options.
pub fn segment(flags: u8, seq: u32, ack: u32, data: &[u8]) -> Segment {
    Segment {
        flags,
        seq,
        ack,
        window: 65_535,
        options: Options::default(),
        data: data.to_vec(),
        gso_size: 0,
    }
}

impl Segment {
    /// With another window.
    pub fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    /// With an MSS option.
    pub fn mss(mut self, mss: u16) -> Self {
        self.options.mss = Some(mss);
        self
    }

    /// With timestamps.
    pub fn stamp(mut self, value: u32, echo: u32) -> Self {
        self.options.timestamp = Some(Timestamp { value, echo });
        self
    }
}

/// A script's state.
pub struct Script {
    /// The stack under test.
    pub host: Host,
    /// The time.
    pub now: Instant,
    /// The stack's port.
    pub port: u16,
    /// The script's port.
    pub peer_port: u16,
    stack_isn: u32,
    arrived: VecDeque<Segment>,
}

impl Script {
    /// A stack with the given limits and an interface of MTU 1500 without offloads.
    pub fn new(config: Config) -> Self {
        Script::with_iface(config, IfaceConfig::default())
    }

    /// A stack with the given limits and interface.
    pub fn with_iface(config: Config, iface: IfaceConfig) -> Self {
        Script {
            host: Host::with_address(config, 7, STACK.octets(), iface),
            now: Instant::from_millis(100_000),
            port: 80,
            peer_port: 4000,
            stack_isn: 0,
            arrived: VecDeque::new(),
        }
    }

    /// The script's address and port.
    pub fn peer(&self) -> SocketAddr {
        SocketAddr::new(PEER.into(), self.peer_port)
    }

    /// Listens on port 80 of the stack.
    pub fn listen(&mut self, backlog: usize) -> SocketId {
        let addr = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port);
        self.host.listen(addr, backlog)
    }

    /// A server's connection, established without options but MSS 1000.
    pub fn accepted(&mut self) -> SocketId {
        let listener = self.listen(8);
        self.inject(segment(SYN, 0, 0, b"").mss(1000));
        self.expect_flags(SYN | ACK);
        self.inject(segment(ACK, 1, 1, b""));
        self.expect_nothing();
        let accepted = self.host.stack.tcp_accept(listener).expect("a connection");
        assert_eq!(accepted.peer, self.peer());
        accepted.socket
    }

    /// A client's connection, established likewise.
    pub fn connected(&mut self) -> SocketId {
        let peer = self.peer();
        let id = self.host.connect(self.now, peer, 65_536).expect("a route");
        self.flush();
        let syn = self.expect_flags(SYN);
        assert_eq!((syn.seq, syn.options.mss), (0, Some(1460)));
        self.inject(segment(SYN | ACK, 0, 1, b"").mss(1000));
        let ack = self.expect_flags(ACK);
        assert_eq!((ack.seq, ack.ack), (1, 1));
        assert!(self.host.happened(id).ready.contains(Ready::CONNECTED));
        id
    }

    /// Sends a segment to the stack.
    pub fn inject(&mut self, segment: Segment) {
        let mut packet = self.packet(&segment);
        let sum = transport_checksum(&packet);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        let meta = RxMeta {
            checksum: RxChecksum::Unknown,
            gso_type: if segment.gso_size == 0 { 0 } else { 1 },
            gso_size: segment.gso_size,
        };
        self.host.receive(self.now, &packet, meta);
    }

    /// The bytes of a segment, without TCP checksum.
    fn packet(&self, segment: &Segment) -> Vec<u8> {
        let header = tcp::Header {
            source: self.peer_port,
            dest: self.port,
            seq: PEER_ISN.wrapping_add(segment.seq),
            ack: match segment.flags & ACK {
                0 => 0,
                _ => self.stack_isn.wrapping_add(segment.ack),
            },
            flags: segment.flags,
            window: segment.window,
            urgent: if segment.flags & URG != 0 { 0xffff } else { 0 },
        };
        let header_len = tcp::HEADER_LEN + segment.options.len();
        let mut packet = vec![0; ipv4::HEADER_LEN + header_len];
        ip_header(protocol::TCP, header_len + segment.data.len()).emit(&mut packet);
        header.emit(&segment.options, &mut packet[ipv4::HEADER_LEN..]);
        packet.extend(&segment.data);
        packet
    }

    /// The stack's sequence number for a relative one.
    pub fn stack_number(&self, relative: u32) -> u32 {
        self.stack_isn.wrapping_add(relative)
    }

    fn flush(&mut self) {
        self.host.stack.flush(self.now, &mut self.host.env);
    }

    fn collect(&mut self) {
        self.flush();
        while let Some(sent) = self.host.env.outbox.pop_front() {
            for packet in to_wire(&sent) {
                assert_valid(&packet);
                self.take(&packet);
            }
        }
    }

    fn take(&mut self, packet: &[u8]) {
        let ip = ipv4::Header::parse(packet).expect("checked");
        if ip.protocol != protocol::TCP {
            return;
        }
        let body = &packet[usize::from(ip.header_len)..];
        let (header, options, header_len) = tcp::Header::parse(body).expect("checked");
        assert_eq!((ip.source, ip.dest), (STACK, PEER));
        if header.flags & SYN != 0 {
            self.stack_isn = header.seq;
            self.port = header.source;
        }
        let ack = match header.flags & ACK {
            0 => 0,
            _ => header.ack.wrapping_sub(PEER_ISN),
        };
        self.arrived.push_back(Segment {
            flags: header.flags,
            seq: header.seq.wrapping_sub(self.stack_isn),
            ack,
            window: header.window,
            options,
            data: body[header_len..].to_vec(),
            gso_size: 0,
        });
    }

    /// The next segment of the stack.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn expect(&mut self) -> Segment {
        self.take_next().expect("a segment from the stack")
    }

    /// The next segment of the stack, if there is one.
    pub fn take_next(&mut self) -> Option<Segment> {
        self.collect();
        self.arrived.pop_front()
    }

    /// The next segment of the stack, with these flags (PSH does not matter).
    #[track_caller]
    pub fn expect_flags(&mut self, flags: u8) -> Segment {
        let segment = self.expect();
        assert_eq!(segment.flags & !PSH, flags, "{segment:?}");
        segment
    }

    /// The next segment is a pure acknowledgement of `ack`.
    #[track_caller]
    pub fn expect_ack(&mut self, ack: u32) -> Segment {
        let segment = self.expect_flags(ACK);
        assert_eq!((segment.ack, segment.data.len()), (ack, 0), "{segment:?}");
        segment
    }

    /// The next segment carries data from `seq` on, that long.
    #[track_caller]
    pub fn expect_data(&mut self, seq: u32, len: usize) -> Segment {
        let segment = self.expect();
        assert_eq!(
            (segment.seq, segment.data.len()),
            (seq, len),
            "flags {}",
            segment.flags
        );
        segment
    }

    /// The stack sends nothing.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        assert_eq!(self.take_next(), None);
    }

    /// Lets time pass, timers firing when they should.
    pub fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.host.stack.poll_at().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.host.poll(self.now);
        }
        self.now = end;
        self.host.poll(end);
    }

    /// Lets milliseconds pass.
    pub fn advance_ms(&mut self, millis: u64) {
        self.advance(Duration::from_millis(millis));
    }

    /// The program writes.
    pub fn write(&mut self, id: SocketId, data: &[u8]) {
        assert_eq!(self.host.write(self.now, id, data), data.len());
    }

    /// The program closes.
    pub fn close(&mut self, id: SocketId) {
        self.host.stack.close(self.now, id).expect("an open socket");
        self.flush();
    }

    /// The program ends its stream.
    pub fn shutdown(&mut self, id: SocketId) {
        self.host
            .stack
            .tcp_shutdown_send(self.now, id)
            .expect("a connection");
        self.flush();
    }

    /// A socket's state, [`State::Closed`] when it is gone.
    pub fn state(&mut self, id: SocketId) -> State {
        self.host
            .stack
            .tcp_info(id)
            .map_or(State::Closed, |info| info.state)
    }
}

/// The IP header of a packet from the script.
pub fn ip_header(protocol: u8, payload: usize) -> ipv4::Header {
    ipv4::Header {
        header_len: ipv4::HEADER_LEN as u8,
        tos: 0,
        total_len: (ipv4::HEADER_LEN + payload) as u16,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        source: PEER,
        dest: STACK,
    }
}
