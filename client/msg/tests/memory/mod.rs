//! The device of `c/device.h` in Rust.

use io_net_msg::resmgr::{Attributes, Device, Input, Manager, Ocb, Output};
use io_net_msg::{Error, Result};

const SIZE: usize = 4096;

// `_DCMD_MISC`, as devctl.h makes them.
const CLEAR: u32 = 0x0501;
const OPENS: u32 = 0x4004_0502;
const FILL: u32 = 0x8001_0503;
const DOUBLE: u32 = 0xc004_0504;

struct Memory {
    bytes: [u8; SIZE],
    opens: i32,
}

impl Device for Memory {
    fn attributes(&self) -> Attributes {
        Attributes::file(0o666, SIZE as u64)
    }

    fn open(&mut self, _: &mut Ocb) -> Result<()> {
        self.opens += 1;
        Ok(())
    }

    fn read(&mut self, _: &mut Ocb, at: u64, to: &mut Output) -> Result<()> {
        let start = at.min(SIZE as u64) as usize;
        to.put(&self.bytes[start..]).map(drop)
    }

    fn write(&mut self, _: &mut Ocb, at: u64, from: &mut Input<'_>) -> Result<()> {
        let start = at.min(SIZE as u64) as usize;
        if start == SIZE && !from.is_empty() {
            return Err(Error(libc::ENOSPC));
        }
        from.take(&mut self.bytes[start..]).map(drop)
    }

    fn devctl(&mut self, _: &mut Ocb, dcmd: u32, data: &mut Vec<u8>) -> Result<i32> {
        let number = |data: &[u8]| -> Result<i32> {
            let bytes = data.try_into().map_err(|_| Error::INVALID)?;
            Ok(i32::from_ne_bytes(bytes))
        };
        let returned = match dcmd {
            CLEAR => {
                self.bytes.fill(0);
                0
            }
            OPENS => self.opens,
            FILL => {
                self.bytes.fill(*data.first().ok_or(Error::INVALID)?);
                0
            }
            DOUBLE => 2 * number(data)?,
            _ => return Err(Error(libc::ENOTTY)),
        };
        *data = returned.to_ne_bytes().to_vec();
        Ok(returned)
    }

    fn close(&mut self, _: Ocb) {
        self.opens -= 1;
    }
}

/// Serves it for ever.
pub(crate) fn serve() {
    let bytes = [0; SIZE];
    let mut manager = Manager::attach("/dev/c/memory", Memory { bytes, opens: 0 }).unwrap();
    println!("ready");
    panic!("{:?}", manager.run());
}
