//! Opening, closing, and what ends a connection (RFC 9293, 3.5, 3.6, 3.10).

use io_net_pkt::*;
use io_net_tcpip::{Config, Ready, SocketError, SocketRequestError, State};

fn script() -> Script {
    Script::new(Config::default())
}

#[test]
fn passive_open_and_close_by_the_peer() {
    let mut script = script();
    let id = script.accepted();
    assert_eq!(script.state(id), State::Established);
    script.inject(segment(ACK | FIN, 1, 1, b""));
    script.expect_ack(2);
    assert_eq!(script.state(id), State::CloseWait);
    assert!(script.host.happened(id).ready.contains(Ready::PEER_CLOSED));
    script.close(id);
    let fin = script.expect_flags(ACK | FIN);
    assert_eq!((fin.seq, fin.ack), (1, 2));
    assert_eq!(script.state(id), State::LastAck);
    script.inject(segment(ACK, 2, 2, b""));
    assert_eq!(script.state(id), State::Closed);
    assert!(script.host.happened(id).ready.contains(Ready::RELEASED));
}

#[test]
fn active_open_and_close_ends_in_time_wait() {
    let mut script = script();
    let id = script.connected();
    script.close(id);
    script.expect_flags(ACK | FIN);
    assert_eq!(script.state(id), State::FinWait1);
    script.inject(segment(ACK, 1, 2, b""));
    assert_eq!(script.state(id), State::FinWait2);
    script.inject(segment(ACK | FIN, 1, 2, b""));
    script.expect_ack(2);
    assert_eq!(script.state(id), State::TimeWait);
    script.advance_ms(50_000);
    // A repeated FIN is acknowledged again and starts TIME-WAIT over.
    script.inject(segment(ACK | FIN, 1, 2, b""));
    script.expect_ack(2);
    script.advance_ms(50_000);
    assert_eq!(script.state(id), State::TimeWait);
    script.advance_ms(10_100);
    assert!(script.host.stack.sockets().is_empty());
    assert_eq!(script.host.stack.poll_at(), None);
}

#[test]
fn simultaneous_open() {
    let mut script = script();
    let peer = script.peer();
    let id = script.host.connect(script.now, peer, 65_536).unwrap();
    script.expect_flags(SYN);
    script.inject(segment(SYN, 0, 0, b"").mss(1000));
    let answer = script.expect_flags(SYN | ACK);
    assert_eq!((answer.seq, answer.ack), (0, 1));
    assert_eq!(script.state(id), State::SynReceived);
    script.inject(segment(SYN | ACK, 0, 1, b"").mss(1000));
    assert_eq!(script.state(id), State::Established);
    assert!(script.host.happened(id).ready.contains(Ready::CONNECTED));
}

#[test]
fn simultaneous_close() {
    let mut script = script();
    let id = script.connected();
    script.shutdown(id);
    script.expect_flags(ACK | FIN);
    script.inject(segment(ACK | FIN, 1, 1, b""));
    script.expect_ack(2);
    assert_eq!(script.state(id), State::Closing);
    script.inject(segment(ACK, 2, 2, b""));
    assert_eq!(script.state(id), State::TimeWait);
}

#[test]
fn half_close_still_receives() {
    let mut script = script();
    let id = script.connected();
    script.shutdown(id);
    script.expect_flags(ACK | FIN);
    script.inject(segment(ACK | PSH, 1, 2, b"late"));
    script.expect_ack(5);
    assert_eq!(script.host.read(script.now, id, 10), b"late");
}

#[test]
fn refused_and_unwanted() {
    let mut script = script();
    // No listener: a SYN gets RST with its number acknowledged, an ACK gets RST of its own number.
    script.inject(segment(SYN, 0, 0, b""));
    let reset = script.expect_flags(RST | ACK);
    assert_eq!(reset.ack, 1);
    script.inject(segment(ACK, 5, 77, b""));
    assert_eq!(script.expect_flags(RST).seq, 77);
    script.inject(segment(RST, 5, 0, b""));
    script.expect_nothing();
    let peer = script.peer();
    let id = script.host.connect(script.now, peer, 4096).unwrap();
    script.expect_flags(SYN);
    // A reset without the right ACK is nothing.
    script.inject(segment(RST, 0, 0, b""));
    assert_eq!(script.state(id), State::SynSent);
    script.inject(segment(RST | ACK, 0, 1, b""));
    let happened = script.host.happened(id);
    assert_eq!(happened.error, Some(SocketError::Refused));
    assert!(happened.ready.contains(Ready::DISCONNECTED));
    // The socket can try again.
    script
        .host
        .connect_with(script.now, id, peer, 4096)
        .unwrap();
    script.expect_flags(SYN);
}

#[test]
fn syn_is_repeated_with_backing_off_and_then_given_up() {
    let mut script = script();
    let peer = script.peer();
    let id = script.host.connect(script.now, peer, 4096).unwrap();
    script.expect_flags(SYN);
    for wait in [1, 2, 4, 8, 16, 32] {
        script.advance_ms(wait * 1000 - 100);
        script.expect_nothing();
        script.advance_ms(105);
        script.expect_flags(SYN);
    }
    script.advance_ms(70_000);
    script.expect_nothing();
    assert_eq!(script.host.happened(id).error, Some(SocketError::TimedOut));
}

#[test]
fn reset_must_have_the_exact_number() {
    let mut script = script();
    let id = script.accepted();
    script.inject(segment(RST, 2, 0, b""));
    script.expect_ack(1);
    assert_eq!(script.state(id), State::Established);
    script.inject(segment(RST, 70_000, 0, b""));
    script.expect_nothing();
    script.inject(segment(RST, 1, 0, b""));
    assert_eq!(script.host.happened(id).error, Some(SocketError::Reset));
    assert_eq!(script.host.stat("tcp_challenge_acks"), 1);
}

#[test]
fn syn_in_the_window_is_challenged() {
    let mut script = script();
    let id = script.accepted();
    script.inject(segment(SYN, 5, 0, b""));
    script.expect_ack(1);
    script.inject(segment(SYN | ACK, 0, 1, b""));
    script.expect_ack(1);
    assert_eq!(script.state(id), State::Established);
}

#[test]
fn challenges_are_limited() {
    let mut script = Script::new(Config {
        challenge_acks_per_s: 3,
        ..Config::default()
    });
    script.accepted();
    for _ in 0..10 {
        script.inject(segment(RST, 2, 0, b""));
    }
    for _ in 0..3 {
        script.expect_ack(1);
    }
    script.expect_nothing();
    assert_eq!(script.host.stat("tcp_challenge_limited"), 7);
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_challenged() {
    let mut script = script();
    let id = script.accepted();
    script.inject(segment(ACK, 1, 500, b"x"));
    script.expect_ack(1);
    script.inject(segment(ACK, 1, 0u32.wrapping_sub(100_000), b"x"));
    script.expect_ack(1);
    assert_eq!(script.host.rx(id).len(), 0);
    assert_eq!(script.host.stat("tcp_drop_ack"), 2);
}

#[test]
fn bad_handshake_ack_is_reset() {
    let mut script = script();
    let listener = script.listen(1);
    script.inject(segment(SYN, 0, 0, b""));
    script.expect_flags(SYN | ACK);
    script.inject(segment(ACK, 1, 9, b""));
    assert_eq!(script.expect_flags(RST).seq, 9);
    script.inject(segment(SYN, 0, 0, b""));
    script.expect_flags(SYN | ACK);
    // A reset returns the listener to LISTEN, and tells nobody.
    script.inject(segment(RST, 1, 0, b""));
    script.inject(segment(ACK, 1, 1, b""));
    script.expect_flags(RST);
    assert!(script.host.stack.tcp_accept(listener).is_none());
    assert_eq!(script.host.stack.tcp_backlog(listener), Some((0, 0, 1)));
}

#[test]
fn handshake_ack_may_carry_data_and_fin() {
    let mut script = script();
    let listener = script.listen(1);
    script.inject(segment(SYN, 0, 0, b""));
    script.expect_flags(SYN | ACK);
    script.inject(segment(ACK | FIN | PSH, 1, 1, b"hello"));
    script.expect_ack(7);
    let id = script.host.stack.tcp_accept(listener).unwrap().socket;
    assert_eq!(script.host.read(script.now, id, 9), b"hello");
    assert_eq!(script.state(id), State::CloseWait);
}

#[test]
fn backlog_and_syn_queue_are_bounded() {
    let mut script = Script::new(Config {
        syn_queue_max: 4,
        ..Config::default()
    });
    let listener = script.listen(2);
    for port in 1000..1100 {
        script.peer_port = port;
        script.inject(segment(SYN, 0, 0, b""));
        script.expect_flags(SYN | ACK);
    }
    assert_eq!(script.host.stack.tcp_backlog(listener), Some((4, 0, 2)));
    assert_eq!(script.host.stat("tcp_syn_evicted"), 96);
    assert_eq!(script.host.stack.sockets().len(), 5);
    for port in 2000..2004 {
        script.peer_port = port;
        script.inject(segment(SYN, 0, 0, b""));
        if port < 2002 {
            script.expect_flags(SYN | ACK);
            script.inject(segment(ACK, 1, 1, b""));
        }
        script.expect_nothing();
    }
    assert_eq!(script.host.stat("tcp_drop_backlog"), 2);
    // Closing the listener resets what nobody has accepted.
    script.close(listener);
    script.expect_flags(RST | ACK);
    assert!(script.host.stack.sockets().is_empty());
    assert_eq!(script.host.stack.sockets(), []);
}

#[test]
fn no_buffers_means_reset() {
    let mut script = script();
    script.host.env.accepts = false;
    script.listen(2);
    script.inject(segment(SYN, 0, 0, b""));
    script.expect_flags(SYN | ACK);
    script.inject(segment(ACK, 1, 1, b""));
    script.expect_flags(RST);
    assert_eq!(script.host.stat("tcp_refused_buffers"), 1);
    assert_eq!(script.host.stack.sockets().len(), 1);
}

#[test]
fn closing_with_unread_data_resets() {
    let mut script = script();
    let id = script.accepted();
    script.inject(segment(ACK, 1, 1, b"unread"));
    script.expect_ack(7);
    script.close(id);
    assert_eq!(script.expect_flags(RST | ACK).seq, 1);
    assert!(script.host.happened(id).ready.contains(Ready::RELEASED));
}

#[test]
fn data_after_close_resets() {
    let mut script = script();
    let id = script.accepted();
    script.close(id);
    script.expect_flags(ACK | FIN);
    script.inject(segment(ACK, 1, 2, b"too late"));
    let reset = script.expect_flags(RST | ACK);
    assert_eq!(reset.seq, 2);
    assert_eq!(script.host.stack.sockets().len(), 1);
}

#[test]
fn orphan_in_fin_wait_2_does_not_stay() {
    let mut script = script();
    let id = script.accepted();
    script.close(id);
    script.expect_flags(ACK | FIN);
    script.inject(segment(ACK, 1, 2, b""));
    assert_eq!(script.state(id), State::FinWait2);
    assert!(script.host.happened(id).ready.contains(Ready::RELEASED));
    script.advance_ms(60_100);
    assert_eq!(script.host.stack.sockets().len(), 1);
}

#[test]
fn time_wait_is_reused_by_a_newer_syn_and_not_by_an_older() {
    let mut script = script();
    let listener = script.listen(4);
    script.inject(segment(SYN, 0, 0, b"").stamp(1000, 0));
    script.expect_flags(SYN | ACK);
    script.inject(segment(ACK, 1, 1, b"").stamp(1001, 0));
    let id = script.host.stack.tcp_accept(listener).unwrap().socket;
    script.close(id);
    script.expect_flags(ACK | FIN);
    script.inject(segment(ACK | FIN, 1, 2, b"").stamp(1002, 0));
    script.expect_ack(2);
    assert_eq!(script.state(id), State::TimeWait);
    script.inject(segment(RST, 2, 0, b""));
    assert_eq!(script.state(id), State::TimeWait);
    script.inject(segment(SYN, 500, 0, b"").stamp(900, 0));
    assert_eq!(script.expect_flags(ACK).seq, 2);
    script.inject(segment(SYN, 0, 0, b"").stamp(2000, 0));
    let answer = script.expect_flags(SYN | ACK);
    assert_eq!(answer.ack, 1);
    assert_eq!(script.state(id), State::Closed);
}

#[test]
fn time_wait_is_bounded() {
    let mut script = Script::new(Config {
        time_wait_max: 10,
        ..Config::default()
    });
    let listener = script.listen(4);
    for port in 5000..5030 {
        script.peer_port = port;
        script.inject(segment(SYN, 0, 0, b""));
        script.expect_flags(SYN | ACK);
        script.inject(segment(ACK, 1, 1, b""));
        let id = script.host.stack.tcp_accept(listener).unwrap().socket;
        script.close(id);
        script.expect_flags(ACK | FIN);
        script.inject(segment(ACK | FIN, 1, 2, b""));
        script.expect_ack(2);
    }
    assert_eq!(script.host.stack.sockets().len(), 11);
    assert_eq!(script.host.stat("tcp_time_wait_evicted"), 20);
}

#[test]
fn abort_and_linger() {
    let mut script = script();
    let id = script.accepted();
    script.host.stack.tcp_abort(script.now, id).unwrap();
    script.expect_flags(RST | ACK);
    assert_eq!(script.host.happened(id).error, Some(SocketError::Aborted));
    script.close(id);
    script.peer_port += 1;
    script.port = 81;
    let id = script.accepted();
    let mut options = script.host.stack.options(id).unwrap();
    options.linger_abort = true;
    script
        .host
        .stack
        .set_options(script.now, id, options)
        .unwrap();
    script.close(id);
    script.expect_flags(RST | ACK);
    assert_eq!(
        script.host.stack.close(script.now, id),
        Err(SocketRequestError::Unknown)
    );
}

#[test]
fn binding_rules() {
    let mut script = script();
    let stack = &mut script.host.stack;
    let open = |stack: &mut io_net_tcpip::Stack<_>| stack.tcp_open().unwrap();
    let addr = |text: &str| text.parse().unwrap();
    let (a, b, c) = (open(stack), open(stack), open(stack));
    stack.bind(a, addr("10.0.0.1:80")).unwrap();
    assert_eq!(
        stack.bind(a, addr("10.0.0.1:81")),
        Err(SocketRequestError::State)
    );
    assert_eq!(
        stack.bind(b, addr("0.0.0.0:80")),
        Err(SocketRequestError::InUse)
    );
    assert_eq!(
        stack.bind(b, addr("10.0.0.9:80")),
        Err(SocketRequestError::NotLocal)
    );
    stack.bind(b, addr("127.0.0.1:80")).unwrap();
    stack.bind(c, addr("0.0.0.0:0")).unwrap();
    assert!(stack.local_addr(c).unwrap().port() >= 32_768);
    stack.tcp_listen(a, 1).unwrap();
    stack.close(script.now, a).unwrap();
    let d = open(stack);
    stack.bind(d, addr("10.0.0.1:80")).unwrap();
}
