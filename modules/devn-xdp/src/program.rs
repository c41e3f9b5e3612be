//! The steering program: what the kernel runs for every frame that the interface receives.
//!
//! It reads a frame's type, addresses, protocol and ports, looks whether a rule names them, and
//! hands the frame to the socket of its queue or, in every other case, to the kernel's own stack. A
//! frame too short for its headers, and one for whose queue there is no socket, is the kernel's.
//!
//! | register | holds |
//! | --- | --- |
//! | `R6` | the context (`struct xdp_md`) |
//! | `R7` | where the next header begins |
//! | `R8` | the end of the frame |
//! | `R9` | the frame's type, behind up to two tags |
//!
//! What the rules ask for lies on the stack: see the offsets below.

use crate::assembler::{
    Assembler, Is, Label, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Reg, STACK, Width,
};
use crate::steering::{Flow, SCTP, Steering, TCP, UDP};
use std::net::IpAddr;

/// `XDP_PASS`: to the kernel's stack.
pub(crate) const PASS: i32 = 2;
/// `bpf_redirect_map`.
const REDIRECT_MAP: i32 = 51;

// Offsets in `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const QUEUE: i16 = 16;

const IPV4: i32 = 0x0800;
const ARP: i32 = 0x0806;
const IPV6: i32 = 0x86dd;
const CUSTOMER_TAG: i32 = 0x8100;
const SERVICE_TAG: i32 = 0x88a8;
/// Tags that are looked through.
const TAGS: usize = 2;

/// Headers between IPv6's own and the protocol's that are looked through.
const EXTENSIONS: usize = 4;
const HOP_BY_HOP: i32 = 0;
const ROUTING: i32 = 43;
const FRAGMENT: i32 = 44;
const DESTINATION_OPTIONS: i32 = 60;
const ICMPV6: i32 = 58;
/// Type of an ICMPv6 message (RFC 4861, 4.3).
const NEIGHBOUR_SOLICITATION: i32 = 135;

// On the stack. Addresses are as in the packet, an IPv4 one in the first four bytes.
const DESTINATION: i16 = -16;
const SOURCE: i16 = -32;
const PROTOCOL: i16 = -36;
const SOURCE_PORT: i16 = -40;
const DESTINATION_PORT: i16 = -44;
/// No protocol, and no port.
const NONE: i32 = 0x1_0000;

/// The program for `steering`, with the sockets of map `sockets`. None where it became too long.
pub(crate) fn assemble(steering: &Steering, sockets: i32) -> Option<Vec<u64>> {
    let mut a = Assembler::default();
    let (steer, pass) = (a.label(), a.label());
    a.copy(R6, R1);
    if steering.all {
        a.jump(steer);
    } else {
        ethernet(&mut a, pass);
        for &kind in &steering.ethertypes {
            a.jump_if(R9, Is::Equal, kind.into(), steer);
        }
        if steering.looks_into_ip() {
            headers(&mut a, pass);
            rules(&mut a, steering, steer);
        }
        a.place(pass);
        a.set(R0, PASS);
        a.exit();
    }
    a.place(steer);
    a.load(Width::Four, R2, R6, QUEUE);
    a.map(R1, sockets);
    // What becomes of the frame where the map has no socket.
    a.set(R3, PASS);
    a.call(REDIRECT_MAP);
    a.exit();
    if steering.all {
        // Nothing jumps here, but it is to have a place.
        a.place(pass);
    }
    a.finish()
}

/// Goes to `short` unless `bytes` more follow `R7`. The verifier asks for this before any load.
fn need(a: &mut Assembler, bytes: i32, short: Label) {
    a.copy(R1, R7);
    a.add(R1, bytes);
    a.jump_if_above(R1, R8, short);
}

/// Finds the frame's type, and what follows it.
fn ethernet(a: &mut Assembler, pass: Label) {
    a.load(Width::Four, R7, R6, DATA);
    a.load(Width::Four, R8, R6, DATA_END);
    need(a, 14, pass);
    a.load(Width::Two, R9, R7, 12);
    a.network_to_host16(R9);
    a.add(R7, 14);
    let done = a.label();
    for _ in 0..TAGS {
        let tagged = a.label();
        a.jump_if(R9, Is::Equal, CUSTOMER_TAG, tagged);
        a.jump_if(R9, Is::Other, SERVICE_TAG, done);
        a.place(tagged);
        need(a, 4, pass);
        a.load(Width::Two, R9, R7, 2);
        a.network_to_host16(R9);
        a.add(R7, 4);
    }
    a.place(done);
}

/// Lays what the rules ask for on the stack; frames that are neither IP nor ARP end at `pass`.
fn headers(a: &mut Assembler, pass: Label) {
    let (arp, ipv6, ports, done) = (a.label(), a.label(), a.label(), a.label());
    a.set(R1, 0);
    for word in 0..4 {
        a.store(Width::Eight, STACK, SOURCE + 8 * word, R1);
    }
    a.set(R1, NONE);
    for fact in [PROTOCOL, SOURCE_PORT, DESTINATION_PORT] {
        a.store(Width::Four, STACK, fact, R1);
    }
    a.jump_if(R9, Is::Equal, ARP, arp);
    a.jump_if(R9, Is::Equal, IPV6, ipv6);
    a.jump_if(R9, Is::Other, IPV4, pass);
    ipv4_header(a, pass, ports, done);
    a.place(ipv6);
    ipv6_headers(a, pass, ports, done);
    a.place(arp);
    arp_packet(a, pass);
    a.jump(done);
    a.place(ports);
    port_numbers(a, done);
    a.place(done);
}

/// RFC 791, 3.1. A fragment goes on at `done`: only the first has ports, and all go the same way.
fn ipv4_header(a: &mut Assembler, pass: Label, ports: Label, done: Label) {
    need(a, 20, pass);
    a.load(Width::One, R2, R7, 0);
    a.copy(R1, R2);
    a.and(R1, 0xf0);
    a.jump_if(R1, Is::Other, 0x40, pass);
    a.and(R2, 0x0f);
    a.shift_left(R2, 2);
    a.jump_if(R2, Is::Below, 20, pass);
    for (fact, at) in [(SOURCE, 12), (DESTINATION, 16)] {
        a.load(Width::Four, R1, R7, at);
        a.store(Width::Four, STACK, fact, R1);
    }
    a.load(Width::One, R5, R7, 9);
    a.store(Width::Four, STACK, PROTOCOL, R5);
    a.load(Width::Two, R1, R7, 6);
    a.network_to_host16(R1);
    // More fragments, or an offset.
    a.jump_if(R1, Is::AnyOf, 0x3fff, done);
    a.add_reg(R7, R2);
    a.jump(ports);
}

/// RFC 8200, 3 and 4. Fragments as with IPv4.
fn ipv6_headers(a: &mut Assembler, pass: Label, ports: Label, done: Label) {
    let (last, fragment) = (a.label(), a.label());
    need(a, 40, pass);
    for (fact, at) in [(SOURCE, 8), (DESTINATION, 24)] {
        for half in [0, 8] {
            a.load(Width::Eight, R1, R7, at + half);
            a.store(Width::Eight, STACK, fact + half, R1);
        }
    }
    a.load(Width::One, R5, R7, 6);
    a.add(R7, 40);
    for _ in 0..EXTENSIONS {
        let extension = a.label();
        a.jump_if(R5, Is::Equal, FRAGMENT, fragment);
        a.jump_if(R5, Is::Equal, HOP_BY_HOP, extension);
        a.jump_if(R5, Is::Equal, ROUTING, extension);
        a.jump_if(R5, Is::Other, DESTINATION_OPTIONS, last);
        a.place(extension);
        need(a, 8, pass);
        a.load(Width::One, R5, R7, 0);
        a.load(Width::One, R2, R7, 1);
        // In units of eight bytes, the first not counted.
        a.add(R2, 1);
        a.shift_left(R2, 3);
        a.add_reg(R7, R2);
    }
    a.jump_if(R5, Is::Equal, FRAGMENT, fragment);
    a.place(last);
    a.store(Width::Four, STACK, PROTOCOL, R5);
    a.jump_if(R5, Is::Other, ICMPV6, ports);
    // Who asks for a neighbour asks a group: what counts is the address asked for.
    need(a, 24, done);
    a.load(Width::One, R1, R7, 0);
    a.jump_if(R1, Is::Other, NEIGHBOUR_SOLICITATION, done);
    for half in [0, 8] {
        a.load(Width::Eight, R1, R7, 8 + half);
        a.store(Width::Eight, STACK, DESTINATION + half, R1);
    }
    a.jump(done);
    a.place(fragment);
    need(a, 8, pass);
    a.load(Width::One, R5, R7, 0);
    a.store(Width::Four, STACK, PROTOCOL, R5);
    a.jump(done);
}

/// RFC 826: sender and target, as if it were a packet between them.
fn arp_packet(a: &mut Assembler, pass: Label) {
    need(a, 28, pass);
    for (fact, at) in [(SOURCE, 14), (DESTINATION, 24)] {
        a.load(Width::Four, R1, R7, at);
        a.store(Width::Four, STACK, fact, R1);
    }
}

/// The ports of TCP, UDP and SCTP, which all begin with them; the protocol is in `R5`.
fn port_numbers(a: &mut Assembler, done: Label) {
    let has = a.label();
    a.jump_if(R5, Is::Equal, TCP.into(), has);
    a.jump_if(R5, Is::Equal, UDP.into(), has);
    a.jump_if(R5, Is::Other, SCTP.into(), done);
    a.place(has);
    need(a, 4, done);
    for (fact, at) in [(SOURCE_PORT, 0), (DESTINATION_PORT, 2)] {
        a.load(Width::Two, R1, R7, at);
        a.network_to_host16(R1);
        a.store(Width::Four, STACK, fact, R1);
    }
}

/// Goes to `steer` where a rule says so.
fn rules(a: &mut Assembler, steering: &Steering, steer: Label) {
    a.load(Width::Four, R5, STACK, PROTOCOL);
    a.load(Width::Four, R4, STACK, SOURCE_PORT);
    a.load(Width::Four, R3, STACK, DESTINATION_PORT);
    for &protocol in &steering.protocols {
        a.jump_if(R5, Is::Equal, protocol.into(), steer);
    }
    for ports in &steering.ports {
        let next = a.label();
        a.jump_if(R3, Is::Below, (*ports.start()).into(), next);
        a.jump_if(R3, Is::Above, (*ports.end()).into(), next);
        a.jump(steer);
        a.place(next);
    }
    for address in &steering.addresses {
        let next = a.label();
        match address {
            IpAddr::V4(_) => a.jump_if(R9, Is::Equal, IPV6, next),
            IpAddr::V6(_) => a.jump_if(R9, Is::Other, IPV6, next),
        }
        address_is(a, DESTINATION, *address, next);
        a.jump(steer);
        a.place(next);
    }
    for flow in &steering.flows {
        let next = a.label();
        flow_is(a, flow, next);
        a.jump(steer);
        a.place(next);
    }
}

/// Goes to `other` unless the packet is of the flow.
fn flow_is(a: &mut Assembler, flow: &Flow, other: Label) {
    a.jump_if(R5, Is::Other, flow.protocol.into(), other);
    let port_is = |a: &mut Assembler, reg: Reg, port: Option<u16>| match port {
        Some(port) => a.jump_if(reg, Is::Other, port.into(), other),
        // A fragment has none, and its flow is not known.
        None => a.jump_if(reg, Is::Equal, NONE, other),
    };
    port_is(a, R4, flow.source_port);
    port_is(a, R3, flow.destination_port);
    match flow.is_ipv4() {
        Some(true) => a.jump_if(R9, Is::Other, IPV4, other),
        Some(false) => a.jump_if(R9, Is::Other, IPV6, other),
        None => {}
    }
    for (fact, address) in [(SOURCE, flow.source), (DESTINATION, flow.destination)] {
        if let Some(address) = address {
            address_is(a, fact, address, other);
        }
    }
}

/// Goes to `other` unless the address on the stack at `fact` is `address`.
fn address_is(a: &mut Assembler, fact: i16, address: IpAddr, other: Label) {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (words, _) = bytes.as_chunks::<4>();
    for (offset, word) in (fact..).step_by(4).zip(words) {
        a.load(Width::Four, R1, STACK, offset);
        a.jump_if(R1, Is::Other, i32::from_ne_bytes(*word), other);
    }
}

#[cfg(test)]
mod tests;
