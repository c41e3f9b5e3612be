//! What is counted, by name.

use io_net_ddk::NicCounters;
use io_net_ddk::prelude::*;

macro_rules! counters {
    ($($field:ident $doc:literal)*) => {
        /// Every counter of an interface.
        #[derive(Clone, Copy)]
        pub(crate) struct Counters {
            pub(crate) nic: NicCounters,
            $(#[doc = $doc] pub(crate) $field: Counter,)*
        }

        impl Counters {
            /// Makes the counters of `cx`'s registrant.
            pub(crate) fn new(cx: &Cx) -> Self {
                Counters {
                    nic: NicCounters::new(cx),
                    $($field: cx.counter(counters!(@name $field)),)*
                }
            }
        }
    };
    (@name $field:ident) => {
        const {
            match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($field), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name has no NUL"),
            }
        }
    };
}

counters! {
    rx_filtered "Frames for others, or of groups not asked for, that the chip's filter let pass."
    rx_crc_errors "Frames with a wrong checksum, by the chip's counter."
    rx_align_errors "Frames that were no whole number of bytes, by the chip's counter."
    rx_missed "Frames for which the ring had no room, by the chip's counter."
    rx_fifo_overruns "Frames that the chip could not store fast enough."
    rx_too_long "Frames longer than Ethernet's."
    rx_overruns "Times that the ring was full and the chip was restarted."
    rx_ring_resets "Times that the ring held rubbish and was emptied."
    tx_too_long "Frames longer than the MTU."
    tx_link_down "Frames sent while the card was gone."
    tx_collisions "Collisions."
    tx_aborted "Frames given up after sixteen collisions."
    tx_carrier_lost "Frames during which the carrier was lost."
    tx_fifo_underruns "Frames that the chip could not fetch fast enough."
    tx_late_collisions "Frames with a collision out of its window."
    tx_heartbeat_lost "Frames after which the transceiver gave no heartbeat."
    tx_timeouts "Frames of which the chip never told what became of them."
    dma_timeouts "Remote DMAs that did not complete."
    chip_resets "Times that the chip was reset."
    interrupts "Interrupts."
}
