//! The ring of pulses from the threads of one process to a channel.
//!
//! An entry's `turn` says who may use it: `n` when it is free for the `n`th pulse, `n + 1` when
//! that pulse is in it. The position of the producers is in shared memory, that of the consumer is
//! its own.

use std::sync::atomic::Ordering;

use crate::layout::{Memory, PULSES};

/// What a pulse carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// What it is about.
    pub code: i8,
    /// In the receiver's queue.
    pub priority: u8,
    /// An int or a pointer, to the receiver.
    pub value: u64,
    /// The sender's connection.
    pub coid: i32,
}

/// There are [`PULSES`] that the server has not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Server, before anybody else sees the memory: all entries are free.
pub(crate) fn init(memory: &Memory) {
    for n in 0..PULSES as u32 {
        memory.pulse(n).turn.store(n, Ordering::Relaxed);
    }
}

/// Client: puts a pulse in. Any thread, a signal handler too.
pub(crate) fn push(memory: &Memory, pulse: Pulse) -> Result<(), Full> {
    let tail = &memory.header().pulse_tail;
    let mut n = tail.load(Ordering::Relaxed);
    loop {
        let entry = memory.pulse(n);
        let turn = entry.turn.load(Ordering::Acquire);
        match turn.wrapping_sub(n).cast_signed() {
            0 => {
                let next = n.wrapping_add(1);
                let claim =
                    tail.compare_exchange_weak(n, next, Ordering::Relaxed, Ordering::Relaxed);
                if let Err(now) = claim {
                    n = now;
                    continue;
                }
                let code = u32::from(pulse.code.cast_unsigned()) | u32::from(pulse.priority) << 8;
                entry.code.store(code, Ordering::Relaxed);
                entry
                    .coid
                    .store(pulse.coid.cast_unsigned(), Ordering::Relaxed);
                entry.value.store(pulse.value, Ordering::Relaxed);
                entry.turn.store(next, Ordering::Release);
                return Ok(());
            }
            behind if behind < 0 => return Err(Full),
            _ => {
                let now = tail.load(Ordering::Relaxed);
                // Only a server that lies makes an entry be ahead of the position.
                if now == n {
                    return Err(Full);
                }
                n = now;
            }
        }
    }
}

/// Server: takes the pulse at `head`, which it then advances.
pub(crate) fn pop(memory: &Memory, head: &mut u32) -> Option<Pulse> {
    let entry = memory.pulse(*head);
    if entry.turn.load(Ordering::Acquire) != head.wrapping_add(1) {
        return None;
    }
    let code = entry.code.load(Ordering::Relaxed);
    let pulse = Pulse {
        code: (code as u8).cast_signed(),
        priority: (code >> 8) as u8,
        value: entry.value.load(Ordering::Relaxed),
        coid: entry.coid.load(Ordering::Relaxed).cast_signed(),
    };
    let free = head.wrapping_add(PULSES as u32);
    entry.turn.store(free, Ordering::Release);
    *head = head.wrapping_add(1);
    Some(pulse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::SESSION_LEN;
    use io_net_os::map::SharedMap;

    fn pulse(value: u64) -> Pulse {
        Pulse {
            code: -3,
            priority: 200,
            value,
            coid: 9,
        }
    }

    #[test]
    fn threads_put_in_what_one_takes_out() {
        let memory = Memory::new(SharedMap::anonymous(SESSION_LEN).unwrap()).unwrap();
        init(&memory);
        let (threads, each) = (4, 3000);
        let mut next = vec![0; threads];
        std::thread::scope(|s| {
            for t in 0..threads as u64 {
                let memory = &memory;
                s.spawn(move || {
                    for i in 0..each {
                        while push(memory, pulse(t << 32 | i)).is_err() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let (mut head, mut got) = (0, 0);
            while got < threads as u64 * each {
                let Some(p) = pop(&memory, &mut head) else {
                    std::thread::yield_now();
                    continue;
                };
                assert_eq!(p, pulse(p.value));
                let of = &mut next[(p.value >> 32) as usize];
                assert_eq!(p.value & 0xffff_ffff, *of, "in each thread's order");
                *of += 1;
                got += 1;
            }
        });
        assert_eq!(next, [each; 4]);
    }

    #[test]
    fn a_full_ring_and_a_rubbish_one_refuse() {
        let memory = Memory::new(SharedMap::anonymous(SESSION_LEN).unwrap()).unwrap();
        init(&memory);
        for i in 0..PULSES as u64 {
            push(&memory, pulse(i)).unwrap();
        }
        assert_eq!(push(&memory, pulse(0)), Err(Full));
        let mut head = 0;
        assert_eq!(pop(&memory, &mut head).unwrap().value, 0);
        push(&memory, pulse(7)).unwrap();
        for n in 0..PULSES as u32 {
            memory
                .pulse(n)
                .turn
                .store(n.wrapping_mul(0x1234_5678), Ordering::Relaxed);
        }
        let _ = (push(&memory, pulse(0)), pop(&memory, &mut head));
    }
}
