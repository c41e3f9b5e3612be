//! The chip at work: what it says has happened, and getting it going again when it does not go on.
//! Home worker, but for starting it.
//!
//! Nothing here waits. Where the chip must be left alone for a moment, it is [`State::Stopped`] until
//! then.

use crate::counters::Counters;
use crate::multicast;
use crate::ports::Ports;
use crate::probe::{self, Layout};
use crate::regs::{CR, cr, isr, page0, page1, rcr, rsr, tcr};
use crate::rx::{Filter, Ring};
use crate::tx::Transmitter;
use io_net_ddk::prelude::*;

/// How long a frame under way may still take when the chip is told to stop (DP8390D data sheet,
/// the overflow procedure: 1.6 ms).
const STOP_NS: u64 = 1_600_000;
/// How often a card that does not answer is looked at again.
const GONE_NS: u64 = 1_000_000_000;

/// A card at work.
pub(crate) struct Chip<P> {
    ports: P,
    layout: Layout,
    filter: Filter,
    ring: Ring,
    pub(crate) tx: Transmitter,
    state: State,
    /// The last look left frames in the ring.
    more: bool,
}

/// Whether the chip runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Told to stop; to be dealt with from then on.
    Stopped {
        why: Stop,
        ready_ns: u64,
    },
    /// Nothing answers; to be looked for from then on.
    Gone {
        look_ns: u64,
    },
}

/// Why the chip was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The ring was full; whether a frame was being sent.
    Overrun { sending: bool },
    /// It made no sense.
    Reset,
}

impl<P: Ports> Chip<P> {
    /// A card that [`probe::probe`] has found, not yet running.
    pub(crate) fn new(ports: P, layout: Layout, filter: Filter) -> Self {
        Chip {
            ports,
            layout,
            filter,
            ring: Ring::new(&layout),
            tx: Transmitter::new(),
            state: State::Gone { look_ns: 0 },
            more: false,
        }
    }

    /// Looks what has happened, and deals with it: up to `budget` frames are passed up. Returns how
    /// much there was.
    #[inline]
    pub(crate) fn look(
        &mut self,
        now_ns: u64,
        budget: usize,
        counters: &Counters,
        cx: &Cx,
    ) -> usize {
        if self.state != State::Running {
            return self.resume(now_ns, budget, counters, cx);
        }
        let status = self.ports.in8(page0::ISR);
        if status & isr::WANTED == 0 && !self.more {
            return self.watch(now_ns, counters);
        }
        if status == 0xff && self.ports.in8(CR) == 0xff {
            return self.lose(now_ns);
        }
        let mut done = 0;
        if status & isr::OVW != 0 {
            self.overrun(now_ns, counters);
            return 1;
        }
        self.ports.out8(page0::ISR, status & isr::WANTED);
        if status & (isr::PTX | isr::TXE) != 0 {
            self.tx
                .complete(&mut self.ports, &self.layout, now_ns, counters);
            done += 1;
        }
        if status & isr::RXE != 0 {
            self.note_error(counters);
        }
        if status & isr::CNT != 0 {
            self.tally(counters);
        }
        if status & (isr::PRX | isr::RXE) != 0 || self.more {
            done += self.receive(now_ns, budget, counters, cx);
        }
        done + self.transmit(now_ns, counters)
    }

    /// Empties the ring.
    fn receive(&mut self, now_ns: u64, budget: usize, counters: &Counters, cx: &Cx) -> usize {
        let (ports, layout, filter) = (&mut self.ports, &self.layout, &self.filter);
        let drained = self.ring.drain(ports, layout, filter, budget, counters, cx);
        self.more = drained.is_ok_and(|n| n == budget);
        drained.unwrap_or_else(|_| {
            self.reset(now_ns, counters);
            1
        })
    }

    /// Gives the card what waits to be sent. Returns the number of frames.
    pub(crate) fn transmit(&mut self, now_ns: u64, counters: &Counters) -> usize {
        if self.state != State::Running {
            return 0;
        }
        let filled = self
            .tx
            .fill(&mut self.ports, &self.layout, now_ns, counters);
        filled.unwrap_or_else(|_| {
            counters.dma_timeouts.add(1);
            self.reset(now_ns, counters);
            1
        })
    }

    /// Nothing has happened: is a frame late?
    fn watch(&mut self, now_ns: u64, counters: &Counters) -> usize {
        if self.tx.deadline_ns().is_none_or(|late| now_ns < late) {
            return 0;
        }
        counters.tx_timeouts.add(1);
        self.reset(now_ns, counters);
        1
    }

    /// A frame came with errors. The chip counts most kinds itself.
    #[cold]
    fn note_error(&mut self, counters: &Counters) {
        let status = self.ports.in8(page0::RSR);
        counters.nic.rx_errors.add(1);
        counters
            .rx_fifo_overruns
            .add((status & rsr::FO != 0).into());
    }

    /// Takes over the chip's own counters, which reading clears.
    #[cold]
    pub(crate) fn tally(&mut self, counters: &Counters) {
        if self.state != State::Running {
            return;
        }
        let named = [
            counters.rx_align_errors,
            counters.rx_crc_errors,
            counters.rx_missed,
        ];
        for (register, counter) in page0::CNTR.into_iter().zip(named) {
            counter.add(self.ports.in8(register).into());
        }
    }

    /// The ring is full: the first steps of the data sheet's procedure.
    #[cold]
    fn overrun(&mut self, now_ns: u64, counters: &Counters) {
        counters.rx_overruns.add(1);
        let sending = self.ports.in8(CR) & cr::TXP != 0;
        self.ports.out8(CR, cr::STP | cr::NO_DMA);
        self.state = State::Stopped {
            why: Stop::Overrun { sending },
            ready_ns: now_ns + STOP_NS,
        };
    }

    /// Has the chip begin anew, once it has stopped.
    #[cold]
    fn reset(&mut self, now_ns: u64, counters: &Counters) {
        counters.chip_resets.add(1);
        counters.nic.tx_errors.add(self.tx.forget());
        probe::stop(&mut self.ports);
        self.more = false;
        self.state = State::Stopped {
            why: Stop::Reset,
            ready_ns: now_ns + STOP_NS,
        };
    }

    #[cold]
    fn lose(&mut self, now_ns: u64) -> usize {
        self.more = false;
        self.state = State::Gone {
            look_ns: now_ns + GONE_NS,
        };
        1
    }

    /// Goes on where the chip was left alone for long enough.
    #[cold]
    fn resume(&mut self, now_ns: u64, budget: usize, counters: &Counters, cx: &Cx) -> usize {
        match self.state {
            State::Stopped { why, ready_ns } if now_ns >= ready_ns => match why {
                Stop::Overrun { sending } => {
                    self.end_overrun(sending, now_ns, budget, counters, cx)
                }
                Stop::Reset => {
                    self.start();
                    1 + self.transmit(now_ns, counters)
                }
            },
            State::Gone { look_ns } if now_ns >= look_ns => match self.ports.in8(CR) {
                0xff => self.lose(now_ns),
                _ => {
                    self.reset(now_ns, counters);
                    1
                }
            },
            _ => 0,
        }
    }

    /// The rest of the overrun procedure: in loopback, so that nothing comes in, the ring is
    /// emptied; then a frame that the stop has cut off is sent again.
    fn end_overrun(
        &mut self,
        sending: bool,
        now_ns: u64,
        budget: usize,
        counters: &Counters,
        cx: &Cx,
    ) -> usize {
        self.ports.out8(page0::RBCR[0], 0);
        self.ports.out8(page0::RBCR[1], 0);
        let through = self.ports.in8(page0::ISR) & (isr::PTX | isr::TXE) != 0;
        self.ports.out8(page0::TCR, tcr::LOOPBACK);
        self.ports.out8(CR, cr::STA | cr::NO_DMA);
        self.state = State::Running;
        let done = self.receive(now_ns, budget, counters, cx);
        if self.state != State::Running {
            return done;
        }
        self.ports.out8(page0::ISR, isr::OVW);
        self.ports.out8(page0::TCR, 0);
        if sending && !through {
            self.ports.out8(CR, cr::STA | cr::TXP | cr::NO_DMA);
        }
        // What came before the overrun has been read, but not what a small budget has left.
        self.more = true;
        done + 1
    }

    /// Starts the chip as the data sheet asks for (section 11, initialisation).
    pub(crate) fn start(&mut self) {
        let (ports, layout) = (&mut self.ports, &self.layout);
        self.ring = Ring::new(layout);
        probe::stop(ports);
        ports.out8(page0::DCR, layout.dcr());
        ports.out8(page0::RCR, rcr::MON);
        ports.out8(page0::TCR, tcr::LOOPBACK);
        ports.out8(page0::BNRY, self.ring.boundary(layout));
        ports.out8(page0::PSTART, layout.ring);
        ports.out8(page0::PSTOP, layout.stop);
        ports.out8(page0::ISR, 0xff);
        ports.out8(page0::IMR, isr::WANTED);
        ports.out8(CR, cr::STP | cr::NO_DMA | cr::PAGE1);
        for (register, byte) in (page1::PAR..).zip(self.filter.mac) {
            ports.out8(register, byte);
        }
        ports.out8(page1::CURR, self.ring.next());
        ports.out8(CR, cr::STA | cr::NO_DMA);
        ports.out8(page0::TCR, 0);
        self.state = State::Running;
        self.more = false;
        self.set_filter();
    }

    /// Takes frames for any station, or not.
    pub(crate) fn set_promiscuous(&mut self, on: bool) {
        self.filter.promiscuous = on;
        if self.state == State::Running {
            self.set_filter();
        }
    }

    /// Tells the chip which frames to take.
    fn set_filter(&mut self) {
        let multicast = match self.filter.promiscuous {
            true => [0xff; 8],
            false => multicast::filter(&self.filter.groups),
        };
        let ports = &mut self.ports;
        ports.out8(CR, cr::STA | cr::NO_DMA | cr::PAGE1);
        for (register, byte) in (page1::MAR..).zip(multicast) {
            ports.out8(register, byte);
        }
        ports.out8(CR, cr::STA | cr::NO_DMA);
        let any = match self.filter.promiscuous || self.filter.any_station {
            true => rcr::PRO,
            false => 0,
        };
        ports.out8(page0::RCR, rcr::AB | rcr::AM | any);
    }

    /// Stops the chip and masks its interrupts.
    pub(crate) fn stop(&mut self) {
        probe::stop(&mut self.ports);
        self.state = State::Gone { look_ns: u64::MAX };
    }

    /// When, at the latest, to look again; None where only a frame coming in matters.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        match self.state {
            State::Running => self.tx.deadline_ns(),
            State::Stopped { ready_ns, .. } => Some(ready_ns),
            State::Gone { look_ns } => Some(look_ns),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        !matches!(self.state, State::Gone { .. })
    }

    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }
}
