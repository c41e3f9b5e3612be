//! Against a server of the test's own, which says what it is told to.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that gives each of `answers` to one request, and then what it was asked.
fn answering(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let one = move |answer: &&str| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 1000];
        let mut len = 0;
        while !asked[..len].ends_with(b"}") {
            len += stream.read(&mut asked[len..]).unwrap();
        }
        let head = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&asked[..len]).into_owned()
    };
    let serve = move || answers.iter().map(one).collect();
    (at, std::thread::spawn(serve))
}

#[test]
fn keys_are_found_with_their_values() {
    // "k" and "v" in base64.
    let (at, server) = answering(&[
        r#"{"kvs":[{"key":"aw==","value":"dg=="}],"count":"1"}"#,
        r#"{"header":{}}"#,
        r#"{"kvs":[{"key":"aw=="}]}"#,
    ]);
    let etcd = Etcd::new(vec![at], PATIENCE);
    assert_eq!(etcd.get(b"k").unwrap(), Some(b"v".to_vec()));
    assert_eq!(etcd.get(b"k").unwrap(), None);
    let all = etcd.range(b"a", b"z").unwrap();
    assert_eq!(all, [(b"k".to_vec(), Vec::new())]);
    let asked = server.join().unwrap();
    assert!(asked[0].starts_with("POST /v3/kv/range HTTP/1.0\r\n"));
    assert!(asked[0].contains(r#""key":"aw==""#), "{}", asked[0]);
}

#[test]
fn leases_are_granted_kept_and_found_ended() {
    let (at, server) = answering(&[
        r#"{"ID":"7587","TTL":"60"}"#,
        r#"{"result":{"ID":"7587","TTL":"60"}}"#,
        r#"{"result":{"ID":"7587"}}"#,
        "{}",
    ]);
    let etcd = Etcd::new(vec![at], PATIENCE);
    let lease = etcd.grant(60).unwrap();
    assert!(etcd.keep_alive(lease).unwrap());
    assert!(!etcd.keep_alive(lease).unwrap());
    etcd.put(b"k", b"v", lease).unwrap();
    let asked = server.join().unwrap();
    assert!(asked[3].contains(r#""lease":"7587""#), "{}", asked[3]);
}

#[test]
fn the_next_server_is_asked_where_one_is_gone() {
    // Its listener is closed at once.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let gone = gone.unwrap();
    let (at, server) = answering(&["{}", "{}"]);
    let etcd = Etcd::new(vec![gone, at], PATIENCE);
    assert_eq!(etcd.get(b"k").unwrap(), None);
    assert_eq!(etcd.last.load(Ordering::Relaxed), 1);
    assert_eq!(etcd.get(b"k").unwrap(), None);
    server.join().unwrap();
    let alone = Etcd::new(vec![gone], PATIENCE).get(b"k").unwrap_err();
    assert!(alone.to_string().contains("does not answer"), "{alone}");
    assert!(Etcd::new(Vec::new(), PATIENCE).get(b"k").is_err());
}

#[test]
fn rubbish_is_no_answer() {
    let (at, server) = answering(&[r#"{"kvs":[{"key":"!"}]}"#, r#"{"kvs":7}"#, r#"{"ID":"x"}"#]);
    let etcd = Etcd::new(vec![at], PATIENCE);
    assert!(etcd.get(b"k").is_err());
    assert!(etcd.get(b"k").is_err());
    assert!(etcd.grant(60).is_err());
    server.join().unwrap();
}
