//! Frames to try modules with: proper, cut short, and senseless, always the same for one seed.

/// A source of repeatable randomness (xorshift64*).
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next_u64() >> 11) as usize % n
    }

    /// `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next_u64() as u8).collect()
    }
}

/// An Ethernet frame.
pub fn ethernet(dst: [u8; 6], src: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&dst[..], &src, &ethertype.to_be_bytes(), payload].concat()
}

/// An IPv4 packet of `protocol` from 10.0.0.1 to 10.0.0.2, its header's checksum right (RFC 791).
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let sum = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet.extend(payload);
    packet
}

/// A UDP datagram without a checksum (RFC 768).
pub fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    for field in [from, to, (8 + payload.len()) as u16, 0] {
        datagram.extend(field.to_be_bytes());
    }
    datagram.extend(payload);
    datagram
}

/// A who-has request for 10.0.0.2 from 10.0.0.1 (RFC 826).
pub fn arp_request() -> Vec<u8> {
    let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1];
    request.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    request
}

/// A few hundred frames, from proper to senseless.
pub fn battery(random: &mut Random) -> Vec<Vec<u8>> {
    let (here, there) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let proper = [
        ethernet([0xff; 6], here, 0x0806, &arp_request()),
        ethernet(there, here, 0x0800, &ipv4(17, &udp(1, 2, &[7; 64]))),
        ethernet(there, here, 0x0800, &ipv4(6, &random.bytes(40))),
        ethernet(there, here, 0x86dd, &random.bytes(60)),
        ethernet([1, 0, 0x5e, 0, 0, 1], here, 0x0800, &ipv4(2, &[0; 8])),
        ethernet([1, 0x80, 0xc2, 0, 0, 0], here, 0x0026, &[0x42; 38]),
        ethernet(there, here, 0x8100, &random.bytes(64)),
        ethernet(there, [0xff; 6], 0x0800, &ipv4(1, &[8; 64])),
        ethernet(there, there, 0x0800, &[]),
    ];
    let mut frames = vec![Vec::new()];
    for frame in &proper {
        frames.push(frame.clone());
        frames.extend((1..frame.len().min(64)).map(|n| frame[..n].to_vec()));
        for _ in 0..16 {
            let mut broken = frame.clone();
            let at = random.below(broken.len());
            broken[at] ^= 1 << random.below(8);
            frames.push(broken);
        }
    }
    for n in [1500, 1514, 1518, 1919, 1920, 1921, 9014, 65535, 65549] {
        frames.push(ethernet(there, here, 0x0800, &vec![0x45; n - 14]));
    }
    for _ in 0..100 {
        let n = random.below(2000);
        frames.push(random.bytes(n));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_battery() {
        let battery = |seed| battery(&mut Random::new(seed));
        assert_eq!(battery(1), battery(1));
        assert_ne!(battery(1), battery(2));
        assert!(battery(1).len() > 500);
    }

    #[test]
    fn the_header_checksum_adds_up() {
        let packet = ipv4(17, &[]);
        let sum = packet
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum::<u32>();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
