//! The built template against what io-net expects of every module.

use io_net_testkit::{Kit, built_module, conformance};

#[test]
fn it_conforms() {
    conformance::run(built_module("nfm-template"), "");
}

#[test]
fn it_counts_and_passes_on() {
    let mut kit = Kit::start(built_module("nfm-template"), "").unwrap();
    let packets = (0..3).filter_map(|_| kit.packet(&[1; 60])).collect();
    kit.rx_up(0, 0, packets);
    let packet = kit.packet(&[2; 60]).unwrap();
    kit.rx_down(0, 0, vec![packet]);
    let sent = kit.take_sent();
    let up = sent.iter().filter(|sent| sent.up).count();
    assert_eq!((up, sent.len()), (3, 4));
    assert!(sent.iter().all(|sent| sent.packet.len() == 60));
    assert_eq!((kit.counter("up"), kit.counter("down")), (3, 1));
    drop(sent);
    kit.stop().unwrap();
}
