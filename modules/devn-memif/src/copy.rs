//! Copies between packets and shared memory.
//!
//! Small frames are copied by two moves of fixed size that overlap in the middle: a few
//! instructions, where a general copy would first find out what to do.

use io_net_os::region::Region;

/// Copies the bytes at `offset` of `region` to `to`; false, with `to` undefined, where they are not
/// all within it.
#[inline]
pub(crate) fn read(region: &Region, offset: usize, to: &mut [u8]) -> bool {
    match to.len() {
        33..=64 => read_twice::<32>(region, offset, to),
        65..=128 => read_twice::<64>(region, offset, to),
        _ => region.read(offset, to),
    }
}

#[inline]
fn read_twice<const N: usize>(region: &Region, offset: usize, to: &mut [u8]) -> bool {
    let second = to.len() - N;
    let first = to.first_chunk_mut::<N>();
    let done = first.is_some_and(|to| region.read(offset, to));
    let last = to.last_chunk_mut::<N>();
    done && last.is_some_and(|to| region.read(offset + second, to))
}

/// Copies `from` to the bytes at `offset` of `region`; false where they are not all within it.
#[inline]
pub(crate) fn write(region: &Region, offset: usize, from: &[u8]) -> bool {
    match from.len() {
        33..=64 => write_twice::<32>(region, offset, from),
        65..=128 => write_twice::<64>(region, offset, from),
        _ => region.write(offset, from),
    }
}

#[inline]
fn write_twice<const N: usize>(region: &Region, offset: usize, from: &[u8]) -> bool {
    let second = from.len() - N;
    let first = from.first_chunk::<N>();
    let done = first.is_some_and(|from| region.write(offset, from));
    let last = from.last_chunk::<N>();
    done && last.is_some_and(|from| region.write(offset + second, from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_os::map::SharedMap;

    #[test]
    fn every_length_arrives_whole() {
        let region = Region::new(SharedMap::anonymous(4096).unwrap());
        for len in 0..400 {
            let from: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
            assert!(write(&region, 100, &from));
            let mut to = vec![0; len];
            assert!(read(&region, 100, &mut to));
            assert_eq!(from, to, "{len}");
        }
    }

    #[test]
    fn nothing_beyond_the_end() {
        let region = Region::new(SharedMap::anonymous(4096).unwrap());
        for len in [1, 40, 100, 200] {
            let mut bytes = vec![0; len];
            assert!(!read(&region, 4096 - len + 1, &mut bytes));
            assert!(!write(&region, 4096 - len + 1, &bytes));
            assert!(read(&region, 4096 - len, &mut bytes));
            assert!(!read(&region, usize::MAX - 40, &mut bytes));
        }
    }
}
