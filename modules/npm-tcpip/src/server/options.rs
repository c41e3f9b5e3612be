//! Socket options: words in the slot, and those that take a request.

use super::Server;
use super::errno::{EINVAL, ENODEV, ENOENT, ENOPROTOOPT};
use super::slab::Key;
use io_net_proto::options::{flag, word};
use io_net_tcpip::{Instant, Keepalive, SocketId, SocketOptions, State, TcpInfo};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Linux's SOL_SOCKET and SO_BINDTODEVICE.
const BIND_TO_DEVICE: (u32, u32) = (1, 25);
/// Linux's IPPROTO_TCP and TCP_INFO.
const TCP_INFO: (u32, u32) = (6, 11);
/// Linux's IPPROTO_TCP and TCP_CONGESTION.
const TCP_CONGESTION: (u32, u32) = (6, 13);
/// The congestion control that the stack has.
const CONGESTION: &[u8] = b"reno";
/// Longest keepalive times, in seconds, and most probes; Linux's.
const KEEP_TIME_MAX: u32 = 32_767;
const KEEP_COUNT_MAX: u32 = 127;

impl Server {
    /// Takes over the option words of a socket's slot.
    #[cold]
    pub(super) fn apply_options(&mut self, now: Instant, key: Key) {
        let Some((socket, segment)) = self.shell.tables.socket(key) else {
            return;
        };
        let (Some(id), Some(slot)) = (socket.id, segment.memory.segment.slot(socket.slot)) else {
            return;
        };
        let words = slot.options.each_ref().map(|w| w.load(Ordering::Relaxed));
        if let Some(options) = self.stack.options(id) {
            // What the stack refuses stays as it was.
            let _ = self.stack.set_options(now, id, merge(options, &words));
        }
    }

    /// setsockopt of an option that has no word.
    pub(super) fn set_option(
        &mut self,
        now: Instant,
        id: SocketId,
        option: (u32, u32),
        value: &[u8],
    ) -> Result<(), u32> {
        match option {
            BIND_TO_DEVICE => {
                let name = value.split(|&byte| byte == 0).next().unwrap_or(&[]);
                let name = str::from_utf8(name).map_err(|_| EINVAL)?;
                let iface = match name {
                    "" => None,
                    name => Some(self.interfaces.find(name).ok_or(ENODEV)?),
                };
                let mut options = self.stack.options(id).ok_or(EINVAL)?;
                options.bind_iface = iface;
                let set = self.stack.set_options(now, id, options);
                set.map_err(super::errno::of_request)
            }
            TCP_CONGESTION => {
                let name = value.split(|&byte| byte == 0).next().unwrap_or(&[]);
                (name == CONGESTION).then_some(()).ok_or(ENOENT)
            }
            _ => Err(ENOPROTOOPT),
        }
    }

    /// getsockopt of an option that has no word.
    pub(super) fn get_option(&mut self, id: SocketId, option: (u32, u32)) -> Result<Vec<u8>, u32> {
        match option {
            TCP_INFO => {
                let info = self.stack.tcp_info(id).ok_or(ENOPROTOOPT)?;
                Ok(linux_tcp_info(&info).to_vec())
            }
            TCP_CONGESTION => {
                let mut name = CONGESTION.to_vec();
                name.resize(16, 0);
                Ok(name)
            }
            BIND_TO_DEVICE => {
                let bound = self.stack.options(id).and_then(|o| o.bind_iface);
                let name = bound.and_then(|id| self.interfaces.name(id));
                let mut name = name.unwrap_or("").as_bytes().to_vec();
                if !name.is_empty() {
                    name.push(0);
                }
                Ok(name)
            }
            _ => Err(ENOPROTOOPT),
        }
    }
}

/// The stack's options with a slot's words taken over, each brought within its range.
fn merge(old: SocketOptions, words: &[u32; word::COUNT]) -> SocketOptions {
    let set = |bit: u32| words[word::FLAGS] & bit != 0;
    let or = |index: usize, otherwise: u32, max: u32| match words[index] {
        0 => otherwise,
        value => value.min(max),
    };
    let seconds = |value: u32| Duration::from_secs(value.into());
    SocketOptions {
        reuse_addr: set(flag::REUSE_ADDRESS),
        reuse_port: set(flag::REUSE_PORT),
        broadcast: set(flag::BROADCAST),
        no_delay: set(flag::NO_DELAY),
        cork: set(flag::CORK),
        quick_ack: old.quick_ack,
        keepalive: set(flag::KEEP_ALIVE).then(|| Keepalive {
            idle: seconds(or(word::KEEP_IDLE, 7200, KEEP_TIME_MAX)),
            interval: seconds(or(word::KEEP_INTERVAL, 75, KEEP_TIME_MAX)),
            probes: or(word::KEEP_COUNT, 9, KEEP_COUNT_MAX),
        }),
        linger_abort: words[word::LINGER] == 1,
        user_timeout: match words[word::USER_TIMEOUT] {
            0 => None,
            millis => Some(Duration::from_millis(millis.into())),
        },
        max_segment: words[word::MAX_SEGMENT].min(65_495) as u16,
        ttl: or(word::TTL, 64, 255) as u8,
        tos: words[word::TOS] as u8,
        bind_iface: old.bind_iface,
    }
}

/// Linux's `struct tcp_info`, up to `tcpi_total_retrans`: 8 bytes, then 24 words.
fn linux_tcp_info(info: &TcpInfo) -> [u8; 104] {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mss = u32::from(info.mss).max(1);
    let segments = |bytes: usize| small(bytes).div_ceil(mss);
    let mut words = [0; 24];
    words[0] = micros(info.rto);
    words[2] = u32::from(info.mss);
    words[3] = u32::from(info.mss);
    words[4] = segments(info.in_flight);
    words[14] = small(info.recv_window);
    words[15] = micros(info.srtt.unwrap_or_default());
    words[16] = micros(info.rttvar);
    words[17] = segments(info.ssthresh);
    words[18] = segments(info.cwnd);
    words[19] = u32::from(info.mss);
    words[20] = 3;
    words[22] = small(info.recv_window);
    words[23] = u32::try_from(info.retransmits).unwrap_or(u32::MAX);
    let mut bytes = [0; 104];
    bytes[0] = linux_state(info.state);
    for (place, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Linux's number of a state (`TCP_ESTABLISHED` and its like).
fn linux_state(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_are_the_defaults() {
        let merged = merge(SocketOptions::default(), &[0; word::COUNT]);
        assert_eq!(merged, SocketOptions::default());
    }

    #[test]
    fn words_are_brought_within_range() {
        let merged = merge(SocketOptions::default(), &[u32::MAX; word::COUNT]);
        let keepalive = merged.keepalive.unwrap();
        assert_eq!(keepalive.idle, Duration::from_secs(32_767));
        assert_eq!((keepalive.probes, merged.ttl, merged.tos), (127, 255, 255));
        assert!(merged.no_delay && merged.cork && merged.reuse_addr);
        assert!(!merged.linger_abort);
        let mut words = [0; word::COUNT];
        words[word::LINGER] = 1;
        assert!(merge(SocketOptions::default(), &words).linger_abort);
    }
}
