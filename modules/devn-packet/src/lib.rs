//! A driver that counts packets, to start from.
#![deny(unsafe_code)]

use io_net_ddk::prelude::*;

/// One place in the graph. io-net calls it from one thread.
struct Counting {
    up: Counter,
    down: Counter,
}

impl Registrant for Counting {
    fn rx_up(&mut self, burst: Burst, cx: &Cx) {
        self.up.add(burst.len() as u64);
        cx.tx_up(burst);
    }

    fn rx_down(&mut self, burst: Burst, _cx: &Cx) {
        self.down.add(burst.len() as u64);
        // Dropping a burst releases its packets.
        drop(burst);
    }
}

/// Makes an instance. Where it fails, io-net shows the text and takes back what was registered.
fn init(init: &mut Init) -> Result<(), Failure> {
    init.register(Place::driver(c"en", c"en"), |cx| {
        Ok(Counting {
            up: cx.counter(c"up"),
            down: cx.counter(c"down"),
        })
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-packet",
    summary: c"Counts packets",
    options: [],
    init: init,
}
