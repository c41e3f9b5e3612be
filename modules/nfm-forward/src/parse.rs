//! How rules are written: conditions, then the action, with `+` between.
//!
//! `in:en0+up+type:0x0800+vlan:5+src-mac:M+dst-mac:M+src:10.0.0.0/8+dst:fd00::/8+proto:tcp+`
//! `sport:1024-65535+dport:80+redirect:en1`

use crate::fields::has_ports;
use crate::rule::{Action, Pattern, Prefix, Rule, Way};
use io_net_ddk::Failure;
use io_net_ddk::errno::EINVAL;
use io_net_wire::protocol::{ICMP, ICMPV6, TCP, UDP};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Bytes of one rule, at most.
const TEXT_MAX: usize = 250;

const CONDITIONS: &str = "in: up down type: vlan: src-mac: dst-mac: src: dst: proto: sport: dport:";

/// Reads rules and holds them against each other.
///
/// # Errors
/// EINVAL with the rule's number, from 1, and what is wrong with it.
pub(crate) fn rules(texts: &[&str]) -> Result<Vec<Rule>, Failure> {
    let mut rules: Vec<Rule> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let wrong =
            |why: String| Failure::new(EINVAL, format!("rule {} ({text:.250}): {why}", index + 1));
        let rule = rule(text).map_err(wrong)?;
        if let Some(first) = rules.iter().position(|earlier| earlier.shadows(&rule)) {
            let why = format!(
                "it can never match: rule {} ({}) comes first and matches all that it does; \
                 take one of them out, or put the narrower one first",
                first + 1,
                texts[first]
            );
            return Err(wrong(why));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(text: &str) -> Result<Rule, String> {
    if text.len() > TEXT_MAX {
        return Err(format!("a rule has {TEXT_MAX} bytes at most"));
    }
    let (conditions, last) = text.rsplit_once('+').unwrap_or(("", text));
    let action = action(last)?;
    let mut pattern = Pattern::default();
    for condition in conditions.split('+').filter(|c| !c.is_empty()) {
        add(&mut pattern, condition)?;
    }
    check(&pattern, &action)?;
    Ok(Rule {
        pattern,
        action,
        text: text.to_owned(),
    })
}

fn action(word: &str) -> Result<Action, String> {
    match word.split_once(':') {
        Some(("redirect", name)) => Ok(Action::Redirect(interface(name)?)),
        Some(("mirror", name)) => Ok(Action::Mirror(interface(name)?)),
        None if word == "drop" => Ok(Action::Drop),
        None if word == "pass" => Ok(Action::Pass),
        _ => Err(format!(
            "it ends in \"{word}\", which is no action: redirect:en1, mirror:en1, drop or pass"
        )),
    }
}

/// Adds a condition to a pattern that has none of its kind yet.
fn add(pattern: &mut Pattern, condition: &str) -> Result<(), String> {
    let (key, value) = condition.split_once(':').unwrap_or((condition, ""));
    match key {
        "in" => put(&mut pattern.input, key, interface(value)?),
        "up" if condition == key => put(&mut pattern.way, "direction", Way::Up),
        "down" if condition == key => put(&mut pattern.way, "direction", Way::Down),
        "type" => put(&mut pattern.ethertype, key, ethertype(value)?),
        "vlan" => put(&mut pattern.vlan, key, number(value, 0, 4094, "a VLAN")?),
        "src-mac" => put(&mut pattern.src_mac, key, mac(value)?),
        "dst-mac" => put(&mut pattern.dst_mac, key, mac(value)?),
        "src" => put(&mut pattern.src, key, prefix(value)?),
        "dst" => put(&mut pattern.dst, key, prefix(value)?),
        "proto" => put(&mut pattern.protocol, key, protocol(value)?),
        "sport" => put(&mut pattern.sport, key, ports(value)?),
        "dport" => put(&mut pattern.dport, key, ports(value)?),
        _ => Err(format!("\"{condition}\" is no condition: {CONDITIONS}")),
    }
}

fn put<T>(place: &mut Option<T>, key: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("it has {key} twice")),
    }
}

/// Conditions that no packet can meet together, and actions that lead back.
fn check(pattern: &Pattern, action: &Action) -> Result<(), String> {
    let versions = [pattern.src, pattern.dst].into_iter().flatten();
    let types = versions.map(|prefix| match prefix.address {
        IpAddr::V4(_) => 0x0800,
        IpAddr::V6(_) => 0x86dd,
    });
    let mut types = types.chain(pattern.ethertype);
    let first = types.next();
    if types.any(|other| Some(other) != first) {
        return Err("its addresses and its type are of different protocols".into());
    }
    let wants_ports = pattern.sport.is_some() || pattern.dport.is_some();
    if let Some(protocol) = pattern.protocol
        && wants_ports
        && !has_ports(protocol)
    {
        return Err(format!("protocol {protocol} has no ports"));
    }
    let wants_ip = wants_ports || pattern.protocol.is_some();
    if let Some(ethertype) = first
        && wants_ip
        && ![0x0800, 0x86dd].contains(&ethertype)
    {
        return Err(format!(
            "packets of type {ethertype:#06x} have no protocol or ports"
        ));
    }
    match (action.target(), &pattern.input) {
        (Some(target), Some(input)) if target == input => Err(format!(
            "it leads from {input} back to {input}; name another interface"
        )),
        _ => Ok(()),
    }
}

fn interface(name: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    match (1..=15).contains(&name.len()) && name.bytes().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(format!("\"{name}\" is no interface's name: en0")),
    }
}

fn ethertype(value: &str) -> Result<u16, String> {
    let named = match value {
        "ip" => Some(0x0800),
        "ip6" => Some(0x86dd),
        "arp" => Some(0x0806),
        "qnet" => Some(0x8204),
        _ => {
            let hex = value.strip_prefix("0x").unwrap_or("");
            let number = u16::from_str_radix(hex, 16).ok();
            number.filter(|&number| number >= 1536)
        }
    };
    named.ok_or_else(|| format!("\"{value}\" is no type: 0x0800 and up, ip, ip6, arp or qnet"))
}

fn protocol(value: &str) -> Result<u8, String> {
    match value {
        "tcp" => Ok(TCP),
        "udp" => Ok(UDP),
        "icmp" => Ok(ICMP),
        "icmp6" => Ok(ICMPV6),
        "sctp" => Ok(132),
        _ => number(value, 0, 255, "a protocol (tcp, udp, icmp, icmp6, sctp)").map(|n| n as u8),
    }
}

fn number(value: &str, least: u16, most: u16, what: &str) -> Result<u16, String> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = value
        .parse()
        .ok()
        .filter(|number| digits && (least..=most).contains(number));
    number.ok_or_else(|| format!("\"{value}\" is not {what}: a number from {least} to {most}"))
}

fn ports(value: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = value.split_once('-').unwrap_or((value, value));
    let (first, last) = (
        number(first, 0, 65535, "a port")?,
        number(last, 0, 65535, "a port")?,
    );
    match first <= last {
        true => Ok(first..=last),
        false => Err(format!("\"{value}\" is an empty range of ports")),
    }
}

fn mac(value: &str) -> Result<[u8; 6], String> {
    let malformed = || format!("\"{value}\" is no address: 02:00:00:00:00:01");
    let mut address = [0; 6];
    let mut parts = value.split(':');
    for place in &mut address {
        let part = parts
            .next()
            .filter(|part| part.len() == 2)
            .ok_or_else(malformed)?;
        *place = u8::from_str_radix(part, 16).map_err(|_| malformed())?;
    }
    match parts.next() {
        None => Ok(address),
        Some(_) => Err(malformed()),
    }
}

fn prefix(value: &str) -> Result<Prefix, String> {
    let malformed = || format!("\"{value}\" is no address or network: 10.0.0.0/8, fd00::/8");
    let (address, bits) = match value.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (value, None),
    };
    let address: IpAddr = address.parse().map_err(|_| malformed())?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => width,
        Some(bits) => bits
            .parse()
            .ok()
            .filter(|&bits| bits <= width)
            .ok_or_else(malformed)?,
    };
    Ok(Prefix { address, bits })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
