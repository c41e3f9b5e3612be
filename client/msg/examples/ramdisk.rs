//! A file in memory: `ramdisk` serves `/dev/ramdisk`, up to 64 MiB.

use io_net_msg::resmgr::{Attributes, Device, Input, Manager, Ocb, Output};
use io_net_msg::{Error, Result};

const SIZE_MAX: u64 = 64 << 20;

#[derive(Default)]
struct Ramdisk(Vec<u8>);

impl Device for Ramdisk {
    fn attributes(&self) -> Attributes {
        Attributes::file(0o666, self.0.len() as u64)
    }

    fn open(&mut self, ocb: &mut Ocb) -> Result<()> {
        if ocb.is_writable() && ocb.ioflag & libc::O_TRUNC.cast_unsigned() != 0 {
            self.0.clear();
        }
        Ok(())
    }

    fn read(&mut self, _: &mut Ocb, at: u64, to: &mut Output) -> Result<()> {
        let start = at.min(self.0.len() as u64) as usize;
        to.put(&self.0[start..]).map(drop)
    }

    fn write(&mut self, _: &mut Ocb, at: u64, from: &mut Input<'_>) -> Result<()> {
        let end = at.saturating_add(from.len() as u64);
        if end > SIZE_MAX {
            return Err(Error(libc::ENOSPC));
        }
        let (start, end) = (at as usize, end as usize);
        if end > self.0.len() {
            self.0.resize(end, 0);
        }
        from.take(&mut self.0[start..end]).map(drop)
    }
}

fn main() -> Result<()> {
    Manager::attach("/dev/ramdisk", Ramdisk::default())?.run()
}
