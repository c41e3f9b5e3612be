//! When to look at the chip: all the time while there is traffic, ever more rarely after.
//!
//! A look is an access to a port, a microsecond on ISA and more in a virtual machine. With
//! interrupts a card that is idle is hardly looked at; without them the time between two looks is a
//! fraction of the time that nothing has happened, up to [`LONGEST_NS`].

/// How long after the last frame the chip is looked at all the time.
const BUSY_NS: u64 = 100_000;
/// The fraction of the idle time.
const FRACTION: u64 = 8;
const SHORTEST_NS: u64 = 50_000;
/// The latency of an idle card without interrupts, at most.
const LONGEST_NS: u64 = 10_000_000;
/// Likewise while a frame is being sent, which takes 1.2 ms at most.
const SENDING_NS: u64 = 500_000;
/// Likewise with interrupts: one may be lost.
const LOST_NS: u64 = 1_000_000_000;

/// The times of looks at one chip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    has_interrupts: bool,
    /// When something last happened.
    busy_ns: u64,
    due_ns: u64,
}

impl Pace {
    pub(crate) fn new(has_interrupts: bool) -> Self {
        Pace {
            has_interrupts,
            busy_ns: 0,
            due_ns: 0,
        }
    }

    /// There are no interrupts any more.
    pub(crate) fn poll_only(&mut self) {
        self.has_interrupts = false;
        self.hurry();
    }

    /// Whether it is time to look.
    #[inline]
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.due_ns
    }

    /// When that is.
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Look as soon as possible.
    #[inline]
    pub(crate) fn hurry(&mut self) {
        self.due_ns = 0;
    }

    /// The chip has been looked at. `deadline_ns` is when it needs to be at the latest.
    #[inline]
    pub(crate) fn looked(
        &mut self,
        now_ns: u64,
        busy: bool,
        is_sending: bool,
        deadline_ns: Option<u64>,
    ) {
        if busy {
            self.busy_ns = now_ns;
        }
        let idle_ns = now_ns.saturating_sub(self.busy_ns);
        let pause_ns = match idle_ns {
            ..BUSY_NS => 0,
            _ if self.has_interrupts => LOST_NS,
            _ if is_sending => SENDING_NS,
            _ => (idle_ns / FRACTION).clamp(SHORTEST_NS, LONGEST_NS),
        };
        let due_ns = now_ns.saturating_add(pause_ns);
        self.due_ns = deadline_ns.map_or(due_ns, |deadline| due_ns.min(deadline));
    }
}
