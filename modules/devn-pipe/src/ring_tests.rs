//! Tests of the ring, between two ends that keep its rules and against one that does not.

use super::*;
use io_net_os::map::SharedMap;
use io_net_testkit::frames::Random;

const SIZE: usize = 256 << 10;

fn region() -> Arc<Region> {
    let map = SharedMap::anonymous(memory_size(SIZE)).unwrap();
    Arc::new(Region::new(map))
}

fn ends() -> (Producer, Consumer, Arc<Region>) {
    let region = region();
    let producer = Producer::new(region.clone(), 0, SIZE).unwrap();
    let consumer = Consumer::new(region.clone(), 0, SIZE).unwrap();
    (producer, consumer, region)
}

fn push(producer: &mut Producer, frame: &[u8]) -> bool {
    let pushed = producer.push(&Meta::default(), frame.len(), [frame].into_iter());
    pushed.unwrap()
}

fn pop(consumer: &mut Consumer) -> Option<Vec<u8>> {
    let record = consumer.take().unwrap()?;
    let mut frame = vec![0; record.len];
    consumer.copy(&record, &mut frame);
    Some(frame)
}

#[test]
fn frames_come_out_as_they_went_in() {
    let (mut producer, mut consumer, _) = ends();
    let mut random = Random::new(1);
    let mut sent = std::collections::VecDeque::new();
    let mut count = 0;
    for _ in 0..20_000 {
        let len = match random.below(4) {
            0 => random.below(LONGEST + 1),
            _ => random.below(300),
        };
        let frame = vec![random.next_u64() as u8; len];
        if push(&mut producer, &frame) {
            sent.push_back(frame);
        }
        if random.below(3) == 0 {
            producer.publish();
        }
        while random.below(2) == 0
            && let Some(frame) = pop(&mut consumer)
        {
            assert!(Some(frame) == sent.pop_front());
            count += 1;
        }
        let _ = consumer.release();
    }
    producer.publish();
    while let Some(frame) = pop(&mut consumer) {
        assert!(Some(frame) == sent.pop_front());
    }
    assert!(sent.is_empty() && count > 1000, "{count} frames crossed");
}

#[test]
fn metadata_and_fragments_cross() {
    let (mut producer, mut consumer, _) = ends();
    let meta = Meta {
        vnet: VnetHdr {
            flags: 1,
            gso_type: 0x81,
            hdr_len: 66,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
        },
        vlan_tci: Some(0x6001),
    };
    let fragments: [&[u8]; 3] = [b"ab", b"", b"cde"];
    assert_eq!(producer.push(&meta, 5, fragments.into_iter()), Ok(true));
    assert_eq!(
        consumer.take(),
        Ok(None),
        "nothing is seen before it is published"
    );
    producer.publish();
    let record = consumer.take().unwrap().unwrap();
    assert_eq!((record.len, record.meta), (5, meta));
    let mut bytes = [0; 5];
    consumer.copy(&record, &mut bytes);
    assert_eq!(&bytes, b"abcde");
}

#[test]
fn a_full_ring_takes_more_once_there_is_room() {
    let (mut producer, mut consumer, _) = ends();
    let frame = vec![7; 60_000];
    let mut n = 0;
    while push(&mut producer, &frame) {
        n += 1;
    }
    producer.publish();
    assert_eq!(n, SIZE / 60_032);
    assert_eq!(producer.wait(60_000), Ok(false));
    assert!(pop(&mut consumer).is_some() && pop(&mut consumer).is_some());
    assert!(!push(&mut producer, &frame), "taken, but not released");
    assert!(consumer.release(), "the producer waits");
    assert!(!consumer.release(), "it is rung once");
    assert!(push(&mut producer, &frame));
}

#[test]
fn a_sleeper_is_rung_once() {
    let (mut producer, mut consumer, _) = ends();
    assert_eq!(consumer.sleep(), Ok(false));
    push(&mut producer, b"x");
    producer.publish();
    assert!(producer.must_ring());
    assert!(!producer.must_ring());
    assert_eq!(consumer.sleep(), Ok(true), "it sees what came");
    consumer.wake();
    assert!(!producer.must_ring());
}

#[test]
fn two_threads_agree() {
    const FRAMES: u64 = 30_000;
    let (mut producer, mut consumer, _) = ends();
    let sender = std::thread::spawn(move || {
        let mut random = Random::new(2);
        for number in 0..FRAMES {
            let mut frame = vec![number as u8; 8 + random.below(9000)];
            frame[..8].copy_from_slice(&number.to_le_bytes());
            while !push(&mut producer, &frame) {
                producer.publish();
                std::thread::yield_now();
            }
            producer.publish();
        }
    });
    for number in 0..FRAMES {
        let frame = loop {
            match pop(&mut consumer) {
                Some(frame) => break frame,
                None => std::thread::yield_now(),
            }
        };
        let _ = consumer.release();
        assert_eq!(frame[..8], number.to_le_bytes());
        assert!(frame[8..].iter().all(|&byte| byte == number as u8));
    }
    sender.join().unwrap();
}

#[test]
fn positions_that_cannot_be_are_corrupt() {
    for head in [1, 16, SIZE as u64 + 32, u64::MAX, u64::MAX - 31] {
        let (_, mut consumer, region) = ends();
        region.word64(HEAD).unwrap().store(head, Ordering::Relaxed);
        assert_eq!(consumer.take(), Err(Corrupt), "head {head}");
        assert_eq!(consumer.sleep(), Err(Corrupt), "head {head}");
    }
    let (mut producer, mut consumer, region) = ends();
    push(&mut producer, &[0; 100]);
    producer.publish();
    assert!(pop(&mut consumer).is_some());
    region.word64(HEAD).unwrap().store(0, Ordering::Relaxed);
    assert_eq!(consumer.take(), Err(Corrupt), "the head went back");
    for tail in [u64::MAX, SIZE as u64 * 2, 1 << 40] {
        let (mut producer, _, region) = ends();
        while push(&mut producer, &[0; 60_000]) {}
        producer.publish();
        region.word64(TAIL).unwrap().store(tail, Ordering::Relaxed);
        let pushed = producer.push(&Meta::default(), 60_000, std::iter::empty());
        assert_eq!(pushed, Err(Corrupt), "tail {tail}");
    }
}

#[test]
fn records_that_cannot_be_are_corrupt() {
    // A length, and how far the head says the record goes.
    for (len, head) in [
        (1000, 512),
        (LONGEST as u32 + 1, 1 << 17),
        (SKIP - 1, 1 << 17),
        (SKIP, 64),
    ] {
        let (_, mut consumer, region) = ends();
        assert!(region.write(DATA, &len.to_ne_bytes()));
        region.word64(HEAD).unwrap().store(head, Ordering::Relaxed);
        assert_eq!(consumer.take(), Err(Corrupt), "length {len}, head {head}");
    }
}

#[test]
fn rubbish_neither_panics_nor_loops() {
    let mut random = Random::new(3);
    for _ in 0..300 {
        let (_, mut consumer, region) = ends();
        for at in (DATA..DATA + SIZE).step_by(ALIGN * (1 + random.below(8))) {
            let len = [random.below(3000) as u32, SKIP, random.next_u64() as u32][random.below(3)];
            assert!(region.write(at, &len.to_ne_bytes()));
        }
        let head = random.below(SIZE / ALIGN + 1) * ALIGN;
        region
            .word64(HEAD)
            .unwrap()
            .store(head as u64, Ordering::Relaxed);
        let mut taken = 0;
        while let Ok(Some(record)) = consumer.take() {
            consumer.copy(&record, &mut vec![0; record.len]);
            taken += 1;
        }
        assert!(taken <= SIZE / ALIGN);
    }
}

#[test]
fn a_place_outside_the_mapping_is_refused() {
    let region = region();
    for (base, size) in [
        (DATA, SIZE),
        (1, SIZE),
        (0, SIZE - 1),
        (0, SIZE / 2),
        (usize::MAX, SIZE),
    ] {
        assert!(
            Producer::new(region.clone(), base, size).is_none(),
            "{base} {size}"
        );
        assert!(
            Consumer::new(region.clone(), base, size).is_none(),
            "{base} {size}"
        );
    }
}
