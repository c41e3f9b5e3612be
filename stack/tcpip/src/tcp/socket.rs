//! A TCP socket: the transmission control block of RFC 9293, 3.3.1, and what its owner set.

use std::collections::VecDeque;

use super::State;
use super::assembler::Assembler;
use super::congestion::{Congestion, NewReno};
use super::flow::Flow;
use super::rtt::Rtt;
use super::seq::Seq;
use crate::config::{Config, SocketOptions};
use crate::env::{Env, RecvBuf, SendBuf};
use crate::error::SocketError;
use crate::event::{Events, Ready};
use crate::id::SocketId;
use crate::ip::{Net, Path};
use crate::time::Instant;

/// Segments acknowledged at once when a connection is young.
pub(crate) const QUICK_ACKS: u8 = 8;
/// The segment size to assume when the peer names none (RFC 9293, 3.7.1).
pub(crate) const MSS_DEFAULT: usize = 536;
/// Smallest segment size that a peer can make us use: less is an attack on our work per byte.
pub(crate) const MSS_MIN: usize = 64;

/// What a socket's functions need besides it.
pub(crate) struct Ctx<'a> {
    pub(crate) now: Instant,
    pub(crate) net: &'a mut Net,
    pub(crate) events: &'a mut Events,
}

/// Who holds a socket's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// A program.
    Program,
    /// Its listener, until it is accepted.
    Listener,
    /// Nobody: it ends by itself.
    Nobody,
}

/// The sending half.
pub(crate) struct Sender {
    /// Initial sequence number: that of our SYN.
    pub(crate) iss: Seq,
    /// Oldest unacknowledged.
    pub(crate) una: Seq,
    /// Next to send; goes back to `una` after a timeout.
    pub(crate) nxt: Seq,
    /// Next never yet sent.
    pub(crate) max: Seq,
    /// The peer's window in bytes, and the segment it came with.
    pub(crate) wnd: usize,
    pub(crate) wl1: Seq,
    pub(crate) wl2: Seq,
    /// The largest window that the peer offered.
    pub(crate) wnd_max: usize,
    /// The peer's window scale.
    pub(crate) shift: u8,
    /// The peer's MSS option.
    pub(crate) peer_mss: usize,
    /// Payload of a full segment now, after options and path MTU.
    pub(crate) mss: usize,
    /// Upper bound of the path's packets learnt by ICMP, 0 for none.
    pub(crate) path_mtu: u16,
    /// Sequence number of our FIN, once the owner has shut.
    pub(crate) fin: Option<Seq>,
    /// End of the last segment that was less than full: Nagle waits for its acknowledgement.
    pub(crate) small_end: Seq,
    pub(crate) dup_acks: u32,
    /// Fast recovery lasts until this is acknowledged (RFC 6582).
    pub(crate) recover: Seq,
    pub(crate) recovering: bool,
    /// One segment at `una` is to be sent again at once.
    pub(crate) resend_first: bool,
    /// What is less than a full segment goes now: the window or the program held it long enough.
    pub(crate) force_small: bool,
    /// Timeouts, or window probes, since something was last acknowledged.
    pub(crate) retries: u32,
    /// When the oldest unacknowledged byte was first outstanding, for the user timeout.
    pub(crate) stalled_since: Instant,
    /// The segment being timed and when it was sent (Karn: cleared by any retransmission).
    pub(crate) timed: Option<(Seq, Instant)>,
    /// Our timestamp clock at the last timeout, until a round trip has been measured since.
    pub(crate) timeout_stamp: Option<u32>,
    pub(crate) last_sent: Instant,
    pub(crate) retransmits: u64,
    /// The congestion window held back data at the last output.
    pub(crate) cwnd_limited: bool,
}

/// The receiving half.
pub(crate) struct Receiver {
    /// Next expected.
    pub(crate) nxt: Seq,
    pub(crate) irs: Seq,
    /// Right edge of the window that the peer has been told.
    pub(crate) edge: Seq,
    /// Our window scale.
    pub(crate) shift: u8,
    /// Both sides scale their windows, or may yet (RFC 7323, 2.2).
    pub(crate) scaling: bool,
    /// Acknowledgement number of the last segment sent.
    pub(crate) acked: Seq,
    /// Sequence number of the peer's FIN, once seen.
    pub(crate) fin: Option<Seq>,
    pub(crate) assembler: Assembler,
    /// Largest payload seen: the peer's idea of a full segment.
    pub(crate) mss: usize,
    pub(crate) quick_acks: u8,
    /// One acknowledgement is due at the next flush.
    pub(crate) ack_now: bool,
    /// Duplicate acknowledgements due besides: one for each segment out of order.
    pub(crate) dup_acks_due: u8,
    /// When an unacceptable segment was last answered.
    pub(crate) answered: Option<Instant>,
    /// The owner wants no more data.
    pub(crate) shut: bool,
    /// Keepalive probes sent since.
    pub(crate) probes: u32,
    /// Last time anything arrived, for keepalive.
    pub(crate) last_heard: Instant,
}

/// Timestamps (RFC 7323, 3 to 5).
#[derive(Clone, Copy, Default)]
pub(crate) struct Timestamps {
    pub(crate) enabled: bool,
    pub(crate) offset: u32,
    pub(crate) recent: u32,
    pub(crate) recent_at: Instant,
}

impl Timestamps {
    /// Our clock, in milliseconds.
    pub(crate) fn clock(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.offset)
    }
}

/// The times at which something must be done; [`Instant::NEVER`] when nothing.
pub(crate) struct Deadlines {
    pub(crate) retransmit: Instant,
    pub(crate) persist: Instant,
    pub(crate) delayed_ack: Instant,
    pub(crate) keepalive: Instant,
    /// The end of TIME-WAIT, or of an orphan's FIN-WAIT-2.
    pub(crate) linger: Instant,
}

impl Deadlines {
    fn none() -> Self {
        Deadlines {
            retransmit: Instant::NEVER,
            persist: Instant::NEVER,
            delayed_ack: Instant::NEVER,
            keepalive: Instant::NEVER,
            linger: Instant::NEVER,
        }
    }

    #[inline]
    pub(crate) fn first(&self) -> Instant {
        let data = self.retransmit.min(self.persist).min(self.delayed_ack);
        data.min(self.keepalive).min(self.linger)
    }
}

/// A listener's queues.
pub(crate) struct Listen {
    pub(crate) backlog: usize,
    /// Half-open connections, oldest first; some may be gone or established since.
    pub(crate) half_open: VecDeque<SocketId>,
    pub(crate) half_open_count: usize,
    /// Established connections, oldest first.
    pub(crate) established: VecDeque<SocketId>,
}

pub(crate) struct Socket<E: Env> {
    pub(crate) id: SocketId,
    pub(crate) state: State,
    pub(crate) owner: Owner,
    /// On the list of sockets with something to send.
    pub(crate) dirty: bool,
    /// The environment knows the name.
    pub(crate) exposed: bool,
    pub(crate) passive: bool,
    /// Counted among those in TIME-WAIT.
    pub(crate) counted_time_wait: bool,
    /// Its local address was chosen with bind, and outlives a connection.
    pub(crate) bound: Option<core::net::SocketAddr>,
    pub(crate) flow: Flow,
    pub(crate) send: Sender,
    pub(crate) recv: Receiver,
    pub(crate) ts: Timestamps,
    pub(crate) rtt: Rtt,
    pub(crate) cc: NewReno,
    pub(crate) deadlines: Deadlines,
    pub(crate) path: Option<Path>,
    pub(crate) tx: Option<E::Send>,
    pub(crate) rx: Option<E::Recv>,
    pub(crate) opts: SocketOptions,
    pub(crate) ready: Ready,
    pub(crate) error: Option<SocketError>,
    /// What ICMP said of the path; becomes the error if the connection times out (RFC 1122, 4.2.3.9).
    pub(crate) soft_error: Option<SocketError>,
    pub(crate) parent: Option<SocketId>,
    pub(crate) listen: Option<Box<Listen>>,
}

impl<E: Env> Socket<E> {
    pub(crate) fn new(id: SocketId, config: &Config) -> Self {
        Socket {
            id,
            state: State::Closed,
            owner: Owner::Program,
            dirty: false,
            exposed: true,
            passive: false,
            counted_time_wait: false,
            bound: None,
            flow: Flow::NONE,
            send: Sender::new(),
            recv: Receiver::new(),
            ts: Timestamps::default(),
            rtt: Rtt::new(config.rto_min, config.rto_max),
            cc: NewReno::new(MSS_DEFAULT),
            deadlines: Deadlines::none(),
            path: None,
            tx: None,
            rx: None,
            opts: SocketOptions::default(),
            ready: Ready::NONE,
            error: None,
            soft_error: None,
            parent: None,
            listen: None,
        }
    }

    /// Forgets an earlier connection, keeping name, owner, binding and settings.
    pub(crate) fn restart(&mut self, config: &Config, iss: Seq, now: Instant) {
        self.send = Sender::new();
        self.recv = Receiver::new();
        self.rtt = Rtt::new(config.rto_min, config.rto_max);
        self.deadlines = Deadlines::none();
        self.error = None;
        self.soft_error = None;
        let send = &mut self.send;
        (send.iss, send.una, send.nxt, send.max) = (iss, iss, iss, iss);
        (send.recover, send.small_end) = (iss, iss);
        (send.last_sent, send.stalled_since) = (now, now);
        self.recv.last_heard = now;
    }

    #[inline]
    pub(crate) fn raise(&mut self, events: &mut Events, ready: Ready) {
        if self.exposed && self.owner != Owner::Nobody {
            events.raise(self.id, &mut self.ready, ready);
        }
    }

    /// Ends the connection for a reason that the owner is told.
    pub(crate) fn fail(&mut self, ctx: &mut Ctx<'_>, error: SocketError) {
        ctx.net.stats.tcp_failed += 1;
        self.error = Some(error);
        self.finish(ctx.events, Ready::ERROR);
    }

    /// Ends the connection: CLOSED.
    pub(crate) fn finish(&mut self, events: &mut Events, besides: Ready) {
        self.state = State::Closed;
        self.deadlines = Deadlines::none();
        self.recv.ack_now = false;
        self.recv.dup_acks_due = 0;
        self.raise(events, Ready::DISCONNECTED | besides);
    }

    /// The way to the peer; looked up anew when routes have changed.
    #[inline]
    pub(crate) fn path(&mut self, net: &Net) -> Option<Path> {
        match self.path {
            Some(path) if path.generation == net.generation => Some(path),
            _ => self.find_path(net),
        }
    }

    fn find_path(&mut self, net: &Net) -> Option<Path> {
        let core::net::IpAddr::V4(remote) = self.flow.remote else {
            return None;
        };
        self.path = net.path(remote, self.opts.bind_iface);
        self.set_mss();
        self.path
    }

    /// The MSS option to send: what one packet of the interface holds (RFC 9293, 3.7.1).
    pub(crate) fn own_mss(&self) -> u16 {
        let mtu = self.path.map_or(MSS_DEFAULT as u16 + 40, |path| path.mtu);
        let mss = mtu.saturating_sub(40).max(MSS_MIN as u16);
        match self.opts.max_segment {
            0 => mss,
            limit => mss.min(limit.max(MSS_MIN as u16)),
        }
    }

    /// Computes the payload of a full segment (RFC 9293, 3.7.1: effective send MSS).
    pub(crate) fn set_mss(&mut self) {
        let mut mss = self.send.peer_mss.min(usize::from(self.own_mss()));
        if self.send.path_mtu != 0 {
            mss = mss.min(usize::from(self.send.path_mtu).saturating_sub(40));
        }
        let options = if self.ts.enabled {
            io_net_wire::tcp::TIMESTAMP_LEN
        } else {
            0
        };
        let mss = mss.max(MSS_MIN) - options;
        if mss != self.send.mss {
            self.send.mss = mss;
            self.cc.set_mss(mss);
        }
    }

    /// Sequence number of the first byte of data not acknowledged: offset 0 of the send buffer.
    #[inline]
    pub(crate) fn data_start(&self) -> Seq {
        if self.send.una == self.send.iss {
            self.send.iss + 1
        } else {
            self.send.una
        }
    }

    /// The end of what the program has queued, as far as it can be believed.
    #[inline]
    pub(crate) fn data_end(&mut self) -> Seq {
        let queued = self.tx.as_mut().map_or(0, |tx| tx.readable().min(1 << 30));
        let start = self.data_start();
        match self.send.fin {
            Some(fin) => fin,
            // What has been sent stays to be sent again, even if the buffer says it has shrunk.
            None => (start + queued).max(self.send.max),
        }
    }

    /// Free room of the receive buffer, as far as it can be believed.
    #[inline]
    pub(crate) fn room(&mut self) -> usize {
        if self.recv.shut {
            return 1 << 16;
        }
        self.rx.as_mut().map_or(0, |rx| rx.window().min(1 << 30))
    }

    /// Drops the buffers and tells the environment; the connection may live on without them.
    pub(crate) fn release(&mut self, events: &mut Events) {
        self.tx = None;
        self.rx = None;
        if core::mem::take(&mut self.exposed) {
            events.released(self.id);
        }
    }

    /// Whether all that was queued, and the FIN if there is one, has been acknowledged.
    pub(crate) fn all_sent(&mut self) -> bool {
        match self.send.fin {
            Some(fin) => self.send.una.after(fin),
            None => self.data_end() == self.send.una,
        }
    }

    pub(crate) fn cwnd(&self) -> usize {
        self.cc.window()
    }
}

impl Sender {
    fn new() -> Self {
        let zero = Seq(0);
        Sender {
            iss: zero,
            una: zero,
            nxt: zero,
            max: zero,
            wnd: 0,
            wl1: zero,
            wl2: zero,
            wnd_max: 0,
            shift: 0,
            peer_mss: MSS_DEFAULT,
            mss: MSS_DEFAULT,
            path_mtu: 0,
            fin: None,
            small_end: zero,
            dup_acks: 0,
            recover: zero,
            recovering: false,
            resend_first: false,
            force_small: false,
            retries: 0,
            stalled_since: Instant::ZERO,
            timed: None,
            timeout_stamp: None,
            last_sent: Instant::ZERO,
            retransmits: 0,
            cwnd_limited: false,
        }
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        self.nxt.past(self.una)
    }
}

impl Receiver {
    fn new() -> Self {
        let zero = Seq(0);
        Receiver {
            nxt: zero,
            irs: zero,
            edge: zero,
            shift: 0,
            scaling: false,
            acked: zero,
            fin: None,
            assembler: Assembler::default(),
            mss: MSS_DEFAULT,
            quick_acks: QUICK_ACKS,
            ack_now: false,
            dup_acks_due: 0,
            answered: None,
            shut: false,
            probes: 0,
            last_heard: Instant::ZERO,
        }
    }

    /// The window that the peer may use now.
    #[inline]
    pub(crate) fn window(&self) -> usize {
        self.edge.past(self.nxt)
    }
}
