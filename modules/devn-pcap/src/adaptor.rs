//! The registrant: what io-net calls. Home worker.

use crate::options::PcapOptions;
use crate::pace::Pace;
use crate::reader::{Chunk, Next, Reader};
use crate::recorder::Recorder;
use io_net_ddk::abi::{
    Advert, CAP_MULTICAST, DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, DEVCTL_LINK_STATE, LOG_INFO,
    LOG_WARNING, NIC_PROMISCUOUS, NPKT_MSG,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::offload::{self, Unfinished};
use io_net_ddk::prelude::*;
use io_net_ddk::{
    NicCounters, Tally, advert, answer, answer_config, answer_stats, nic_config, rx_flags, vlan,
};
use io_net_os::clock::realtime_ns;

/// Frames in a burst, at most.
const BURST: usize = 64;
/// Timers: the next frame's turn; what has been recorded waits no longer.
const TURN: u32 = 0;
const FLUSH: u32 = 1;
const FLUSH_NS: u64 = 50_000_000;
/// Bytes of an Ethernet header.
const HEADER: usize = 14;

/// One interface over two files, or one.
pub(crate) struct Adaptor {
    options: PcapOptions,
    replay: Option<Replay>,
    recorder: Option<Recorder>,
    counters: Counters,
    /// The flush timer runs.
    flushing: bool,
    /// `poll` is called without being asked for.
    polling: bool,
}

/// A capture that is being replayed.
struct Replay {
    reader: Reader,
    pace: Pace,
    chunk: Chunk,
    /// Place of the next frame in the chunk.
    at: usize,
}

/// What is received, sent and lost.
#[derive(Clone, Copy)]
struct Counters {
    nic: NicCounters,
    /// Frames of the capture that are not Ethernet's.
    other_link: Counter,
    /// Frames of the capture that were not captured whole.
    cut: Counter,
    /// Frames not sent because nothing is recorded.
    unrecorded: Counter,
    /// Frames longer than the MTU.
    too_long: Counter,
}

/// What a replay has to do next.
enum Then {
    /// Another burst.
    More,
    /// Nothing before this time.
    At(u64),
    /// Nothing before the waker is called.
    Wait,
    /// Nothing any more, and why where that was not to be expected.
    End(Option<String>),
}

impl Registrant for Adaptor {
    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        self.go_on(budget, cx)
    }

    fn timer(&mut self, id: u32, _now_ns: u64, cx: &Cx) {
        if id == TURN {
            self.go_on(BURST, cx);
            return;
        }
        self.flushing = false;
        self.hand_over();
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        let Some(recorder) = &mut self.recorder else {
            return self.counters.unrecorded.add(burst.len() as u64);
        };
        let counters = &self.counters;
        let now_ns = realtime_ns();
        let mut tally = Tally::default();
        let longest = HEADER + vlan::TAG + self.options.mtu as usize;
        for packet in burst {
            if packet.flags() & NPKT_MSG != 0 {
                continue;
            }
            let mut out = |piece: SharedPacket| {
                if piece.total_len() > longest {
                    return counters.too_long.add(1);
                }
                tally.packet(&piece);
                counters.nic.tx_no_room.add(recorder.record(&piece, now_ns));
            };
            // Recorded is what a wire would carry: nothing left undone.
            match offload::finish(packet, 0, self.options.mtu, &mut out) {
                Ok(()) => {}
                Err(Unfinished::NoBuffer) => counters.nic.tx_no_room.add(1),
                Err(Unfinished::TooLong) => counters.too_long.add(1),
                Err(Unfinished::Malformed) => counters.nic.tx_errors.add(1),
            }
        }
        counters.nic.sent(&tally);
        if recorder.is_waiting() && !self.flushing {
            self.flushing = true;
            cx.timer(FLUSH, cx.now_ns() + FLUSH_NS);
        }
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], _: usize, cx: &Cx) -> Result<usize, Failure> {
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.counters.nic.stats()),
            DEVCTL_LINK_STATE => answer(data, &1_u32.to_ne_bytes()),
            _ => Err(Failure::new(
                EOPNOTSUPP,
                format!("devn-pcap has no devctl {cmd}"),
            )),
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        self.set_polling(false, cx);
        cx.cancel_timer(TURN);
        self.replay = None;
        self.hand_over();
        if let Some(recorder) = &mut self.recorder {
            recorder.finish();
        }
    }
}

impl Adaptor {
    /// Opens the files that `options` name.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub(crate) fn new(options: PcapOptions, cx: &Cx) -> Result<Self, Failure> {
        let replay = match &options.read {
            Some(path) => Some(Replay {
                reader: Reader::start(path, options.repeat, cx.waker())?,
                pace: Pace::new(options.speed),
                chunk: Chunk::default(),
                at: 0,
            }),
            None => None,
        };
        let recorder = options.write.as_deref().map(Recorder::start).transpose()?;
        let adaptor = Adaptor {
            replay,
            recorder,
            counters: Counters {
                nic: NicCounters::new(cx),
                other_link: cx.counter(c"rx_other_link"),
                cut: cx.counter(c"rx_cut"),
                unrecorded: cx.counter(c"tx_unrecorded"),
                too_long: cx.counter(c"tx_too_long"),
            },
            flushing: false,
            polling: false,
            options,
        };
        cx.dl_advert(&adaptor.advert(cx));
        if adaptor.replay.is_some() {
            cx.timer(TURN, cx.now_ns() + adaptor.options.delay.as_nanos() as u64);
        }
        Ok(adaptor)
    }

    /// Sends what is due, and sees to it that it is called for what is not. Returns how much it was.
    fn go_on(&mut self, budget: usize, cx: &Cx) -> usize {
        let Some(replay) = &mut self.replay else {
            return 0;
        };
        let mut burst = BurstBuf::new();
        let mac = self.options.mac;
        let (n, then) = replay.burst(budget.min(BURST), mac, &mut burst, &self.counters, cx);
        if n > 0 {
            cx.tx_up(burst.take());
        }
        self.set_polling(matches!(then, Then::More), cx);
        match then {
            Then::More | Then::Wait => {}
            Then::At(due_ns) => cx.timer(TURN, due_ns),
            Then::End(why) => self.end(why, cx),
        }
        n
    }

    #[cold]
    fn end(&mut self, why: Option<String>, cx: &Cx) {
        self.replay = None;
        let (number, frames) = (cx.endpoint(), self.counters.nic.stats().rxed_ok);
        match why {
            None => cx.log(
                LOG_INFO,
                format_args!("en{number}: the replay has ended after {frames} frames"),
            ),
            Some(why) => cx.log(
                LOG_WARNING,
                format_args!("en{number}: the replay breaks off after {frames} frames: {why}"),
            ),
        }
    }

    fn hand_over(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            self.counters.nic.tx_no_room.add(recorder.hand_over());
            self.counters.nic.tx_errors.add(recorder.take_failed());
        }
    }

    fn set_polling(&mut self, on: bool, cx: &Cx) {
        if on != self.polling {
            self.polling = on;
            cx.poller(on);
        }
    }

    fn advert(&self, cx: &Cx) -> Advert {
        let mut advert = advert(&format!("en{}", cx.endpoint()), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
        (advert.mtu, advert.caps) = (self.options.mtu, CAP_MULTICAST);
        advert.mac[..6].copy_from_slice(&self.options.mac);
        advert.mac_len = 6;
        advert
    }

    fn config(&self, cx: &Cx) -> NicConfig {
        let (mac, mtu) = (self.options.mac, self.options.mtu);
        let mut config = nic_config("Capture file", mac, mtu, cx.endpoint());
        config.flags |= NIC_PROMISCUOUS;
        config
    }
}

impl Replay {
    /// Makes packets of up to `budget` frames that are due. Returns how many frames that took, and
    /// what is to be done next.
    fn burst(
        &mut self,
        budget: usize,
        mac: [u8; 6],
        burst: &mut BurstBuf,
        counters: &Counters,
        cx: &Cx,
    ) -> (usize, Then) {
        let (now_ns, real_ns) = (cx.now_ns(), realtime_ns());
        let mut tally = Tally::default();
        let mut n = 0;
        let then = loop {
            if n == budget {
                break Then::More;
            }
            let Some((frame, record)) = self.chunk.frame(self.at) else {
                match self.next_chunk() {
                    Some(then) => break then,
                    None => continue,
                }
            };
            let due_ns = self.pace.due_ns(now_ns, record.time_ns);
            if due_ns > now_ns {
                break Then::At(due_ns);
            }
            self.at += 1;
            self.pace.sent();
            n += 1;
            if !record.is_ethernet || !record.is_whole {
                let counter = if record.is_whole {
                    counters.other_link
                } else {
                    counters.cut
                };
                counter.add(1);
                continue;
            }
            if let Some(mut packet) = packet_of(frame, counters) {
                packet.set_rx(Some(real_ns), None);
                packet.set_flags(rx_flags(frame, mac), 0);
                packet.set_way(cx.cell(), cx.endpoint(), 0);
                tally.packet(&packet);
                // There is room: the budget is no larger than the buffer.
                let _ = burst.push(packet);
            }
        };
        counters.nic.received(&tally);
        (n, then)
    }

    /// Goes on to the next chunk; what to do where there is none.
    fn next_chunk(&mut self) -> Option<Then> {
        let done = std::mem::take(&mut self.chunk);
        self.at = 0;
        match self.reader.next(done) {
            Next::Chunk(chunk) => {
                if chunk.begins_pass {
                    self.pace.restart();
                }
                self.chunk = chunk;
                None
            }
            Next::Wait => Some(Then::Wait),
            Next::End(why) => Some(Then::End(why)),
        }
    }
}

/// The frame in a packet. None where it is lost, which has been counted.
#[inline]
fn packet_of(frame: &[u8], counters: &Counters) -> Option<Packet> {
    if frame.len() < HEADER {
        counters.nic.rx_errors.add(1);
        return None;
    }
    let mut packet = alloc_one(frame.len() as u32);
    match packet
        .as_mut()
        .and_then(|packet| packet.append(frame.len()))
    {
        Some(place) => place.copy_from_slice(frame),
        None => counters.nic.rx_no_buffer.add(1),
    }
    packet.filter(|packet| !packet.is_empty())
}
