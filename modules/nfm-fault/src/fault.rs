//! The registrant. Its home worker runs all of it.

use crate::control;
use crate::line::Line;
use crate::settings::{Direction, Settings};
use crate::stats::Stats;
use io_net_ddk::abi::DEVCTL_JSON;
use io_net_ddk::answer;
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;

/// A line and when its timer runs out.
struct Timed {
    line: Line,
    /// The timer's number.
    id: u32,
    armed_ns: Option<u64>,
}

pub(crate) struct Fault {
    up: Timed,
    down: Timed,
}

impl Registrant for Fault {
    fn rx_up(&mut self, burst: Burst, cx: &Cx) {
        self.up.pass(burst, cx, &mut |burst| cx.tx_up(burst));
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        self.down.pass(burst, cx, &mut |burst| cx.tx_down(burst));
    }

    fn timer(&mut self, id: u32, now_ns: u64, cx: &Cx) {
        match id == self.up.id {
            true => self.up.expire(now_ns, cx, &mut |burst| cx.tx_up(burst)),
            false => self.down.expire(now_ns, cx, &mut |burst| cx.tx_down(burst)),
        }
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        if cmd != DEVCTL_JSON {
            let text = format!("nfm-fault does not know devctl {cmd}");
            return Err(Failure::new(EOPNOTSUPP, text));
        }
        let text = control::request(self, &data[..len], cx.now_ns())?;
        answer(data, text.as_bytes())
    }

    /// What waits goes on at once: only what the options say is lost.
    fn quiesce(&mut self, cx: &Cx) {
        self.up.line.flush(&mut |burst| cx.tx_up(burst));
        self.down.line.flush(&mut |burst| cx.tx_down(burst));
    }
}

impl Fault {
    /// A filter whose lines in `direction` are as bad as `settings` say; the others are clear.
    pub(crate) fn new(settings: &Settings, direction: Direction, cx: &Cx) -> Fault {
        let now_ns = cx.now_ns();
        let timed = |up: bool, applies: bool, stats| Timed {
            line: match applies {
                true => Line::new(up, settings.clone(), stats, now_ns),
                false => Line::new(up, Settings::clear(), stats, now_ns),
            },
            id: u32::from(up),
            armed_ns: None,
        };
        Fault {
            up: timed(true, direction != Direction::Down, Stats::up(cx)),
            down: timed(false, direction != Direction::Up, Stats::down(cx)),
        }
    }

    /// Goes over to other settings, from the next packet on.
    pub(crate) fn set(&mut self, settings: &Settings, direction: Direction, now_ns: u64) {
        if direction != Direction::Down {
            self.up.line.set(settings.clone(), now_ns);
        }
        if direction != Direction::Up {
            self.down.line.set(settings.clone(), now_ns);
        }
    }

    /// The line of each direction, up first.
    pub(crate) fn lines(&self) -> [&Line; 2] {
        [&self.up.line, &self.down.line]
    }
}

impl Timed {
    #[inline]
    fn pass(&mut self, burst: Burst, cx: &Cx, send: &mut dyn FnMut(Burst)) {
        if self.line.is_clear() {
            self.line.pass(burst.len());
            return send(burst);
        }
        let now_ns = cx.now_ns();
        self.line.expire(now_ns, send);
        for packet in burst {
            self.line.take(packet, now_ns, send);
        }
        self.line.send_due(send);
        self.arm(cx);
    }

    fn expire(&mut self, now_ns: u64, cx: &Cx, send: &mut dyn FnMut(Burst)) {
        self.armed_ns = None;
        self.line.expire(now_ns, send);
        self.line.send_due(send);
        self.arm(cx);
    }

    /// Has the timer run out when the next packet leaves.
    fn arm(&mut self, cx: &Cx) {
        let next = self.line.deadline_ns();
        if next == self.armed_ns {
            return;
        }
        match next {
            Some(at_ns) => cx.timer(self.id, at_ns),
            None => cx.cancel_timer(self.id),
        }
        self.armed_ns = next;
    }
}
