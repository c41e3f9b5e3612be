//! Where the next work is likely to come from: what Qnet tells its worker, so that it keeps its
//! processor or gives it away at the right time.
//!
//! A program on another processor that has been given something answers within microseconds. Other
//! nodes take longer, and a program that last ran on this processor waits for it.

use io_net_os::sched;

/// How soon a program on another processor is expected to say something.
const SOON_NS: u32 = 4_000;

/// What this piece of work leads to.
#[derive(Default)]
pub(crate) struct Outlook {
    soonest_ns: Option<u32>,
}

impl Outlook {
    /// A program that last ran on processor `cpu` has been given something.
    #[inline]
    pub(crate) fn given_to(&mut self, cpu: u32) {
        let soon_ns = match cpu == sched::current_cpu() {
            true => 0,
            false => SOON_NS,
        };
        self.soonest_ns = Some(self.soonest_ns.map_or(soon_ns, |ns| ns.min(soon_ns)));
    }

    /// Takes what there is to say, in nanoseconds.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<u32> {
        self.soonest_ns.take()
    }
}
