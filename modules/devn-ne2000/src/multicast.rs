//! The chip's filter of multicast addresses: 64 bits, picked by a hash of the address
//! (DP8390D data sheet, section 8, multicast address registers).

/// The generator of Ethernet's CRC (IEEE 802.3, 3.2.9), without its highest power.
const POLYNOMIAL: u32 = 0x04c1_1db7;

/// The filter that lets `groups` pass, and by chance others; none of them stands for all.
pub(crate) fn filter(groups: &[[u8; 6]]) -> [u8; 8] {
    if groups.is_empty() {
        return [0xff; 8];
    }
    let mut filter = [0; 8];
    for &group in groups {
        let bit = hash(group);
        filter[bit / 8] |= 1 << (bit % 8);
    }
    filter
}

/// The number of an address's bit: the six highest of the CRC register once the address has gone
/// through, each byte from its lowest bit on.
fn hash(address: [u8; 6]) -> usize {
    let mut crc = u32::MAX;
    for byte in address {
        for bit in 0..8 {
            let feedback = (crc >> 31) ^ u32::from((byte >> bit) & 1);
            crc = (crc << 1) ^ (feedback * POLYNOMIAL);
        }
    }
    (crc >> 26) as usize
}
