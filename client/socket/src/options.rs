//! getsockopt and setsockopt with Linux's numbers, checks and defaults.
//!
//! Most options are words in the slot that io-net reads when it looks at the socket. What only
//! io-net can answer (TCP_INFO, multicast membership, ...) is a request.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use io_net_os::unix;
use io_net_proto::options::{flag, word};
use io_net_proto::request::{VALUE_MAX, op};
use io_net_proto::slot::State;

use crate::endpoint::{Endpoint, lock};
use crate::errno::{Errno, Result};

const NO_SUCH: Errno = Errno(libc::ENOPROTOOPT);

/// SO_SNDBUF and SO_RCVBUF are held between these, in bytes.
const BUFFER_MIN: i32 = 2048;
const BUFFER_MAX: i32 = 1 << 24;

/// How an option is kept.
#[derive(Clone, Copy)]
enum Kept {
    /// A flag.
    Flag(u32),
    /// A flag that says the opposite.
    NotFlag(u32),
    /// A word: its index, least and greatest value, and what 0 stands for.
    Word(usize, i32, i32, i32),
    /// A word that holds the value plus one: its index, least, greatest, and what 0 stands for.
    Plus(usize, i32, i32, i32),
    /// Accepted, with no effect; this is what it reads as.
    Ignored(i32),
    /// Cannot be set.
    Fixed(i32),
}

/// How `level`, `name` is kept; None: in another way, or not at all.
fn kept(level: i32, name: i32) -> Option<Kept> {
    use Kept::{Fixed, Flag, Ignored, NotFlag, Plus, Word};
    const INT: i32 = i32::MAX;
    Some(match (level, name) {
        (libc::SOL_SOCKET, libc::SO_REUSEADDR) => Flag(flag::REUSE_ADDRESS),
        (libc::SOL_SOCKET, libc::SO_REUSEPORT) => Flag(flag::REUSE_PORT),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => Flag(flag::KEEP_ALIVE),
        (libc::SOL_SOCKET, libc::SO_BROADCAST) => Flag(flag::BROADCAST),
        (libc::SOL_SOCKET, libc::SO_OOBINLINE) => Flag(flag::OOB_INLINE),
        (libc::SOL_SOCKET, libc::SO_DONTROUTE) => Flag(flag::DONT_ROUTE),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMP) => Flag(flag::TIMESTAMP),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => Flag(flag::TIMESTAMP_NS),
        (libc::SOL_SOCKET, libc::SO_PRIORITY) => Word(word::PRIORITY, 0, 6, 0),
        (libc::SOL_SOCKET, libc::SO_MARK) => Word(word::MARK, i32::MIN, INT, 0),
        (libc::SOL_SOCKET, libc::SO_SNDLOWAT) => Fixed(1),
        (libc::SOL_SOCKET, libc::SO_DEBUG | libc::SO_NO_CHECK | libc::SO_BUSY_POLL) => Ignored(0),
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL | libc::SO_ZEROCOPY) => Ignored(0),
        (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE) => Ignored(-1),
        (libc::SOL_SOCKET, libc::SO_INCOMING_CPU) => Ignored(-1),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => Flag(flag::NO_DELAY),
        (libc::IPPROTO_TCP, libc::TCP_CORK) => Flag(flag::CORK),
        (libc::IPPROTO_TCP, libc::TCP_QUICKACK) => NotFlag(flag::NO_QUICK_ACK),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => Word(word::KEEP_IDLE, 1, 32_767, 7200),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => Word(word::KEEP_INTERVAL, 1, 32_767, 75),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => Word(word::KEEP_COUNT, 1, 127, 9),
        (libc::IPPROTO_TCP, libc::TCP_SYNCNT) => Word(word::SYN_COUNT, 1, 127, 6),
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => Word(word::USER_TIMEOUT, 0, INT, 0),
        (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) => Word(word::DEFER_ACCEPT, 0, INT, 0),
        (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP) => Word(word::WINDOW_CLAMP, 0, INT, 0),
        (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT) => Word(word::NOT_SENT_LOW, 0, INT, 0),
        (libc::IPPROTO_TCP, libc::TCP_LINGER2) => Plus(word::LINGER2, -1, 120, 60),
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN | libc::TCP_FASTOPEN_CONNECT) => Ignored(0),
        (libc::IPPROTO_TCP, libc::TCP_THIN_LINEAR_TIMEOUTS | libc::TCP_THIN_DUPACK) => Ignored(0),
        (libc::IPPROTO_IP, libc::IP_TTL) => Word(word::TTL, 1, 255, 64),
        (libc::IPPROTO_IP, libc::IP_TOS) => Word(word::TOS, 0, 255, 0),
        (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL) => Plus(word::MULTICAST_TTL, 0, 255, 1),
        (libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP) => NotFlag(flag::NO_MULTICAST_LOOP),
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => Flag(flag::PACKET_INFO),
        (libc::IPPROTO_IP, libc::IP_RECVTTL) => Flag(flag::RECEIVE_TTL),
        (libc::IPPROTO_IP, libc::IP_RECVTOS) => Flag(flag::RECEIVE_TOS),
        (libc::IPPROTO_IP, libc::IP_RECVERR) => Flag(flag::RECEIVE_ERRORS),
        (libc::IPPROTO_IP, libc::IP_FREEBIND) => Flag(flag::FREE_BIND),
        (libc::IPPROTO_IP, libc::IP_TRANSPARENT) => Flag(flag::TRANSPARENT),
        (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT) => Flag(flag::BIND_NO_PORT),
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER) => Ignored(libc::IP_PMTUDISC_WANT),
        (libc::IPPROTO_IP, libc::IP_MULTICAST_ALL) => Ignored(1),
        (libc::IPPROTO_UDP, libc::UDP_CORK | libc::UDP_GRO) => Ignored(0),
        _ => return None,
    })
}

fn int(value: &[u8]) -> Result<i32> {
    match *value {
        [a, b, c, d, ..] => Ok(i32::from_ne_bytes([a, b, c, d])),
        // Linux takes one byte for the options of level IP.
        [a, ..] => Ok(a.into()),
        [] => Err(Errno::INVALID),
    }
}

impl Endpoint {
    /// setsockopt(2).
    ///
    /// # Errors
    /// ENOPROTOOPT, EINVAL, EDOM, or what io-net answers.
    pub fn set_option(
        &self,
        doorbell: BorrowedFd<'_>,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<()> {
        let one_byte = level == libc::IPPROTO_IP;
        if let Some(kept) = kept(level, name).filter(|_| self.has_level(level)) {
            if value.len() < if one_byte { 1 } else { 4 } {
                return Err(Errno::INVALID);
            }
            return self.keep(kept, int(value)?);
        }
        if level == libc::SOL_SOCKET {
            return self.set_socket_option(doorbell, name, value);
        }
        match (level, name) {
            (libc::IPPROTO_TCP, libc::TCP_MAXSEG) if self.is_stream() => {
                self.set_word(word::MAX_SEGMENT, checked(int(value)?, 88, 32_767)?)
            }
            (libc::IPPROTO_TCP, libc::TCP_ULP) if self.is_stream() => Err(Errno(libc::ENOENT)),
            (libc::IPPROTO_TCP, libc::TCP_CONGESTION) if self.is_stream() => {
                match self.congestion() == value.split(|&b| b == 0).next().unwrap_or_default() {
                    true => Ok(()),
                    false => Err(Errno(libc::ENOENT)),
                }
            }
            (libc::IPPROTO_IP, libc::IP_MULTICAST_IF) => match *value {
                [a, b, c, d] => {
                    self.set_word(word::MULTICAST_INTERFACE, u32::from_ne_bytes([a, b, c, d]))
                }
                // struct ip_mreqn and ip_mreq: the address follows the group.
                [_, _, _, _, a, b, c, d, ..] => {
                    self.set_word(word::MULTICAST_INTERFACE, u32::from_ne_bytes([a, b, c, d]))
                }
                _ => Err(Errno::INVALID),
            },
            _ => self.request_set(doorbell, level, name, value),
        }
    }

    fn set_socket_option(&self, doorbell: BorrowedFd<'_>, name: i32, value: &[u8]) -> Result<()> {
        let pair = || match value.len() {
            8.. => Ok((int(value)?, int(&value[4..])?)),
            _ => Err(Errno::INVALID),
        };
        match name {
            libc::SO_LINGER => {
                let (on, seconds) = pair()?;
                let word = if on == 0 {
                    0
                } else {
                    seconds.clamp(0, 65_535) + 1
                };
                self.set_word(word::LINGER, word.cast_unsigned())
            }
            libc::SO_RCVTIMEO => self.set_receive_timeout(doorbell, timeval(value)?),
            libc::SO_SNDTIMEO => {
                set_timeout(&self.slot().shared.send_timeout, timeval(value)?);
                Ok(())
            }
            libc::SO_RCVLOWAT => {
                let low = int(value)?.max(1).cast_unsigned();
                self.slot().shared.receive_low.store(low, Ordering::Relaxed);
                Ok(())
            }
            libc::SO_RCVBUF | libc::SO_RCVBUFFORCE => {
                let size = int(value)?.clamp(BUFFER_MIN / 2, BUFFER_MAX);
                self.set_word(word::RECEIVE_BUFFER, size.cast_unsigned())
            }
            libc::SO_SNDBUF | libc::SO_SNDBUFFORCE => {
                let size = int(value)?.clamp(BUFFER_MIN, BUFFER_MAX);
                self.set_word(word::SEND_BUFFER, size.cast_unsigned())
            }
            libc::SO_BINDTODEVICE => self.request_set(doorbell, libc::SOL_SOCKET, name, value),
            _ => Err(NO_SUCH),
        }
    }

    /// SO_RCVTIMEO; zero: for ever. The doorbell gets it too, as accept waits on that.
    ///
    /// # Errors
    /// Never in practice.
    pub fn set_receive_timeout(&self, doorbell: BorrowedFd<'_>, timeout: Duration) -> Result<()> {
        unix::set_receive_timeout(doorbell, timeout)?;
        set_timeout(&self.slot().shared.receive_timeout, timeout);
        Ok(())
    }

    /// getsockopt(2): writes the value to `value` and returns its length, both as Linux would for a
    /// buffer of that size.
    ///
    /// # Errors
    /// ENOPROTOOPT, EINVAL, or what io-net answers.
    pub fn get_option(
        &self,
        doorbell: BorrowedFd<'_>,
        level: i32,
        name: i32,
        value: &mut [u8],
    ) -> Result<usize> {
        if let Some(kept) = kept(level, name).filter(|_| self.has_level(level)) {
            return Ok(put(value, &self.kept_value(kept).to_ne_bytes()));
        }
        match (level, name) {
            (libc::SOL_SOCKET, _) => self.get_socket_option(doorbell, name, value),
            (libc::IPPROTO_TCP, libc::TCP_MAXSEG) if self.is_stream() => {
                let connected = self.slot().server.max_segment.load(Ordering::Relaxed);
                let wanted = self.word(word::MAX_SEGMENT);
                let size = [connected, wanted, 536].into_iter().find(|&s| s != 0);
                Ok(put(value, &size.unwrap_or(0).to_ne_bytes()))
            }
            (libc::IPPROTO_TCP, libc::TCP_CONGESTION) if self.is_stream() => {
                let mut name = [0; 16];
                let own = self.congestion();
                name[..own.len()].copy_from_slice(own);
                Ok(put(value, &name))
            }
            (libc::IPPROTO_IP, libc::IP_MULTICAST_IF) => Ok(put(
                value,
                &self.word(word::MULTICAST_INTERFACE).to_ne_bytes(),
            )),
            (libc::IPPROTO_IP, libc::IP_OPTIONS) => Ok(0),
            _ => self.request_get(doorbell, level, name, value),
        }
    }

    fn get_socket_option(
        &self,
        doorbell: BorrowedFd<'_>,
        name: i32,
        value: &mut [u8],
    ) -> Result<usize> {
        let shared = &self.slot().shared;
        let int = match name {
            libc::SO_ERROR => self.take_error().cast_signed(),
            libc::SO_TYPE => self.socket_type(),
            libc::SO_DOMAIN => self.domain(),
            libc::SO_PROTOCOL => match (self.protocol(), self.is_stream()) {
                (0, true) => libc::IPPROTO_TCP,
                (0, false) => libc::IPPROTO_UDP,
                (protocol, _) => protocol,
            },
            libc::SO_ACCEPTCONN => (self.state().0 == State::Listening).into(),
            libc::SO_RCVLOWAT => shared
                .receive_low
                .load(Ordering::Relaxed)
                .max(1)
                .cast_signed(),
            libc::SO_RCVBUF => self.buffer_size(word::RECEIVE_BUFFER),
            libc::SO_SNDBUF => self.buffer_size(word::SEND_BUFFER),
            libc::SO_LINGER => {
                let word = self.word(word::LINGER).cast_signed();
                let pair = [i32::from(word != 0), (word - 1).max(0)];
                return Ok(put(value, pair.map(i32::to_ne_bytes).as_flattened()));
            }
            libc::SO_RCVTIMEO => return Ok(put(value, &timeval_of(&shared.receive_timeout))),
            libc::SO_SNDTIMEO => return Ok(put(value, &timeval_of(&shared.send_timeout))),
            libc::SO_COOKIE if value.len() >= 8 => {
                return Ok(put(value, &unix::cookie(doorbell)?.to_ne_bytes()));
            }
            libc::SO_BINDTODEVICE => {
                return self.request_get(doorbell, libc::SOL_SOCKET, name, value);
            }
            _ => return Err(NO_SUCH),
        };
        Ok(put(value, &int.to_ne_bytes()))
    }

    /// Linux reports twice what was set; unset, what the FIFO holds.
    fn buffer_size(&self, index: usize) -> i32 {
        let server = &self.slot().server;
        let size = if index == word::SEND_BUFFER {
            &server.tx_size
        } else {
            &server.rx_size
        };
        match self.word(index) {
            0 => size.load(Ordering::Relaxed).cast_signed(),
            set => set.saturating_mul(2).cast_signed(),
        }
    }

    fn congestion(&self) -> &'static [u8] {
        b"reno"
    }

    /// Whether options of this level exist for this socket.
    fn has_level(&self, level: i32) -> bool {
        match level {
            libc::IPPROTO_TCP => self.is_stream(),
            libc::IPPROTO_UDP => !self.is_stream(),
            _ => true,
        }
    }

    fn word(&self, index: usize) -> u32 {
        self.slot().options[index].load(Ordering::Relaxed)
    }

    fn keep(&self, kept: Kept, value: i32) -> Result<()> {
        match kept {
            Kept::Flag(bit) => self.set_flag(bit, value != 0),
            Kept::NotFlag(bit) => self.set_flag(bit, value == 0),
            Kept::Word(index, min, max, _) => self.set_word(index, checked(value, min, max)?),
            Kept::Plus(index, min, max, default) => {
                let value = if value == -1 && min == 0 {
                    default
                } else {
                    value
                };
                self.set_word(index, checked(value, min, max)?.wrapping_add(1))
            }
            Kept::Ignored(_) => Ok(()),
            Kept::Fixed(_) => Err(NO_SUCH),
        }
    }

    fn kept_value(&self, kept: Kept) -> i32 {
        let flags = self.word(word::FLAGS);
        match kept {
            Kept::Flag(bit) => (flags & bit != 0).into(),
            Kept::NotFlag(bit) => (flags & bit == 0).into(),
            Kept::Word(index, .., default) => match self.word(index) {
                0 => default,
                value => value.cast_signed(),
            },
            Kept::Plus(index, .., default) => match self.word(index) {
                0 => default,
                value => value.wrapping_sub(1).cast_signed(),
            },
            Kept::Ignored(value) | Kept::Fixed(value) => value,
        }
    }

    fn set_flag(&self, bit: u32, on: bool) -> Result<()> {
        let flags = self.word(word::FLAGS);
        self.set_word(word::FLAGS, if on { flags | bit } else { flags & !bit })
    }

    fn set_word(&self, index: usize, value: u32) -> Result<()> {
        let slot = self.slot();
        let guard = lock(&slot.shared.control_lock)?;
        if slot.options[index].swap(value, Ordering::Relaxed) == value {
            return Ok(());
        }
        slot.program
            .options_sequence
            .fetch_add(1, Ordering::Release);
        drop(guard);
        self.tell();
        Ok(())
    }

    fn request_set(
        &self,
        doorbell: BorrowedFd<'_>,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<()> {
        if value.len() > VALUE_MAX {
            return Err(Errno::INVALID);
        }
        self.request(
            doorbell,
            op::SET_OPTION,
            |request| {
                request.args = [level, name].map(i32::cast_unsigned);
                request.value[..value.len()].copy_from_slice(value);
                request.value_len = value.len() as u32;
            },
            &mut [],
        )?;
        Ok(())
    }

    fn request_get(
        &self,
        doorbell: BorrowedFd<'_>,
        level: i32,
        name: i32,
        value: &mut [u8],
    ) -> Result<usize> {
        let args = [level, name].map(i32::cast_unsigned);
        let len = self.request(doorbell, op::GET_OPTION, |r| r.args = args, value)?;
        Ok(len.min(value.len()))
    }
}

fn checked(value: i32, min: i32, max: i32) -> Result<u32> {
    if (min..=max).contains(&value) {
        Ok(value.cast_unsigned())
    } else {
        Err(Errno::INVALID)
    }
}

/// Writes what fits of `from`; Linux truncates values silently.
fn put(to: &mut [u8], from: &[u8]) -> usize {
    let len = to.len().min(from.len());
    to[..len].copy_from_slice(&from[..len]);
    len
}

fn timeval(value: &[u8]) -> Result<Duration> {
    let (words, _) = value.as_chunks::<8>();
    let [seconds, micros, ..] = *words else {
        return Err(Errno::INVALID);
    };
    let (seconds, micros) = (i64::from_ne_bytes(seconds), i64::from_ne_bytes(micros));
    if !(0..1_000_000).contains(&micros) {
        return Err(Errno(libc::EDOM));
    }
    // Linux takes a negative time as none at all.
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Ok(Duration::new(seconds, micros as u32 * 1000))
}

fn timeval_of(nanoseconds: &AtomicU64) -> [u8; 16] {
    let ns = nanoseconds.load(Ordering::Relaxed);
    let words = [ns / 1_000_000_000, ns % 1_000_000_000 / 1000];
    let mut value = [0; 16];
    value.copy_from_slice(words.map(u64::to_ne_bytes).as_flattened());
    value
}

fn set_timeout(place: &AtomicU64, timeout: Duration) {
    let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    place.store(ns, Ordering::Relaxed);
}
