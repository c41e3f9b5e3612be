//! The C library's allocator, which Rust's uses.

/// Has every allocation of a mebibyte and more mapped by itself from now on: what of it is never
/// touched takes no memory, and all of it goes back to the system when it is freed. The allocator
/// begins like that, and gives it up when it sees such an allocation freed.
///
/// Without effect where the C library is not glibc.
pub fn map_large_allocations() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: i32 = 1 << 20;
        // SAFETY: mallopt takes the allocator's own lock, and touches nothing else.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    #[test]
    fn untouched_memory_is_not_resident() {
        const SIZE: usize = 16 << 20;
        map_large_allocations();
        // By the first one freed, the allocator would have learnt to keep such memory.
        drop(std::hint::black_box(vec![0u8; SIZE]));
        let before = resident();
        let kept: Vec<Vec<u8>> = (0..8)
            .map(|_| std::hint::black_box(vec![0; SIZE]))
            .collect();
        assert!(resident() < before + 2 * SIZE);
        drop(kept);
    }
}
