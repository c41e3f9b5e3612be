//! A directory of files in memory: what is created below `/dev/files` is there until this ends.

use std::collections::BTreeMap;

use io_net_msg::resmgr::{Attributes, Device, Input, Manager, Ocb, Output};
use io_net_msg::{Error, Result};

#[derive(Default)]
pub(crate) struct Files(BTreeMap<String, Vec<u8>>);

impl Device for Files {
    fn lookup(&self, ocb: &Ocb) -> Result<Attributes> {
        match self.0.get(&ocb.path) {
            Some(file) => Ok(Attributes::file(0o666, file.len() as u64)),
            None if ocb.path.is_empty() => Ok(Attributes::directory(0o777)),
            None => Err(Error(libc::ENOENT)),
        }
    }

    fn create(&mut self, ocb: &Ocb, _: u32) -> Result<()> {
        self.0.insert(ocb.path.clone(), Vec::new());
        Ok(())
    }

    fn list(&mut self, _: &Ocb) -> Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn read(&mut self, ocb: &mut Ocb, at: u64, to: &mut Output) -> Result<()> {
        let file = self.0.get(&ocb.path).ok_or(Error(libc::ENOENT))?;
        to.put(file.get(at as usize..).unwrap_or_default())
            .map(drop)
    }

    fn write(&mut self, ocb: &mut Ocb, at: u64, from: &mut Input<'_>) -> Result<()> {
        let file = self.0.entry(ocb.path.clone()).or_default();
        let end = at.saturating_add(from.len() as u64) as usize;
        if end > 1 << 20 {
            return Err(Error(libc::ENOSPC));
        }
        file.resize(file.len().max(end), 0);
        from.take(&mut file[at as usize..end]).map(drop)
    }
}

fn main() -> Result<()> {
    Manager::attach("/dev/files", Files::default())?.run()
}
