//! Data, acknowledgements, loss and windows (RFC 9293, 3.8; RFC 5681; RFC 6298; RFC 7323).

use std::time::Duration;

use io_net_pkt::*;
use io_net_tcpip::{
    Config, IfaceConfig, Keepalive, Offload, Ready, RxMeta, SocketError, SocketId, State,
};

fn script() -> Script {
    Script::new(Config::default())
}

/// Sets options of a socket.
fn set(script: &mut Script, id: SocketId, change: impl FnOnce(&mut io_net_tcpip::SocketOptions)) {
    let mut options = script.host.stack.options(id).unwrap();
    change(&mut options);
    script
        .host
        .stack
        .set_options(script.now, id, options)
        .unwrap();
}

/// Ends the time in which each segment is acknowledged at once: the stack talks back.
fn settle(script: &mut Script, id: SocketId) {
    script.write(id, b"!");
    script.expect_data(1, 1);
    script.inject(segment(ACK, 1, 2, b"?"));
    script.expect_ack(2);
    script.host.read(script.now, id, 1);
}

#[test]
fn second_full_segment_and_delay() {
    let mut script = script();
    let id = script.accepted();
    settle(&mut script, id);
    script.inject(segment(ACK, 2, 2, &[0; 1000]));
    script.expect_nothing();
    script.advance_ms(39);
    script.expect_nothing();
    script.advance_ms(3);
    script.expect_ack(1002);
    script.inject(segment(ACK, 1002, 2, &[0; 1000]));
    script.expect_nothing();
    script.inject(segment(ACK, 2002, 2, &[0; 1000]));
    script.expect_ack(3002);
    // An answer carries the acknowledgement.
    script.inject(segment(ACK, 3002, 2, b"ask"));
    script.expect_nothing();
    script.write(id, b"answer");
    assert_eq!(script.expect_data(2, 6).ack, 3005);
    script.advance_ms(60);
    script.expect_nothing();
}

#[test]
fn young_connections_and_super_segments_are_acknowledged_at_once() {
    let mut script = script();
    let id = script.accepted();
    for index in 0..4 {
        script.inject(segment(ACK, 1 + index * 10, 1, &[0; 10]));
        script.expect_ack(11 + index * 10);
    }
    script.write(id, b"!");
    script.expect_data(1, 1);
    let mut large = segment(ACK, 41, 2, &[0; 3000]);
    large.gso_size = 1500;
    script.inject(large);
    script.expect_ack(3041);
}

#[test]
fn out_of_order_gives_duplicates_then_all() {
    let mut script = script();
    let id = script.accepted();
    script.inject(segment(ACK, 11, 1, &[2; 10]));
    script.expect_ack(1);
    script.inject(segment(ACK, 31, 1, &[4; 10]));
    script.expect_ack(1);
    script.inject(segment(ACK, 21, 1, &[3; 10]));
    script.expect_ack(1);
    assert!(!script.host.happened(id).ready.contains(Ready::READABLE));
    script.inject(segment(ACK, 1, 1, &[1; 10]));
    script.expect_ack(41);
    let data = script.host.read(script.now, id, 100);
    assert_eq!(data, [[1; 10], [2; 10], [3; 10], [4; 10]].concat());
    // Old data again, and data that is half old.
    script.inject(segment(ACK, 1, 1, &[9; 10]));
    script.expect_ack(41);
    script.inject(segment(ACK, 31, 1, &[5; 15]));
    script.expect_ack(46);
    assert_eq!(script.host.read(script.now, id, 100), [5; 5]);
}

#[test]
fn fin_out_of_order_waits() {
    let mut script = script();
    let id = script.accepted();
    script.inject(segment(ACK | FIN, 4, 1, b"def"));
    script.expect_ack(1);
    assert_eq!(script.state(id), State::Established);
    script.inject(segment(ACK, 1, 1, b"abc"));
    script.expect_ack(8);
    assert_eq!(script.state(id), State::CloseWait);
    assert_eq!(script.host.read(script.now, id, 100), b"abcdef");
}

#[test]
fn data_beyond_the_window_is_cut() {
    let mut script = Script::new(Config {
        recv_window_initial: 100,
        ..Config::default()
    });
    script.host.env.recv_capacity = 100;
    let id = script.accepted();
    script.inject(segment(ACK, 1, 1, &[1; 150]));
    let ack = script.expect_ack(101);
    assert_eq!(ack.window, 0);
    script.inject(segment(ACK, 101, 1, &[2; 50]));
    assert_eq!(script.expect_ack(101).window, 0);
    assert!(script.host.stat("tcp_drop_window") + script.host.stat("tcp_drop_buffer") <= 1);
    // Reading opens the window, not by a little.
    script.host.read(script.now, id, 10);
    script.expect_nothing();
    script.host.read(script.now, id, 90);
    assert_eq!(script.expect_ack(101).window, 100);
}

#[test]
fn nagle_holds_the_second_small_segment() {
    let mut script = script();
    let id = script.connected();
    script.write(id, b"a");
    script.expect_data(1, 1);
    script.write(id, b"b");
    script.write(id, b"c");
    script.expect_nothing();
    script.inject(segment(ACK, 1, 2, b""));
    script.expect_data(2, 2);
    set(&mut script, id, |options| options.no_delay = true);
    script.write(id, b"d");
    script.expect_data(4, 1);
    script.write(id, &[0; 1500]);
    script.expect_data(5, 1000);
    script.expect_data(1005, 500);
}

#[test]
fn cork_sends_full_segments_only() {
    let mut script = script();
    let id = script.connected();
    set(&mut script, id, |options| options.cork = true);
    script.write(id, &[0; 1300]);
    script.expect_data(1, 1000);
    script.expect_nothing();
    set(&mut script, id, |options| options.cork = false);
    script.host.stack.flush(script.now, &mut script.host.env);
    script.expect_data(1001, 300);
}

#[test]
fn initial_window_and_slow_start() {
    let mut script = script();
    let id = script.connected();
    script.write(id, &[7; 40_000]);
    for index in 0..10 {
        script.expect_data(1 + index * 1000, 1000);
    }
    script.expect_nothing();
    script.inject(segment(ACK, 1, 2001, b""));
    for index in 10..14 {
        script.expect_data(1 + index * 1000, 1000);
    }
    script.expect_nothing();
}

#[test]
fn offload_makes_one_super_segment() {
    let iface = IfaceConfig {
        offload: Offload {
            checksum: true,
            tso4: true,
            ..Offload::default()
        },
        ..IfaceConfig::default()
    };
    let mut script = Script::with_iface(Config::default(), iface);
    let id = script.connected();
    script.write(id, &[7; 9500]);
    let sent = script.host.env.outbox.front().expect("a packet");
    assert_eq!(sent.bytes.len(), 9500 + 40);
    assert_eq!(
        (sent.meta.gso_type, sent.meta.gso_size, sent.meta.hdr_len),
        (1, 1000, 40)
    );
    assert!(sent.meta.needs_csum);
    assert_eq!(script.host.env.outbox.len(), 1);
    // The device's work gives valid segments.
    for index in 0..9 {
        script.expect_data(1 + index * 1000, 1000);
    }
    assert_eq!(script.expect_data(9001, 500).flags, ACK | PSH);
}

#[test]
fn three_duplicates_make_a_fast_retransmit() {
    let mut script = script();
    let id = script.connected();
    script.write(id, &[7; 10_000]);
    (0..10).for_each(|index| drop(script.expect_data(1 + index * 1000, 1000)));
    script.write(id, &[7; 10_000]);
    // Limited transmit: each of the first two lets one new segment go.
    script.inject(segment(ACK, 1, 1, b""));
    script.expect_data(10_001, 1000);
    script.inject(segment(ACK, 1, 1, b""));
    script.expect_data(11_001, 1000);
    script.inject(segment(ACK, 1, 1, b""));
    script.expect_data(1, 1000);
    script.expect_nothing();
    assert_eq!(script.host.stat("tcp_fast_retransmits"), 1);
    // A partial acknowledgement: the next hole goes at once.
    script.inject(segment(ACK, 1, 3001, b""));
    script.expect_data(3001, 1000);
    // Full acknowledgement ends recovery with half the window.
    script.inject(segment(ACK, 1, 12_001, b""));
    let info = script.host.stack.tcp_info(id).unwrap();
    assert_eq!(info.ssthresh, 6000);
    assert!(info.cwnd <= 6000 && info.cwnd >= 1000);
}

#[test]
fn timeout_backs_off_and_sends_from_the_start() {
    let mut script = script();
    let id = script.connected();
    script.write(id, &[7; 3000]);
    (0..3).for_each(|index| drop(script.expect_data(1 + index * 1000, 1000)));
    for wait in [200, 400, 800] {
        script.advance_ms(wait - 5);
        script.expect_nothing();
        script.advance_ms(8);
        script.expect_data(1, 1000);
        script.expect_nothing();
    }
    script.inject(segment(ACK, 1, 1001, b""));
    script.expect_data(1001, 1000);
    script.expect_data(2001, 1000);
    let info = script.host.stack.tcp_info(id).unwrap();
    assert_eq!((info.ssthresh, info.retransmits), (2000, 5));
}

#[test]
fn user_timeout_and_retries_end_the_connection() {
    for user_timeout in [None, Some(Duration::from_secs(3))] {
        let mut script = Script::new(Config {
            data_retries: 4,
            ..Config::default()
        });
        let id = script.connected();
        set(&mut script, id, |options| {
            options.user_timeout = user_timeout
        });
        script.write(id, b"x");
        script.advance_ms(2900);
        assert_eq!(script.host.happened(id).error, None);
        script.advance_ms(7000);
        assert_eq!(script.host.happened(id).error, Some(SocketError::TimedOut));
    }
}

#[test]
fn zero_window_is_probed_for_ever_while_answered() {
    let mut script = script();
    let id = script.connected();
    script.write(id, &[1; 500]);
    script.expect_data(1, 500);
    script.inject(segment(ACK, 1, 501, b"").window(0));
    script.write(id, &[2; 3000]);
    script.expect_nothing();
    let mut probes = 0;
    for _ in 0..60 {
        script.advance_ms(30_000);
        while let Some(probe) = script.take_next() {
            assert_eq!((probe.flags, probe.seq, probe.data.len()), (ACK, 500, 0));
            probes += 1;
            script.inject(segment(ACK, 1, 501, b"").window(0));
        }
    }
    assert!(probes > 20, "{probes} probes");
    assert_eq!(script.state(id), State::Established);
    script.inject(segment(ACK, 1, 501, b""));
    script.expect_data(501, 1000);
}

#[test]
fn window_smaller_than_a_segment_is_used_after_a_while() {
    let mut script = script();
    let id = script.connected();
    script.write(id, &[1; 1000]);
    script.expect_data(1, 1000);
    script.inject(segment(ACK, 1, 1001, b"").window(300));
    script.write(id, &[2; 3000]);
    script.expect_nothing();
    script.advance_ms(1100);
    script.expect_data(1001, 300);
}

#[test]
fn old_timestamps_are_dropped_and_echoes_are_right() {
    let mut script = script();
    let listener = script.listen(4);
    script.inject(segment(SYN, 0, 0, b"").stamp(1000, 0));
    let answer = script.expect_flags(SYN | ACK);
    let stamp = answer.options.timestamp.expect("timestamps were offered");
    assert_eq!(stamp.echo, 1000);
    script.inject(segment(ACK, 1, 1, b"").stamp(1010, stamp.value));
    let id = script.host.stack.tcp_accept(listener).unwrap().socket;
    script.inject(segment(ACK, 1, 1, b"new").stamp(1020, stamp.value));
    assert_eq!(script.expect_ack(4).options.timestamp.unwrap().echo, 1020);
    // Older than what was seen: a duplicate from long ago (PAWS), answered and dropped.
    script.inject(segment(ACK, 4, 1, b"old").stamp(1005, stamp.value));
    script.expect_ack(4);
    // Without the option that was agreed on: dropped.
    script.inject(segment(ACK, 4, 1, b"bare"));
    script.expect_nothing();
    assert_eq!(script.host.stat("tcp_drop_paws"), 2);
    assert_eq!(script.host.read(script.now, id, 100), b"new");
    // A reset needs no timestamp.
    script.inject(segment(RST, 4, 0, b""));
    assert_eq!(script.host.happened(id).error, Some(SocketError::Reset));
}

#[test]
fn window_scale_is_used_when_both_offer_it() {
    let mut script = script();
    script.host.env.recv_capacity = 1 << 20;
    let listener = script.listen(4);
    let mut syn = segment(SYN, 0, 0, b"").mss(1000);
    syn.options.window_scale = Some(200);
    script.inject(syn);
    let answer = script.expect_flags(SYN | ACK);
    let shift = answer.options.window_scale.expect("scaling was offered");
    script.inject(segment(ACK, 1, 1, b"").window(2));
    let id = script.host.stack.tcp_accept(listener).unwrap().socket;
    // 200 is taken as 14 (RFC 7323, 2.3).
    assert_eq!(script.host.stack.tcp_info(id).unwrap().send_window, 2 << 14);
    script.inject(segment(ACK, 1, 1, b"x"));
    let window = u32::from(script.expect_ack(2).window) << shift;
    assert!(window > 1_000_000, "{window}");
}

#[test]
fn keepalive_probes_and_gives_up() {
    let mut script = script();
    let id = script.accepted();
    set(&mut script, id, |options| {
        options.keepalive = Some(Keepalive {
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(2),
            probes: 3,
        });
    });
    script.advance_ms(9900);
    script.expect_nothing();
    script.advance_ms(200);
    assert_eq!(script.expect_ack(1).seq, 0);
    script.inject(segment(ACK, 1, 1, b""));
    script.advance_ms(9800);
    script.expect_nothing();
    script.advance_ms(6000);
    (0..3).for_each(|_| drop(script.expect_ack(1)));
    script.advance_ms(3000);
    assert_eq!(script.host.happened(id).error, Some(SocketError::TimedOut));
    assert_eq!(script.host.stat("tcp_keepalive_probes"), 4);
}

#[test]
fn no_packet_buffer_is_tried_again() {
    let mut script = script();
    let id = script.connected();
    script.host.env.packets_left = 0;
    script.write(id, b"held up");
    script.expect_nothing();
    let retry = script.host.stack.poll_at().expect("a retry");
    assert!(retry <= script.now + Duration::from_millis(2));
    script.host.env.packets_left = 10;
    script.advance_ms(2);
    script.expect_data(1, 7);
    assert_eq!(script.host.stat("tcp_retransmits"), 0);
}

#[test]
fn all_sent_is_told() {
    let mut script = script();
    let id = script.connected();
    script.write(id, b"bytes");
    script.shutdown(id);
    script.expect_data(1, 5);
    let fin = script.expect_flags(ACK | FIN);
    assert_eq!(fin.seq, 6);
    script.inject(segment(ACK, 1, 6, b""));
    assert!(!script.host.happened(id).ready.contains(Ready::SENT_ALL));
    script.inject(segment(ACK, 1, 7, b""));
    assert!(script.host.happened(id).ready.contains(Ready::SENT_ALL));
    assert_eq!(script.host.tx(id).len(), 0);
}

#[test]
fn urgent_pointer_past_the_data_is_harmless() {
    let mut script = script();
    let id = script.accepted();
    script.inject(segment(ACK | URG, 1, 1, b"now"));
    script.expect_ack(4);
    assert_eq!(script.host.read(script.now, id, 10), b"now");
}

#[test]
fn corrupted_and_cut_segments_are_counted() {
    let mut script = script();
    script.accepted();
    let mut packet = vec![0; 40];
    ip_header(6, 20).emit(&mut packet);
    script.host.receive(script.now, &packet, RxMeta::default());
    assert_eq!(script.host.stat("tcp_drop_checksum"), 1);
    for len in 0..20 {
        script
            .host
            .receive(script.now, &packet[..len], RxMeta::default());
    }
    assert_eq!(script.host.stat("ip_drop_header"), 20);
    script.expect_nothing();
}
