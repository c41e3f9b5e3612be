//! Clocks. Any thread; none of these is a system call on the usual kernels (vDSO).

fn read(clock: libc::clockid_t) -> u64 {
    let mut ts = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `ts` is valid for writing. The clocks used here always exist, so it cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut ts) };
    ts.tv_sec.cast_unsigned() * 1_000_000_000 + ts.tv_nsec.cast_unsigned()
}

/// Nanoseconds since an arbitrary point, never going back, the same in every process.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970-01-01 UTC; it may jump.
#[must_use]
pub fn realtime_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// CPU time of the calling thread, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_advance() {
        let (a, c) = (monotonic_ns(), thread_cpu_ns());
        while monotonic_ns() == a || thread_cpu_ns() == c {}
        assert!(monotonic_ns() > a);
        assert!(realtime_ns() > 1_600_000_000_000_000_000);
    }
}
