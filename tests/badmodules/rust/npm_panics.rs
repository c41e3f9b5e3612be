//! Panics where the option `at=` says: in `init`, at the first packets (`rx`), in a timer, in a
//! control call, at quiesce, or when it is dropped.
#![deny(unsafe_code)]

use io_net_ddk::prelude::*;

struct Panics {
    at: String,
}

impl Panics {
    fn here(&self, place: &str) {
        assert!(self.at != place, "at {place}, as asked");
    }
}

impl Registrant for Panics {
    fn rx_up(&mut self, burst: Burst, _: &Cx) {
        self.here("rx");
        drop(burst);
    }

    fn timer(&mut self, _: u32, _: u64, _: &Cx) {
        self.here("timer");
    }

    fn devctl(&mut self, _: u32, _: &mut [u8], _: usize, _: &Cx) -> Result<usize, Failure> {
        self.here("devctl");
        Ok(0)
    }

    fn quiesce(&mut self, _: &Cx) {
        self.here("quiesce");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.here("drop");
    }
}

fn init(init: &mut Init) -> Result<(), Failure> {
    let at = init.options().text("at").unwrap_or("init").to_owned();
    init.register(Place::protocol(c"panics", c"en"), |cx| {
        cx.all_packets()?;
        cx.timer(0, cx.now_ns() + 1_000_000);
        let panics = Panics { at };
        panics.here("init");
        Ok(panics)
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_PROTOCOL,
    name: c"npm-panics",
    summary: c"Panics.",
    options: [io_net_ddk::text(c"at", false, c"where to panic")],
    init: init,
}
