//! What the processor offers a polling loop: pause, cycle counter, pinning.

use std::io;

/// Tells the processor that this is a spin loop.
#[inline]
pub fn pause() {
    std::hint::spin_loop();
}

/// Looks that a waiter makes before it lets others have its core, see [`pause_after`].
const LOOKS_ALONE: u32 = 20;

/// Waits for the next look of a waiter that has looked `looks` times: a moment at first, since the
/// answer may come from another core; later it lets those run who wait for this core, since the
/// answer may have to come from one of them.
#[inline]
pub fn pause_after(looks: u32) {
    if looks < LOOKS_ALONE {
        pause();
    } else {
        std::thread::yield_now();
    }
}

/// A counter that runs at a constant rate near the processor's base frequency: the TSC on x86-64, the
/// virtual counter on AArch64, nanoseconds elsewhere. Only differences mean anything.
#[inline]
#[must_use]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: RDTSC has no precondition; every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(target_arch = "aarch64")]
    {
        let count: u64;
        // SAFETY: Linux lets user space read the virtual counter; it has no side effect.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack)) };
        count
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    crate::clock::monotonic_ns()
}

/// Pins the calling thread to processor `cpu`.
///
/// # Errors
/// EINVAL when there is no such processor or it is not ours to use.
pub fn pin_thread(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all-zero bytes are an empty cpu_set_t.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` is below CPU_SETSIZE, so the bit lies in the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the kernel reads `set` during the call.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_advance_and_pinning_checks_its_argument() {
        let a = cycles();
        while cycles() == a {
            pause();
        }
        assert!(pin_thread(1 << 20).is_err());
        std::thread::spawn(|| pin_thread(0).unwrap())
            .join()
            .unwrap();
    }
}
