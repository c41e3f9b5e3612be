//! The built driver at both ends of a link.

use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, DEVCTL_LINK_STATE, GSO_TCPV4, NPKT_PROMISC, NPKT_UP, VNET_NEEDS_CSUM,
    VnetHdr,
};
use io_net_os::eventfd::EventFd;
use io_net_os::map::{memfd, sealed_segment};
use io_net_os::unix::{self, Wait};
use io_net_testkit::frames::{Random, ethernet};
use io_net_testkit::{Kit, built_module};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A place to meet that is gone with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("devn-pipe-{name}-{}", std::process::id());
        Place(std::env::temp_dir().join(name))
    }

    fn start(&self, more: &str) -> Kit {
        let options = format!("path={},size=262144{more}", self.0.display());
        Kit::start(built_module("devn-pipe"), &options).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn newest(kit: &Kit) -> Advert {
    *kit.adverts().last().unwrap()
}

fn is_up(kit: &Kit) -> bool {
    newest(kit).flags & ADVERT_LINK_UP != 0
}

/// Lets virtual time and both loops run until `done`.
fn until(kits: &mut [&mut Kit], mut done: impl FnMut(&mut [&mut Kit]) -> bool) {
    let start = Instant::now();
    while !done(kits) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "nothing came of ten seconds"
        );
        for kit in kits.iter_mut() {
            kit.turn();
            kit.advance(Duration::from_millis(50));
        }
    }
}

fn join(one: &mut Kit, other: &mut Kit) {
    until(&mut [one, other], |kits| kits.iter().all(|kit| is_up(kit)));
}

fn received(kit: &mut Kit) -> Vec<Vec<u8>> {
    kit.turn();
    let sent = kit.take_sent();
    sent.iter()
        .map(|sent| sent.packet.data().to_vec())
        .collect()
}

#[test]
fn two_ends_meet_whoever_comes_first() {
    let place = Place::new("meet");
    for roles in [
        ["", ""],
        [",role=server", ",role=client"],
        [",role=client", ",role=server"],
    ] {
        let mut first = place.start(roles[0]);
        assert!(!is_up(&first));
        let mut second = place.start(&format!("{},mtu=9000", roles[1]));
        join(&mut first, &mut second);
        assert_eq!((newest(&first).mtu, newest(&second).mtu), (1500, 1500));
        assert_eq!(
            first.devctl(0, DEVCTL_LINK_STATE, b"").unwrap(),
            1u32.to_ne_bytes()
        );
        first.stop().unwrap();
        second.stop().unwrap();
    }
}

#[test]
fn frames_and_their_metadata_cross() {
    let place = Place::new("cross");
    let (mut a, mut b) = (place.start(",mac=02:00:00:00:00:0a"), place.start(""));
    join(&mut a, &mut b);
    let ours = [2, 0, 0, 0, 0, 0x0a];
    let vnet = VnetHdr {
        flags: VNET_NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 66,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    let frame = ethernet(ours, [2; 6], 0x0800, &[7; 60_000]);
    let mut packet = b.packet(&frame[..100]).unwrap();
    packet.chain(b.packet(&frame[100..]).unwrap());
    *packet.vnet_mut() = vnet;
    packet.set_vlan_tci(Some(5));
    let other = b.packet(&ethernet([2; 6], ours, 0x0800, b"x")).unwrap();
    b.rx_down(0, 0, vec![packet, other]);
    a.turn();
    let sent = a.take_sent();
    assert_eq!(sent.len(), 2);
    assert!(sent[0].packet.data() == frame && !sent[0].packet.is_chained());
    assert_eq!(*sent[0].packet.vnet(), vnet);
    assert_eq!(sent[0].packet.vlan_tci(), Some(5));
    let others = NPKT_UP | NPKT_PROMISC;
    assert_eq!(sent[0].packet.flags() & others, NPKT_UP);
    assert_eq!(sent[1].packet.flags() & others, others);
    drop(sent);
    assert_eq!((a.counter("rx_packets"), b.counter("tx_packets")), (2, 2));
    a.stop().unwrap();
    b.stop().unwrap();
}

#[test]
fn what_finds_no_room_waits_and_what_waits_too_long_is_counted() {
    let mut kit = Kit::start(built_module("devn-pipe"), "both,size=262144").unwrap();
    let n = 900;
    for i in 0..n {
        let frame = ethernet([2; 6], [4; 6], i, &[1; 1500]);
        let packet = kit.packet(&frame).unwrap();
        kit.rx_down(0, 0, vec![packet]);
    }
    let lost = kit.counter("tx_no_room");
    assert!(lost > 0, "the ring and the backlog hold fewer than {n}");
    assert!(kit.arm(1, true), "there is work");
    let mut got = Vec::new();
    kit.run_until(|kit| {
        got.extend(received(kit));
        got.len() as u64 == u64::from(n) - lost
    });
    let numbers: Vec<u16> = got
        .iter()
        .map(|frame| u16::from_be_bytes([frame[12], frame[13]]))
        .collect();
    assert!(
        numbers.iter().copied().eq(0..numbers.len() as u16),
        "in order"
    );
    assert!(!kit.arm(0, true) && !kit.arm(1, true), "nothing is left");
    kit.stop().unwrap();
}

#[test]
fn a_sleeper_is_rung_and_a_busy_end_is_not() {
    let place = Place::new("ring");
    let (mut a, mut b) = (place.start(""), place.start(""));
    join(&mut a, &mut b);
    let frame = ethernet([2; 6], [4; 6], 0x0800, b"hello");
    let send = |kit: &mut Kit| {
        let packet = kit.packet(&frame).unwrap();
        kit.rx_down(0, 0, vec![packet]);
    };
    assert!(!a.arm(0, true));
    send(&mut b);
    // Only the bell: `event` takes the packet off the ring.
    a.run_until(|kit| kit.counter("rx_packets") == 1);
    a.arm(0, false);
    send(&mut b);
    assert!(a.arm(0, true), "it came before the worker slept");
    a.stop().unwrap();
    b.stop().unwrap();
}

#[test]
fn a_link_comes_back_when_the_other_end_does() {
    let place = Place::new("again");
    for server_dies in [true, false] {
        let mut stays = place.start(if server_dies {
            ",role=client"
        } else {
            ",role=server"
        });
        for life in 1..=3 {
            let mut dies = place.start(if server_dies {
                ",role=server"
            } else {
                ",role=client"
            });
            join(&mut stays, &mut dies);
            let packet = dies.packet(&ethernet([2; 6], [4; 6], 1, &[1; 60])).unwrap();
            dies.rx_down(0, 0, vec![packet]);
            until(&mut [&mut stays], |kits| {
                kits[0].counter("rx_packets") == life
            });
            dies.stop().unwrap();
            until(&mut [&mut stays], |kits| !is_up(kits[0]));
            let packet = stays.packet(&[1; 60]).unwrap();
            stays.rx_down(0, 0, vec![packet]);
            assert_eq!(stays.counter("tx_link_down"), life);
        }
        assert_eq!(stays.counter("links"), 3);
        stays.stop().unwrap();
    }
}

#[test]
fn a_socket_left_behind_is_no_obstacle_and_a_live_one_is_respected() {
    let place = Place::new("stale");
    drop(unix::listen_seqpacket(&place.0, 1).unwrap());
    assert!(place.0.exists());
    let (mut a, mut b) = (place.start(",role=server"), place.start(""));
    join(&mut a, &mut b);
    let options = format!("path={},role=server", place.0.display());
    let third = Kit::start(built_module("devn-pipe"), &options)
        .err()
        .unwrap();
    assert!(third.text.contains("another server"), "{third}");
    // One that only connects finds the link taken, and leaves it alone.
    let mut third = place.start(",role=client");
    for _ in 0..20 {
        third.turn();
        third.advance(Duration::from_millis(100));
        a.turn();
    }
    assert!(is_up(&a) && is_up(&b) && !is_up(&third));
    for kit in [a, b, third] {
        kit.stop().unwrap();
    }
}

#[test]
fn rubbish_in_the_ring_cuts_the_link_and_nothing_else() {
    let place = Place::new("rubbish");
    let mut server = place.start(",role=server");
    let mut random = Random::new(7);
    for life in 0..30 {
        // A client that keeps the rules of the meeting, and then none.
        let socket = connect(&mut server, &place);
        let mut offer = [0; 32];
        let mut got = unix::recv_fds(socket.as_fd(), &mut offer, Wait::Block).unwrap();
        let memory = got.take_fd().unwrap();
        let _bells = (got.take_fd().unwrap(), got.take_fd().unwrap());
        unix::send_fds(socket.as_fd(), &offer[..got.len], &[], Wait::Block).unwrap();
        until(&mut [&mut server], |kits| is_up(kits[0]));
        let file = std::fs::File::from(memory);
        use std::os::unix::fs::FileExt;
        let direction = 4096 + 262_144;
        for at in (0..direction).step_by(64) {
            let bytes = random.bytes(16);
            file.write_all_at(&bytes, (direction + at) as u64).unwrap();
        }
        let head = [random.next_u64(), 262_144, 64, u64::MAX][life % 4];
        file.write_all_at(&head.to_ne_bytes(), direction as u64)
            .unwrap();
        for _ in 0..5 {
            server.turn();
            server.arm(0, true);
            drop(server.take_sent());
        }
        drop((socket, file));
        until(&mut [&mut server], |kits| !is_up(kits[0]));
    }
    assert!(server.counter("links_corrupt") >= 8);
    assert_eq!(server.failure(), None);
    server.stop().unwrap();
}

fn connect(server: &mut Kit, place: &Place) -> std::os::fd::OwnedFd {
    let socket = unix::connect_seqpacket(&place.0).unwrap();
    server.turn();
    socket
}

#[test]
fn false_offers_and_answers_are_turned_down() {
    let place = Place::new("false");
    let listener = unix::listen_seqpacket(&place.0, 8).unwrap();
    let mut client = place.start(",role=client");
    let size = 262_144_u64;
    let terms = |size: u64| {
        let mut bytes = b"io-pipe\x01".to_vec();
        bytes.extend(size.to_ne_bytes());
        bytes.extend(1500_u32.to_ne_bytes());
        bytes
    };
    let memory = 2 * (4096 + size as usize);
    let (good, _map) = sealed_segment(c"good", memory).unwrap();
    let (short, _map) = sealed_segment(c"short", memory - 4096).unwrap();
    let unsealed = memfd(c"unsealed", memory, false).unwrap();
    let bell = EventFd::new().unwrap();
    let offers: [(Vec<u8>, Vec<BorrowedFd<'_>>); 7] = [
        (terms(size), vec![short.as_fd(), bell.as_fd(), bell.as_fd()]),
        (
            terms(size),
            vec![unsealed.as_fd(), bell.as_fd(), bell.as_fd()],
        ),
        (terms(size), vec![good.as_fd(), bell.as_fd(), good.as_fd()]),
        (terms(size), vec![good.as_fd(), bell.as_fd()]),
        (
            terms(u64::MAX),
            vec![good.as_fd(), bell.as_fd(), bell.as_fd()],
        ),
        (
            terms(size)[..10].to_vec(),
            vec![good.as_fd(), bell.as_fd(), bell.as_fd()],
        ),
        (vec![0; 300], vec![]),
    ];
    for (bytes, fds) in &offers {
        let mut socket = None;
        until(&mut [&mut client], |_| {
            socket = unix::accept(listener.as_fd()).ok();
            socket.is_some()
        });
        let socket = socket.unwrap();
        unix::send_fds(socket.as_fd(), bytes, fds, Wait::Block).unwrap();
        until(&mut [&mut client], |_| {
            let gone = unix::recv_fds(socket.as_fd(), &mut [0; 8], Wait::DontWait);
            gone.is_ok_and(|got| got.len == 0)
        });
        assert!(!is_up(&client));
    }
    client.stop().unwrap();
    drop(listener);
    // A client that connects and says nothing is let go, and the next is served.
    let mut server = place.start(",role=server");
    let silent = connect(&mut server, &place);
    server.advance(Duration::from_secs(3));
    let mut good = place.start(",role=client");
    join(&mut server, &mut good);
    drop(silent);
    server.stop().unwrap();
    good.stop().unwrap();
}
