//! The built driver: conformance, two of them over one link, and a peer that does not play by the rules.

use io_net_ddk::abi::{ADVERT_LINK_UP, GSO_TCPV4, VNET_NEEDS_CSUM, VnetHdr};
use io_net_os::map::{SEAL_SHRINK, SharedMap, add_seals, memfd};
use io_net_os::region::Region;
use io_net_os::seqpacket::{Name, connect};
use io_net_os::unix::{Wait, recv_fds, send_fds};
use io_net_testkit::frames::{Random, ethernet};
use io_net_testkit::{Kit, built_module, conformance};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A socket name of a test's own.
fn name(test: &str) -> String {
    format!("io-net-memif-{}-{test}", std::process::id())
}

fn start(options: &str) -> Kit {
    Kit::start(built_module("devn-memif"), options).unwrap()
}

fn is_up(kit: &Kit) -> bool {
    kit.adverts().last().unwrap().flags & ADVERT_LINK_UP != 0
}

/// A server and a client that have found each other.
fn pair(test: &str, options: &str) -> (Kit, Kit) {
    let common = format!("socket={},abstract,{options}", name(test));
    let mut server = start(&format!("role=server,{common}"));
    let mut client = start(&format!("role=client,{common}"));
    client.advance(Duration::from_millis(1));
    server.run_until(|server| {
        client.turn();
        is_up(server) && is_up(&client)
    });
    (server, client)
}

fn send(kit: &mut Kit, frames: &[Vec<u8>]) {
    let packets = frames.iter().map(|frame| kit.packet(frame).unwrap());
    let packets = packets.collect();
    kit.rx_down(0, 0, packets);
}

fn received(kit: &mut Kit) -> Vec<Vec<u8>> {
    kit.turn();
    let sent = kit.take_sent();
    assert!(sent.iter().all(|sent| sent.up));
    sent.iter()
        .map(|sent| sent.packet.data().to_vec())
        .collect()
}

#[test]
fn it_conforms() {
    let module = built_module("devn-memif");
    let socket = name("conformance");
    conformance::run(module.clone(), &format!("socket={socket},abstract"));
    conformance::run(module, &format!("role=client,socket={socket},abstract"));
}

#[test]
fn frames_of_every_length_cross_both_ways() {
    let (mut server, mut client) = pair("lengths", "ring=6");
    let mut random = Random::new(1);
    let lengths = (14..150).chain([1500, 1514, 1600, 1729, 1920, 2000, 2047, 2048]);
    // Longer than one buffer: over several slots.
    let lengths = lengths.chain([2049, 4096, 9014, 65535]);
    for len in lengths {
        let frame = random.bytes(len);
        send(&mut server, std::slice::from_ref(&frame));
        assert_eq!(received(&mut client), [frame], "{len} to the client");
        let frame = random.bytes(len);
        send(&mut client, std::slice::from_ref(&frame));
        assert_eq!(received(&mut server), [frame], "{len} to the server");
    }
    assert_eq!(server.counter("tx_packets"), client.counter("rx_packets"));
    server.stop().unwrap();
    client.stop().unwrap();
}

#[test]
fn bursts_keep_their_order_over_many_wraps() {
    let (mut server, mut client) = pair("bursts", "ring=8");
    let mut random = Random::new(2);
    let mut number = 0u32;
    for _ in 0..700 {
        let n = 1 + random.below(250);
        let frames: Vec<Vec<u8>> = (0..n)
            .map(|_| {
                number += 1;
                [&number.to_be_bytes()[..], &[number as u8; 56]].concat()
            })
            .collect();
        send(&mut server, &frames);
        assert_eq!(received(&mut client), frames);
        send(&mut client, &frames);
        assert_eq!(received(&mut server), frames);
    }
    assert_eq!(
        server.counter("tx_no_room") + client.counter("tx_no_room"),
        0
    );
    server.stop().unwrap();
    client.stop().unwrap();
}

#[test]
fn a_full_ring_drops_and_counts() {
    let (mut server, mut client) = pair("full", "ring=4");
    send(&mut server, &vec![vec![1; 60]; 20]);
    assert_eq!(server.counter("tx_no_room"), 4);
    assert_eq!(received(&mut client).len(), 16);
    // A packet over several slots goes whole or not at all.
    send(&mut server, &vec![vec![1; 60]; 15]);
    send(&mut server, &[vec![2; 5000]]);
    assert_eq!(server.counter("tx_no_room"), 5);
    assert_eq!(received(&mut client).len(), 15);
    send(&mut client, &vec![vec![1; 60]; 20]);
    assert_eq!(client.counter("tx_no_room"), 4);
    assert_eq!(received(&mut server).len(), 16);
    server.stop().unwrap();
    client.stop().unwrap();
}

#[test]
fn super_packets_are_cut_and_checksums_completed() {
    let (mut server, mut client) = pair("offload", "");
    let mut segment = vec![
        0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    segment.extend([
        0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 1, 0, 0, 0, 0,
    ]);
    segment.extend(vec![9; 4000]);
    let frame = ethernet([2; 6], [4; 6], 0x0800, &segment);
    let mut packet = server.packet(&frame).unwrap();
    *packet.vnet_mut() = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1460,
        csum_start: 34,
        csum_offset: 16,
    };
    server.rx_down(0, 0, vec![packet]);
    let lengths: Vec<usize> = received(&mut client).iter().map(Vec::len).collect();
    assert_eq!(lengths, [1514, 1514, 1134]);
    server.stop().unwrap();
    client.stop().unwrap();
}

#[test]
fn a_sleeper_is_rung_and_a_poller_is_not() {
    let (mut server, mut client) = pair("interrupts", "");
    // Both poll: nobody rings. A turn would poll, so only the descriptors are looked at.
    send(&mut server, &[vec![1; 60]]);
    assert!(client.arm(0, true), "a frame waits: no sleep");
    assert_eq!(received(&mut client).len(), 1);
    assert!(!client.arm(0, true));
    send(&mut server, &[vec![2; 60]]);
    server.turn();
    assert!(client.is_any_ready(), "a sleeper is rung");
    client.arm(0, false);
    assert_eq!(received(&mut client).len(), 1);
    send(&mut server, &[vec![3; 60]]);
    server.turn();
    assert!(!client.is_any_ready(), "a poller is not rung");
    assert_eq!(received(&mut client).len(), 1);
    server.stop().unwrap();
    client.stop().unwrap();
}

#[test]
fn either_end_may_come_back() {
    let socket = name("back");
    let server_options = format!("role=server,socket={socket},abstract");
    let client_options = format!("role=client,socket={socket},abstract");
    let mut client = start(&client_options);
    let mut server: Option<Kit> = None;
    for _ in 0..3 {
        // A server that comes later, and again.
        drop(server.take());
        client.run_until(|client| !is_up(client));
        let mut kit = start(&server_options);
        client.advance(Duration::from_secs(2));
        client.run_until(|client| {
            kit.turn();
            is_up(client) && is_up(&kit)
        });
        send(&mut kit, &[vec![5; 60]]);
        assert_eq!(received(&mut client).len(), 1);
        server = Some(kit);
    }
    let mut server = server.unwrap();
    for round in 2..4 {
        drop(client);
        client = start(&client_options);
        client.advance(Duration::from_millis(1));
        server.run_until(|server| {
            client.turn();
            is_up(&client) && server.counter("links_up") == round
        });
        send(&mut client, &[vec![6; 60]]);
        assert_eq!(received(&mut server).len(), 1);
    }
    server.stop().unwrap();
    client.stop().unwrap();
}

#[test]
fn several_servers_share_a_socket() {
    let dir = std::env::temp_dir().join(name("shared"));
    std::fs::create_dir_all(&dir).unwrap();
    let socket = dir.join("memif.sock");
    let options = |role: &str, id: u32| format!("role={role},socket={},id={id}", socket.display());
    let mut servers = [start(&options("server", 0)), start(&options("server", 7))];
    let watched = servers.each_ref().map(Kit::watched);
    assert!(
        watched[0].iter().all(|fd| !watched[1].contains(fd)),
        "each watches its own"
    );
    let taken = Kit::start(built_module("devn-memif"), &options("server", 7))
        .err()
        .unwrap();
    assert!(taken.text.contains("id 7"), "{taken}");
    for (index, id) in [(0, 0), (1, 7)] {
        let mut client = start(&options("client", id));
        client.advance(Duration::from_millis(1));
        client.run_until(|client| {
            servers.iter_mut().for_each(Kit::turn);
            is_up(client) && is_up(&servers[index])
        });
        send(&mut client, &[vec![id as u8; 60]]);
        assert_eq!(received(&mut servers[index]).len(), 1);
        client.stop().unwrap();
    }
    let [first, second] = servers;
    first.stop().unwrap();
    assert!(socket.exists());
    second.stop().unwrap();
    assert!(!socket.exists());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_secret_is_asked_for() {
    let socket = name("secret");
    let mut server = start(&format!("socket={socket},abstract,secret=open"));
    let mut client = start(&format!(
        "role=client,socket={socket},abstract,secret=sesame"
    ));
    client.advance(Duration::from_millis(1));
    client.run_until(|client| {
        server.turn();
        !client.logs().is_empty()
    });
    assert!(
        client.logs()[0].1.contains("incorrect secret"),
        "{:?}",
        client.logs()
    );
    assert!(!is_up(&server) && !is_up(&client));
    server.stop().unwrap();
    client.stop().unwrap();
}

/// A client written by hand, to say what no honest one would.
struct Rogue {
    fd: OwnedFd,
    memory: OwnedFd,
    region: Region,
}

const SLOTS: u16 = 8;
const RING_LEN: usize = 128 + 16 * SLOTS as usize;
const MEMORY_LEN: usize = 65536;

impl Rogue {
    fn call(server: &mut Kit, socket: &str) -> Rogue {
        let fd = connect(&Name::Abstract(socket.into())).unwrap();
        let memory = memfd(c"rogue", MEMORY_LEN, false).unwrap();
        let region = Region::new(SharedMap::new(memory.as_fd(), MEMORY_LEN).unwrap());
        let rogue = Rogue { fd, memory, region };
        server.turn();
        assert_eq!(rogue.hear(), Some(2));
        rogue
    }

    fn say(&self, kind: u16, fields: &[&[u8]], fd: Option<BorrowedFd<'_>>) {
        let mut message = kind.to_ne_bytes().to_vec();
        fields.iter().for_each(|field| message.extend(*field));
        message.resize(128, 0);
        send_fds(self.fd.as_fd(), &message, fd.as_slice(), Wait::DontWait).unwrap();
    }

    /// The kind of the next message; `None` where the channel is closed or nothing was said.
    fn hear(&self) -> Option<u16> {
        let mut message = [0; 128];
        let got = recv_fds(self.fd.as_fd(), &mut message, Wait::DontWait).ok()?;
        (got.len == 128).then(|| u16::from_ne_bytes([message[0], message[1]]))
    }

    fn init(&self) {
        self.say(3, &[&0x200u16.to_ne_bytes(), &0u32.to_ne_bytes()], None);
    }

    fn add_region(&self, index: u16, len: u64) {
        let fields: [&[u8]; 2] = [&index.to_ne_bytes(), &len.to_ne_bytes()];
        self.say(4, &fields, Some(self.memory.as_fd()));
    }

    fn add_ring(&self, flags: u16, region: u16, offset: u32, log2: u8) {
        let bell = io_net_os::eventfd::EventFd::new().unwrap();
        let fields: [&[u8]; 5] = [
            &flags.to_ne_bytes(),
            &0u16.to_ne_bytes(),
            &region.to_ne_bytes(),
            &offset.to_ne_bytes(),
            &[log2],
        ];
        self.say(5, &fields, Some(bell.as_fd()));
    }

    /// Goes as far as a link that is up: the rings at 0 and `RING_LEN`.
    fn link(server: &mut Kit, socket: &str) -> Rogue {
        let rogue = Rogue::call(server, socket);
        add_seals(rogue.memory.as_fd(), SEAL_SHRINK).unwrap();
        for ring in [0, RING_LEN] {
            let cookie = rogue.region.word32(ring).unwrap();
            cookie.store(0x3e3_1f20, Ordering::Relaxed);
        }
        rogue.init();
        rogue.add_region(0, MEMORY_LEN as u64);
        rogue.add_ring(1, 0, 0, 3);
        rogue.add_ring(0, 0, RING_LEN as u32, 3);
        rogue.say(6, &[], None);
        server.run_until(|server| is_up(server));
        for reply in [1, 1, 1, 1, 7] {
            assert_eq!(rogue.hear(), Some(reply));
        }
        rogue
    }

    fn set_head(&self, ring: usize, head: u16) {
        let word = self.region.word16(ring + 6).unwrap();
        word.store(head, Ordering::Release);
    }

    fn describe(&self, ring: usize, slot: usize, flags: u16, region: u16, len: u32, offset: u32) {
        let fields = [
            &flags.to_ne_bytes()[..],
            &region.to_ne_bytes(),
            &len.to_ne_bytes(),
        ];
        let mut bytes = fields.concat();
        bytes.extend(offset.to_ne_bytes());
        assert!(self.region.write(ring + 128 + 16 * slot, &bytes));
    }
}

#[test]
fn wild_descriptors_are_counted_and_the_link_goes_on() {
    let socket = name("wild");
    let mut server = start(&format!("socket={socket},abstract"));
    let rogue = Rogue::link(&mut server, &socket);
    let wild = [
        (0, 1, 60, 4096),
        (0, 0xffff, 60, 4096),
        (0, 0, 60, MEMORY_LEN as u32 - 59),
        (0, 0, 60, u32::MAX),
        (0, 0, u32::MAX, 4096),
        (0, 0, 65550, 0),
    ];
    let mut head = 0;
    for (flags, region, len, offset) in wild {
        rogue.describe(0, usize::from(head) % 8, flags, region, len, offset);
        head += 1;
        rogue.set_head(0, head);
        assert!(received(&mut server).is_empty());
        assert_eq!(server.counter("rx_errors"), u64::from(head));
    }
    // A chain without an end.
    for slot in 0..8 {
        rogue.describe(0, slot, 1, 0, 60, 4096);
    }
    rogue.set_head(0, head + 8);
    assert!(received(&mut server).is_empty());
    assert_eq!(server.counter("rx_errors"), u64::from(head) + 1);
    head += 8;
    rogue.describe(0, usize::from(head) % 8, 0, 0, 60, 4096);
    rogue.set_head(0, head + 1);
    assert_eq!(received(&mut server).len(), 1);

    // Empty buffers that are none.
    let lies = [
        (0, 0, 0),
        (9, 60, 4096),
        (0, 60, MEMORY_LEN as u32 - 10),
        (0, 2048, u32::MAX),
    ];
    for (slot, (region, len, offset)) in lies.into_iter().enumerate() {
        rogue.describe(RING_LEN, slot, 0, region, len, offset);
    }
    rogue.set_head(RING_LEN, 1);
    for errors in 1..=3 {
        send(&mut server, &[vec![1; 60]]);
        assert_eq!(server.counter("tx_errors"), errors);
    }
    assert!(is_up(&server));
    server.stop().unwrap();
}

#[test]
fn a_wild_index_ends_the_link() {
    let socket = name("index");
    let mut server = start(&format!("socket={socket},abstract"));
    for (ring, head) in [(0, 9), (0, 0x8000), (RING_LEN, 9), (RING_LEN, 0xffff)] {
        let rogue = Rogue::link(&mut server, &socket);
        rogue.set_head(ring, head);
        send(&mut server, &[vec![1; 60]]);
        assert!(received(&mut server).is_empty());
        assert!(!is_up(&server), "ring at {ring}, head {head}");
        assert_eq!(rogue.hear(), Some(8));
    }
    server.stop().unwrap();
}

#[test]
fn a_caller_that_lies_is_refused() {
    let socket = name("lies");
    let mut server = start(&format!("socket={socket},abstract"));
    type Lie = fn(&Rogue);
    let lies: [Lie; 11] = [
        |rogue| rogue.say(77, &[], None),
        |rogue| rogue.say(6, &[], None),
        |rogue| rogue.say(3, &[&0x100u16.to_ne_bytes(), &0u32.to_ne_bytes()], None),
        |rogue| rogue.say(3, &[&0x200u16.to_ne_bytes(), &5u32.to_ne_bytes()], None),
        |rogue| {
            // Not sealed.
            rogue.init();
            rogue.add_region(0, MEMORY_LEN as u64);
        },
        |rogue| {
            add_seals(rogue.memory.as_fd(), SEAL_SHRINK).unwrap();
            rogue.init();
            rogue.add_region(0, 1 << 40);
        },
        |rogue| {
            add_seals(rogue.memory.as_fd(), SEAL_SHRINK).unwrap();
            rogue.init();
            rogue.add_region(3, MEMORY_LEN as u64);
        },
        |rogue| {
            rogue.init();
            rogue.say(4, &[&0u16.to_ne_bytes(), &64u64.to_ne_bytes()], None);
        },
        |rogue| {
            rogue.init();
            rogue.add_ring(1, 0, 0, 15);
        },
        |rogue| {
            // No cookie, and one ring outside of any region.
            add_seals(rogue.memory.as_fd(), SEAL_SHRINK).unwrap();
            rogue.init();
            rogue.add_region(0, MEMORY_LEN as u64);
            rogue.add_ring(1, 0, 0, 3);
            rogue.add_ring(0, 5, 0, 3);
            rogue.say(6, &[], None);
        },
        |rogue| {
            rogue.init();
            rogue.init();
        },
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let rogue = Rogue::call(&mut server, &socket);
        lie(&rogue);
        for _ in 0..6 {
            server.turn();
        }
        let replies: Vec<u16> = std::iter::from_fn(|| rogue.hear()).collect();
        assert_eq!(replies.last(), Some(&8), "lie {index}: {replies:?}");
        assert!(!is_up(&server));
    }
    // Callers that say nothing are let go, and do not keep others out.
    let silent: Vec<_> = (0..8).map(|_| Rogue::call(&mut server, &socket)).collect();
    server.advance(Duration::from_secs(6));
    drop(silent);
    drop(Rogue::link(&mut server, &socket));
    server.run_until(|server| !is_up(server));
    server.stop().unwrap();
}
