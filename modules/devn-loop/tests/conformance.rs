//! The built driver against what io-net expects of every module, and what comes back.

use io_net_ddk::abi::{DEVCTL_PROMISCUOUS, NPKT_BCAST, NPKT_PROMISC, NPKT_UP, VnetHdr};
use io_net_testkit::frames::ethernet;
use io_net_testkit::{Kit, built_module, conformance};

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 7];

#[test]
fn it_conforms() {
    conformance::run(built_module("devn-loop"), "");
}

#[test]
fn what_goes_down_comes_up() {
    let options = "mac=02:00:00:00:00:07,mtu=1500";
    let mut kit = Kit::start(built_module("devn-loop"), options).unwrap();
    let frame = |to: [u8; 6], len| ethernet(to, OURS, 0x88b5, &vec![5; len]);
    let mut segment = kit.packet(&frame(OURS, 30_000)).unwrap();
    *segment.vnet_mut() = VnetHdr {
        flags: 1,
        gso_type: 1,
        hdr_len: 66,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    let mut tagged = kit.packet(&frame([0xff; 6], 60)).unwrap();
    tagged.set_vlan_tci(Some(9));
    let packets = vec![
        kit.packet(&frame(OURS, 60)).unwrap(),
        segment,
        tagged,
        kit.packet(&frame([2; 6], 1504)).unwrap(),
        kit.packet(&frame(OURS, 1505)).unwrap(),
        kit.packet(&[2; 13]).unwrap(),
    ];
    let segment = *packets[1].vnet();
    let held = kit.share(&packets[0]);
    kit.rx_down(0, 0, packets);
    let sent = kit.take_sent();
    let seen: Vec<_> = sent
        .iter()
        .map(|sent| (sent.up, sent.packet.len(), sent.packet.flags()))
        .collect();
    let expected = [
        (true, 74, NPKT_UP),
        (true, 30_014, NPKT_UP),
        (true, 78, NPKT_UP | NPKT_BCAST),
        (true, 1518, NPKT_UP | NPKT_PROMISC),
    ];
    assert_eq!(seen, expected);
    assert_eq!(sent[0].packet.data(), held.data());
    assert_eq!(*sent[1].packet.vnet(), segment);
    let (head, tail) = (&frame([0xff; 6], 60)[..12], &[0x81, 0, 0, 9, 0x88, 0xb5]);
    assert_eq!(sent[2].packet.data()[..18], [head, tail].concat());
    assert_eq!(
        (kit.counter("tx_too_long"), kit.counter("tx_errors")),
        (1, 1)
    );
    assert_eq!(
        (kit.counter("tx_packets"), kit.counter("rx_packets")),
        (4, 4)
    );
    kit.devctl(0, DEVCTL_PROMISCUOUS, &0u32.to_ne_bytes())
        .unwrap();
    let packet = kit.packet(&frame([2; 6], 60)).unwrap();
    kit.rx_down(0, 0, vec![packet]);
    assert_eq!((kit.take_sent().len(), kit.counter("rx_filtered")), (0, 1));
    drop((sent, held));
    kit.stop().unwrap();
}
