//! A resource manager: each read of `/dev/counter` gives the next number, a write sets it.
//!
//! `counter` serves; `counter PATH` reads once, `counter PATH N` sets it. From another node the path
//! is `/net/NODE/dev/counter`, and nothing else changes.

use std::io::{Read, Write};

use io_net_msg::resmgr::{Attributes, Device, File, Input, Manager, Ocb, Output};
use io_net_msg::{Error, Result};

struct Counter(u64);

impl Device for Counter {
    fn attributes(&self) -> Attributes {
        Attributes::device(0o666)
    }

    fn read(&mut self, _: &mut Ocb, at: u64, to: &mut Output) -> Result<()> {
        // One number an open: what follows is the end of the file.
        if at == 0 {
            self.0 += 1;
            to.put(format!("{}\n", self.0).as_bytes())?;
        }
        Ok(())
    }

    fn write(&mut self, _: &mut Ocb, _: u64, from: &mut Input<'_>) -> Result<()> {
        let mut digits = [0; 20];
        let len = from.take(&mut digits)?;
        let text = std::str::from_utf8(&digits[..len]).map_err(|_| Error::INVALID)?;
        self.0 = text.trim().parse().map_err(|_| Error::INVALID)?;
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        return Ok(Manager::attach("/dev/counter", Counter(0))?.run()?);
    };
    let mut file = File::open(&path, libc::O_RDWR)?;
    if let Some(number) = args.next() {
        return file.write_all(number.as_bytes());
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    print!("{text}");
    Ok(())
}
