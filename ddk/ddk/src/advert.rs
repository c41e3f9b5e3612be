//! Making and reading adverts.

use io_net_abi::{ADVERT_LINK_UP, Advert};

/// An advert of interface `name`, of packets of type `up_type`, with its link up; the rest is 0.
pub fn advert(name: &str, up_type: &str) -> Advert {
    Advert {
        size: size_of::<Advert>() as u32,
        flags: ADVERT_LINK_UP,
        cell: 0,
        endpoint: 0,
        iface: 0,
        mac_len: 0,
        mtu: 0,
        gso_max: 0,
        caps: 0,
        reserved: 0,
        mac: [0; 8],
        name: padded(name),
        up_type: padded(up_type),
    }
}

/// The name of the interface that `advert` is of.
pub fn advert_name(advert: &Advert) -> &str {
    let len = advert
        .name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(advert.name.len());
    str::from_utf8(&advert.name[..len]).unwrap_or("?")
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let len = text.len().min(N - 1);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    bytes
}
