//! What the protocol counts by itself, shown as counters of this registrant.

use io_net_ddk::{Counter, Cx};
use io_net_qnet::Qnet;
use std::ffi::CString;

/// Names and values of some fields of a value.
macro_rules! fields {
    ($of:expr, $($name:literal $field:ident,)*) => { [$(($name, $of.$field),)*] };
}

/// A counter for each figure, and what has been added to it.
pub(crate) struct Figures(Vec<(Counter, u64)>);

impl Figures {
    pub(crate) fn new(qnet: &Qnet, cx: &Cx) -> Self {
        let counter = |(name, _)| {
            let name: &str = name;
            let name = CString::new(name).unwrap_or_default();
            (cx.counter(&name), 0)
        };
        Figures(all(qnet).map(counter).collect())
    }

    /// Brings the counters up to date.
    pub(crate) fn take(&mut self, qnet: &Qnet) {
        for ((counter, shown), (_, value)) in self.0.iter_mut().zip(all(qnet)) {
            if value != *shown {
                counter.add(value.wrapping_sub(*shown));
                *shown = value;
            }
        }
    }
}

fn all(qnet: &Qnet) -> impl Iterator<Item = (&'static str, u64)> {
    let transport = fields!(
        qnet.transport().stats(),
        "tx_frames" tx_frames,
        "rx_frames" rx_frames,
        "tx_messages" tx_messages,
        "rx_messages" rx_messages,
        "tx_again" tx_again,
        "tx_acks" tx_acks,
        "tx_probes" tx_probes,
        "sessions" sessions,
        "drop_malformed" drop_malformed,
        "drop_unknown_type" drop_unknown_type,
        "drop_unknown_link" drop_unknown_link,
        "drop_no_session" drop_no_session,
        "drop_crc" drop_crc,
        "drop_forged" drop_forged,
        "drop_replayed" drop_replayed,
        "drop_duplicate" drop_duplicate,
        "drop_refused" drop_refused,
        "drop_bogus_ack" drop_bogus_ack,
        "drop_misaddressed" drop_misaddressed,
        "drop_untrusted" drop_untrusted,
        "drop_flood" drop_flood,
        "drop_half_open" drop_half_open,
        "drop_handshake" drop_handshake,
        "drop_cookie" drop_cookie,
        "drop_datagram_tx" drop_datagram_tx,
        "drop_datagram_rx" drop_datagram_rx,
    );
    let kif = fields!(
        qnet.kif_stats(),
        "kif_messages_sent" messages_sent,
        "kif_messages_received" messages_received,
        "drop_kif_malformed" malformed,
        "drop_kif_stale" stale,
        "kif_refused" refused,
        "kif_client_errors" client_errors,
    );
    let names = fields!(
        qnet.stats(),
        "drop_datagrams_ignored" datagrams_ignored,
        "drop_lan_malformed" lan_malformed,
        "lan_ignored" lan_ignored,
        "peers_turned_away" peers_turned_away,
    );
    transport.into_iter().chain(kif).chain(names)
}
