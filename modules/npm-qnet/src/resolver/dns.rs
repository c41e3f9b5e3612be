//! The system's names: `/etc/hosts`, then the name servers of `/etc/resolv.conf` (RFC 1035).

use super::PATIENCE;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Name servers that are asked, at most, as in the system's own resolver.
const SERVERS_MAX: usize = 3;

/// The addresses of the host `name`.
///
/// # Errors
/// There are name servers, and none gives an answer.
pub(super) fn find(name: &str) -> Result<Vec<IpAddr>, String> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let listed = in_hosts(&hosts, name);
    if !listed.is_empty() {
        return Ok(listed);
    }
    let config = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut silent = Vec::new();
    for server in servers(&config) {
        match ask(server, name) {
            Some(answer) => return Ok(answer),
            None => silent.push(server.ip().to_string()),
        }
    }
    match silent[..] {
        [] => Ok(Vec::new()),
        _ => Err(format!("no answer of {}", silent.join(", "))),
    }
}

fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let of = |line: &str| -> Option<IpAddr> {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words
            .any(|word| word.eq_ignore_ascii_case(name))
            .then_some(address)
    };
    hosts
        .lines()
        .filter_map(of)
        .filter(IpAddr::is_ipv4)
        .collect()
}

fn servers(config: &str) -> impl Iterator<Item = SocketAddr> {
    let of = |line: &str| -> Option<SocketAddr> {
        let address = line.trim().strip_prefix("nameserver")?.trim();
        Some(SocketAddr::new(address.parse().ok()?, 53))
    };
    config.lines().filter_map(of).take(SERVERS_MAX)
}

/// What one server says. `None` where it says nothing.
fn ask(server: SocketAddr, name: &str) -> Option<Vec<IpAddr>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let id = u16::from_ne_bytes(crate::key::random().ok()?);
    socket.send(&question(id, name)?).ok()?;
    let mut buf = [0; 1500];
    let len = socket.recv(&mut buf).ok()?;
    answer(id, &buf[..len])
}

fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    let of_host = QTYPE::TYPE(TYPE::A);
    let internet = QCLASS::CLASS(CLASS::IN);
    packet
        .questions
        .push(Question::new(name, of_host, internet, false));
    packet.build_bytes_vec().ok()
}

fn answer(id: u16, bytes: &[u8]) -> Option<Vec<IpAddr>> {
    let packet = Packet::parse(bytes).ok()?;
    // That there is no such name is an answer; that the server could not find out is none.
    let answers = matches!(packet.rcode(), RCODE::NoError | RCODE::NameError);
    if packet.id() != id || !answers {
        return None;
    }
    let addresses = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(IpAddr::V4(Ipv4Addr::from_bits(a.address))),
            _ => None,
        });
    Some(addresses.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::A;

    #[test]
    fn hosts_and_servers_are_read() {
        let hosts = "127.0.0.1 localhost\n10.0.0.2 lab2.net LAB2 # two\n::1 lab2\n10.0.0.3 lab2\n";
        let both: [IpAddr; 2] = ["10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap()];
        assert_eq!(in_hosts(hosts, "lab2"), both);
        assert!(in_hosts(hosts, "two").is_empty());
        let config = "search net\nnameserver 10.0.0.53\n nameserver ::1\nnameserver x\n";
        assert_eq!(servers(config).count(), 2);
    }

    #[test]
    fn an_answer_counts_for_its_question_only() {
        let asked = question(7, "lab2.net").unwrap();
        let mut reply = Packet::parse(&asked).unwrap().into_reply();
        let name = Name::new("lab2.net").unwrap();
        let address = A {
            address: Ipv4Addr::new(10, 0, 0, 2).to_bits(),
        };
        reply
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, 60, RData::A(address)));
        let bytes = reply.build_bytes_vec().unwrap();
        assert_eq!(answer(7, &bytes), Some(vec!["10.0.0.2".parse().unwrap()]));
        assert_eq!(answer(8, &bytes), None);
        for len in 0..bytes.len() {
            let _ = answer(7, &bytes[..len]);
        }
    }
}
