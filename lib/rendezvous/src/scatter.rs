//! Bytes between shared memory and buffers in several parts.

use std::io::{IoSlice, IoSliceMut};

use io_net_os::region::Region;

/// Bytes of all parts.
#[inline]
#[must_use]
pub fn len(parts: &[IoSlice<'_>]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Bytes of all parts.
#[inline]
#[must_use]
pub fn room(parts: &[IoSliceMut<'_>]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Copies up to `len` bytes at `at` to `parts` beyond their first `skip` bytes. Returns how many.
#[inline]
pub fn read(
    memory: &Region,
    at: usize,
    len: usize,
    parts: &mut [IoSliceMut<'_>],
    mut skip: usize,
) -> usize {
    let mut done = 0;
    for part in parts {
        let Some(to) = part.get_mut(skip..) else {
            skip -= part.len();
            continue;
        };
        skip = 0;
        let n = to.len().min(len - done);
        if n == 0 && len == done || !memory.read(at + done, &mut to[..n]) {
            break;
        }
        done += n;
    }
    done
}

/// Copies up to `len` bytes of `parts` beyond their first `skip` bytes to `at`. Returns how many.
#[inline]
pub fn write(
    memory: &Region,
    at: usize,
    len: usize,
    parts: &[IoSlice<'_>],
    mut skip: usize,
) -> usize {
    let mut done = 0;
    for part in parts {
        let Some(from) = part.get(skip..) else {
            skip -= part.len();
            continue;
        };
        skip = 0;
        let n = from.len().min(len - done);
        if n == 0 && len == done || !memory.write(at + done, &from[..n]) {
            break;
        }
        done += n;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_os::map::SharedMap;

    #[test]
    fn every_cut_gives_the_same_bytes() {
        let memory = Region::new(SharedMap::anonymous(4096).unwrap());
        let bytes: Vec<u8> = (0..100).collect();
        for cut in [1, 3, 50, 100, 200] {
            let parts: Vec<IoSlice<'_>> = bytes.chunks(cut).map(IoSlice::new).collect();
            assert_eq!(len(&parts), 100);
            for skip in [0, 1, 3, 99, 100] {
                assert_eq!(write(&memory, 10, 60, &parts, skip), 60.min(100 - skip));
                let mut to = [0; 80];
                let mut parts: Vec<IoSliceMut<'_>> =
                    to.chunks_mut(cut).map(IoSliceMut::new).collect();
                assert_eq!(room(&parts), 80);
                let n = 60.min(100 - skip);
                assert_eq!(read(&memory, 10, n, &mut parts, 5), n);
                assert_eq!(to[5..5 + n], bytes[skip..skip + n]);
            }
        }
        assert_eq!(write(&memory, 4090, 60, &[IoSlice::new(&bytes)], 0), 0);
        assert_eq!(write(&memory, 0, 60, &[IoSlice::new(&bytes)], 300), 0);
    }
}
