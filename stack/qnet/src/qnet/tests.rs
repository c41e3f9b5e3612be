//! Names and resolvers, on one node or two with a LAN between them.

use core::time::Duration;

use super::*;
use crate::resolve::Resolver;
use crate::transport;

const EN0: LinkId = LinkId(0);
const IP0: LinkId = LinkId(1);

fn mac(last: u8) -> LinkAddr {
    LinkAddr::Mac([2, 0, 0, 0, 0, last])
}

fn node(name: &str, change: impl FnOnce(&mut Config)) -> Qnet {
    let mut config = Config {
        announce: Duration::ZERO,
        ..Config::default()
    };
    config.transport.node = transport::Node {
        name: name.to_owned(),
        domain: "lab".to_owned(),
    };
    change(&mut config);
    let mut qnet = Qnet::new(Instant::ZERO, config).unwrap();
    let last = name.as_bytes().last().copied().unwrap();
    qnet.add_link(Instant::ZERO, EN0, "en0", mac(last), LinkConfig::default());
    qnet
}

/// The frames that a node wants sent.
fn frames(qnet: &mut Qnet, now: Instant) -> Vec<(Transmit, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(transmit) = qnet.poll_transmit(now) {
        let mut frame = vec![0; transmit.len];
        if qnet.emit(now, &mut frame).is_some() {
            frames.push((transmit, frame));
        }
    }
    frames
}

/// Carries frames from one node to the other.
fn carry(from: (&mut Qnet, u8), to: &mut Qnet, now: Instant) {
    for (transmit, mut frame) in frames(from.0, now) {
        to.handle_frame(now, transmit.link, mac(from.1), &mut frame);
    }
}

fn asked(result: Result<(Lookup, usize), Errno>) -> Query {
    match result {
        Ok((Lookup::Asked(query), _)) => query,
        other => panic!("{other:?}"),
    }
}

/// Lets time pass until something is told.
fn wait(qnet: &mut Qnet) -> Event {
    loop {
        if let Some(event) = qnet.poll_event() {
            return event;
        }
        let now = qnet.poll_timeout().expect("something is awaited");
        qnet.handle_timeout(now);
        frames(qnet, now);
    }
}

#[test]
fn a_name_must_be_one() {
    for (name, domain) in [("", ""), ("a/b", ""), ("a.b", ""), ("a", "b..c")] {
        let mut config = Config::default();
        config.transport.node = transport::Node {
            name: name.to_owned(),
            domain: domain.to_owned(),
        };
        let made = Qnet::new(Instant::ZERO, config);
        assert_eq!(made.err(), Some(Errno::EINVAL), "{name}.{domain}");
    }
}

#[test]
fn this_node_is_known_by_its_own_names() {
    let mut qnet = node("a", |_| ());
    for (path, taken) in [
        ("a", 1),
        ("a.lab/dev", 5),
        ("/net/a", 6),
        ("localhost", 9),
        ("a~exclusive:en0", 15),
    ] {
        let known = Ok((Lookup::Known(Nd::LOCAL), taken));
        assert_eq!(qnet.strtond(Instant::ZERO, path), known, "{path}");
    }
    assert_eq!(qnet.ndtostr(0, Nd::LOCAL).as_deref(), Some("a"));
    assert_eq!(qnet.ndtostr(0x81, Nd::LOCAL).as_deref(), Some("/net/a"));
    assert_eq!(qnet.ndtostr(0, Nd::new(1, 0)), None);
    assert_eq!(qnet.ndtostr(0, Nd::new(0, 9)), None);
}

#[test]
fn what_cannot_be_a_node_is_refused() {
    let mut qnet = node("a", |_| ());
    for (path, errno) in [
        ("", Errno::EINVAL),
        ("/net/", Errno::EINVAL),
        ("b c", Errno::EINVAL),
        ("b.", Errno::EINVAL),
        ("b~sometimes:en0", Errno::EINVAL),
        ("b~exclusive:en9", Errno::ENETUNREACH),
    ] {
        assert_eq!(qnet.strtond(Instant::ZERO, path), Err(errno), "{path}");
    }
    assert_eq!(qnet.nodes(), []);
}

#[test]
fn a_node_on_the_lan_answers_for_itself() {
    let (mut a, mut b) = (node("a", |_| ()), node("b", |_| ()));
    let now = Instant::from_millis(1);
    let query = asked(a.strtond(now, "b~preferred:en0"));
    carry((&mut a, b'a'), &mut b, now);
    carry((&mut b, b'b'), &mut a, now);
    let Some(Event::Answer {
        query: about,
        result: Ok(nd),
    }) = a.poll_event()
    else {
        panic!("no answer");
    };
    assert_eq!(about, query);
    assert_ne!(nd.qos(), 0);
    assert_eq!(a.ndtostr(0, nd).as_deref(), Some("b~preferred:en0"));
    assert_eq!(a.ndtostr(0x48, nd).as_deref(), Some("b.lab"));
    let known = a.strtond(now, "b");
    assert_eq!(known, Ok((Lookup::Known(Nd::new(nd.node(), 0)), 1)));
    // Who asks is known by that.
    assert!(matches!(b.strtond(now, "a"), Ok((Lookup::Known(_), 1))));
    assert_eq!(a.poll_timeout(), None);
}

#[test]
fn resolvers_are_asked_one_after_the_other() {
    let mut qnet = node("a", |config| {
        config.resolvers = vec![Resolver::Ndp, Resolver::File, Resolver::Dns, Resolver::Etcd];
    });
    let ip = LinkAddr::Ip([10, 0, 0, 2].into());
    qnet.add_link(
        Instant::ZERO,
        IP0,
        "ip",
        LinkAddr::Ip([10, 0, 0, 1].into()),
        LinkConfig::default(),
    );
    let asked = asked(qnet.strtond(Instant::ZERO, "b"));
    let mut stale = Vec::new();
    for expected in [Resolver::File, Resolver::Dns, Resolver::Etcd] {
        let Event::Resolve {
            query,
            resolver,
            name,
        } = wait(&mut qnet)
        else {
            panic!("no question");
        };
        assert_eq!((resolver, name.to_string().as_str()), (expected, "b.lab"));
        let now = Instant::from_millis(700);
        match expected {
            Resolver::File => qnet.resolved(now, query, Err(Errno::ENOENT)),
            // A link that is not here is as good as none.
            Resolver::Dns => qnet.resolved(now, query, Ok(&[(LinkId(9), ip)])),
            _ => qnet.resolved(now, query, Ok(&[(IP0, ip)])),
        }
        stale.push(query);
    }
    let Some(Event::Answer {
        query,
        result: Ok(nd),
    }) = qnet.poll_event()
    else {
        panic!("no answer");
    };
    assert_eq!(query, asked);
    assert_eq!(qnet.nodes()[0].paths, [(IP0, ip)]);
    for query in stale {
        qnet.resolved(Instant::from_millis(701), query, Ok(&[(EN0, mac(9))]));
    }
    assert_eq!(qnet.nodes()[0].paths, [(IP0, ip)]);
    assert_eq!(qnet.nodes()[0].nd, nd);
}

#[test]
fn a_node_that_nobody_knows_is_forgotten() {
    let mut qnet = node("a", |config| {
        config.resolvers = vec![Resolver::Ndp, Resolver::Dns]
    });
    let (one, two) = (
        asked(qnet.strtond(Instant::ZERO, "b")),
        asked(qnet.strtond(Instant::ZERO, "b~exclusive:en0")),
    );
    // A resolver that never answers.
    assert!(matches!(wait(&mut qnet), Event::Resolve { .. }));
    for query in [one, two] {
        let result = Err(Errno::ENOENT);
        assert_eq!(wait(&mut qnet), Event::Answer { query, result });
    }
    assert_eq!(qnet.nodes(), []);
    assert_eq!(qnet.poll_timeout(), None);
}

#[test]
fn a_send_to_a_node_that_went_away_fails_once_it_cannot_be_found() {
    let (mut a, mut b) = (node("a", |_| ()), node("b", |_| ()));
    let now = Instant::from_millis(1);
    asked(a.strtond(now, "b"));
    carry((&mut a, b'a'), &mut b, now);
    carry((&mut b, b'b'), &mut a, now);
    let Some(Event::Answer { result: Ok(nd), .. }) = a.poll_event() else {
        panic!("no answer");
    };
    let channel = Channel { pid: 1, chid: 1 };
    let conn = a
        .client_connect(now, nd, channel, Identity::default())
        .unwrap();
    let send = a
        .client_send(now, conn, SendInfo::default(), Payload::default())
        .unwrap();
    loop {
        match wait(&mut a) {
            Event::ClientDone {
                send: over, result, ..
            } => {
                assert_eq!((over, result), (send, Err(Errno::EHOSTUNREACH)));
                break;
            }
            Event::NodeDown { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let stale = Nd::new(nd.node() + 1, 0);
    let refused = a.client_connect(now, stale, channel, Identity::default());
    assert_eq!(refused, Err(Errno::ESRCH));
}

#[test]
fn made_up_names_push_nobody_out() {
    let mut victim = node("v", |config| {
        config.announce = Duration::from_secs(30);
        config.nodes_max = 3;
    });
    let now = Instant::from_millis(1);
    for number in 0..10 {
        let mut other = node("x", |config| {
            config.transport.node.name = format!("made-up-{number}");
            config.announce = Duration::from_secs(30);
        });
        carry((&mut other, number), &mut victim, now);
    }
    let names: Vec<_> = victim
        .nodes()
        .iter()
        .map(|node| node.name.to_string())
        .collect();
    assert_eq!(names, ["made-up-0.lab", "made-up-1.lab", "made-up-2.lab"]);
    assert_eq!(victim.stats().lan_ignored, 7);
    // A node that is asked for has its place.
    asked(victim.strtond(now, "wanted"));
    assert!(
        victim
            .nodes()
            .iter()
            .any(|node| node.name.name() == "wanted")
    );
    let mut silent = node("s", |_| ());
    let mut other = node("x", |config| config.announce = Duration::from_secs(30));
    carry((&mut other, 7), &mut silent, now);
    assert_eq!(silent.nodes(), []);
}
