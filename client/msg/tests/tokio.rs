//! A channel under tokio: its descriptor says when to receive.

mod support;

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use io_net_msg::{Channel, Incoming, Result};
use support::{attach, child};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A channel, and tokio's watch over its descriptor, which goes first.
struct AsyncChannel {
    ready: AsyncFd<OwnedFd>,
    channel: Channel,
}

impl AsyncChannel {
    fn new(channel: Channel) -> std::io::Result<Self> {
        let fd = channel.descriptor()?;
        // SAFETY: the descriptor is owned by what watches it, and closed with that.
        let ready = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? };
        Ok(Self { ready, channel })
    }

    async fn receive(&self, buf: &mut [u8]) -> Result<Incoming> {
        loop {
            let mut ready = self.ready.readable().await?;
            match self.channel.try_receive(buf)? {
                Some(incoming) => return Ok(incoming),
                // The next time that it becomes readable is the next event.
                None => ready.clear_ready(),
            }
        }
    }
}

const CLIENTS: i64 = 4;
const TURNS: i64 = 500;

#[test]
fn messages_and_pulses_wake_a_task() {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            child(move |parent| {
                let (pid, chid) = (parent.hear() as i32, parent.hear());
                let connection = attach(pid, chid);
                for turn in 0..TURNS {
                    let message = [client as u8, turn as u8];
                    let mut reply = [0; 2];
                    let got = connection.send(&message, &mut reply).unwrap();
                    assert_eq!((got.status, reply), (turn, message));
                    // Sometimes it sleeps meanwhile, sometimes not.
                    if turn % 50 == 0 {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
                connection.pulse(-1, 7, client as u64).unwrap();
            })
        })
        .collect();
    let channel = Channel::create(0).unwrap();
    for client in &clients {
        client.tell(std::process::id().into());
        client.tell(channel.chid().into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.block_on(async {
        let channel = AsyncChannel::new(channel).unwrap();
        let (mut served, mut ended) = (0, 0);
        let mut turns = [0; CLIENTS as usize];
        while ended < CLIENTS {
            let mut buf = [0; 2];
            let next = channel.receive(&mut buf);
            let next = tokio::time::timeout(Duration::from_secs(60), next).await;
            match next.expect("something comes").unwrap() {
                Incoming::Message(message) => {
                    let turn = &mut turns[usize::from(buf[0])];
                    message.reply(*turn, &buf).unwrap();
                    *turn += 1;
                    served += 1;
                }
                Incoming::Pulse(pulse) => {
                    assert_eq!(pulse.code, 7);
                    ended += 1;
                }
            }
        }
        // Nothing is left, and it does not say otherwise for ever.
        let mut buf = [0; 2];
        let more = channel.receive(&mut buf);
        let more = tokio::time::timeout(Duration::from_millis(50), more).await;
        assert!(more.is_err());
        served
    });
    assert_eq!(served, CLIENTS * TURNS);
    clients.into_iter().for_each(support::Child::join);
}

#[test]
fn the_descriptor_can_be_polled_by_anything() {
    support::node();
    let channel = Channel::create(0).unwrap();
    let connection = attach(0, channel.chid().into());
    let fd = channel.fd().unwrap();
    assert!(channel.try_receive(&mut []).unwrap().is_none());
    connection.pulse(-1, 1, 1).unwrap();
    let copy = channel.descriptor().unwrap();
    let mut both = [fd, copy.as_raw_fd()].map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: two structures.
    let ready = unsafe { libc::poll(both.as_mut_ptr(), 2, 10_000) };
    assert_eq!(ready, 2);
    assert!(channel.try_receive(&mut []).unwrap().is_some());
}
