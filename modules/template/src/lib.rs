//! The smallest module: a filter that counts what passes it and passes everything on.
//!
//! The DDK guide builds on it. It shows all that a module must have: a registrant, the function
//! that makes it, and the description that io-net reads.
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

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        self.down.add(burst.len() as u64);
        cx.tx_down(burst);
    }
}

/// Makes an instance. Where it fails, io-net shows the text and takes back what was registered.
fn init(init: &mut Init) -> Result<(), Failure> {
    init.register(Place::filter(c"template"), |cx| {
        Ok(Counting {
            up: cx.counter(c"up"),
            down: cx.counter(c"down"),
        })
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_FILTER,
    name: c"nfm-template",
    summary: c"Counts packets",
    options: [],
    init: init,
}
