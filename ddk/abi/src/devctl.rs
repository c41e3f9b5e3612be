//! Commands of the `devctl` operation and the structures they carry.

/// Set promiscuous mode: a `u32`, 0 or 1.
pub const DEVCTL_PROMISCUOUS: u32 = 12;
/// Read [`NicConfig`].
pub const DEVCTL_GET_CONFIG: u32 = 21;
/// Read [`NicStats`].
pub const DEVCTL_GET_STATS: u32 = 22;
/// Read the link state: a `u32`, 0 down, 1 up.
pub const DEVCTL_LINK_STATE: u32 = 25;
/// A request in JSON text, answered in JSON text, both UTF-8: for commands of a module's own.
pub const DEVCTL_JSON: u32 = 0x100;

/// Bytes of buffer that io-net gives a `devctl` call, at the least.
pub const DEVCTL_BUF: usize = 65536;

/// [`NicConfig::flags`]: takes multicast.
pub const NIC_MULTICAST: u32 = 0x0200;
/// [`NicConfig::flags`]: promiscuous.
pub const NIC_PROMISCUOUS: u32 = 0x0400;
/// [`NicConfig::flags`]: takes broadcast.
pub const NIC_BROADCAST: u32 = 0x0800;
/// [`NicConfig::flags`]: the link is down.
pub const NIC_LINK_DOWN: u32 = 0x2000;

/// What an adaptor is, as `nicinfo` shows it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NicConfig {
    /// `NIC_*`.
    pub flags: u32,
    /// Largest transmittable unit with the Ethernet header, bytes.
    pub mtu: u32,
    /// Largest receivable unit with the Ethernet header, bytes.
    pub mru: u32,
    /// Number of the interface (the 0 of `en0`).
    pub lan: u32,
    /// Media rate in kbit/s; `u32::MAX` where unknown.
    pub media_rate: u32,
    /// 1 full, 0 half, -1 unknown.
    pub duplex: i32,
    /// Transmit and receive queues in use.
    pub queues: u32,
    /// Bytes used of the addresses.
    pub mac_length: u32,
    /// Address the adaptor was made with.
    pub permanent_address: [u8; 8],
    /// Address in use.
    pub current_address: [u8; 8],
    /// First I/O port or 0.
    pub io_port: u64,
    /// Interrupt, or -1.
    pub irq: i32,
    /// 0.
    pub reserved: u32,
    /// What it is, NUL-padded.
    pub device_description: [u8; 64],
    /// Type above (`en`), NUL-padded.
    pub uptype: [u8; 16],
}

/// What an adaptor has done. Counters a driver cannot tell stay 0 with their `valid` bit clear.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct NicStats {
    /// Bit n set: the n-th counter after `octets_rxed_ok` is kept.
    pub valid: u64,
    /// Packets sent.
    pub txed_ok: u64,
    /// Packets received.
    pub rxed_ok: u64,
    /// Bytes sent, Ethernet headers included.
    pub octets_txed_ok: u64,
    /// Bytes received, Ethernet headers included.
    pub octets_rxed_ok: u64,
    /// Broadcasts sent (bit 0).
    pub txed_broadcast: u64,
    /// Broadcasts received (bit 1).
    pub rxed_broadcast: u64,
    /// Multicasts sent (bit 2).
    pub txed_multicast: u64,
    /// Multicasts received (bit 3).
    pub rxed_multicast: u64,
    /// Packets not sent for want of a buffer or of room (bit 4).
    pub tx_failed_allocs: u64,
    /// Packets not received for want of a buffer (bit 5).
    pub rx_failed_allocs: u64,
    /// Frames received with errors (bit 6).
    pub rx_errors: u64,
    /// Frames that could not be sent (bit 7).
    pub tx_errors: u64,
}
