//! What io-net expects of every module, whatever it does.
//!
//! ```no_run
//! let path = io_net_testkit::built_module("nfm-template");
//! io_net_testkit::conformance::run(path, "");
//! ```

use crate::frames::{Random, battery};
use crate::load::{Loaded, text};
use crate::{Kit, Source};
use io_net_abi::{
    ABI_MAJOR, ABI_MINOR, ADVERT_DYING, Advert, KIND_CONVERTER, KIND_DRIVER, KIND_FILTER,
    KIND_PROTOCOL, Module, OPT_FLAG, OPT_IPV4, OPT_MAC, OPT_NUMBER, OPT_TEXT, OptionSpec, VnetHdr,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_pktbuf::{Packet, PoolConfig, SharedPacket};
use std::time::Duration;

/// A command that no module knows.
const NO_SUCH_COMMAND: u32 = 0x7fff_fff0;

/// What one check found wrong, a sentence each.
type Findings = Vec<String>;

/// Holds `module`, started with `options`, against the whole suite.
///
/// It runs 100 instances; nothing outside the module must depend on how often that happens.
///
/// # Panics
/// With everything that was found wrong.
pub fn run(module: impl Into<Source>, options: &str) {
    let source = module.into();
    let checks: [(&str, Check); 8] = [
        ("description", description),
        ("start and stop", start_and_stop),
        ("options", odd_options),
        ("frames", frames),
        ("control calls", control_calls),
        ("adverts", adverts),
        ("dry pool", dry_pool),
        ("idle", idle),
    ];
    let mut wrongs = Vec::new();
    for (name, check) in checks {
        let found = check(&source, options).unwrap_or_else(|why| vec![why]);
        wrongs.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrongs.is_empty(), "\n  {}\n", wrongs.join("\n  "));
}

/// A check fails where the module cannot even be started for it.
type Check = fn(&Source, &str) -> Result<Findings, String>;

fn start(source: &Source, options: &str) -> Result<Kit, String> {
    Kit::start(source.clone(), options)
        .map_err(|failure| format!("does not start with `{options}`: {failure}"))
}

/// Stops `kit`, and adds what that shows.
fn stop(mut kit: Kit, found: &mut Findings) {
    drop(kit.take_sent());
    if !kit.quiesce() {
        let n = kit.held_by_module();
        found.push(format!("{n} packets are still held after quiesce"));
    }
    if let Some(text) = kit.failure() {
        found.push(format!("it failed: {text}"));
    }
    if let Err(wrongs) = kit.stop() {
        found.extend(wrongs);
    }
}

/// The static description makes sense.
fn description(source: &Source, _options: &str) -> Result<Findings, String> {
    let loaded = Loaded::open(source)?;
    let module = loaded.module();
    let mut found = Vec::new();
    let mut require = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    let size = module.size as usize;
    require(
        size == size_of::<Module>(),
        "`size` is not that of ion_module_t",
    );
    require(module.abi_major == ABI_MAJOR, "`abi_major` is another");
    let newer = (ABI_MINOR + 1..).contains(&module.abi_minor);
    require(!newer, "`abi_minor` is newer than io-net");
    let prefix = match module.kind {
        KIND_DRIVER => "devn-",
        KIND_FILTER => "nfm-",
        KIND_CONVERTER => "ncm-",
        KIND_PROTOCOL => "npm-",
        _ => "a known `kind`",
    };
    let name = text(module.name).unwrap_or("");
    require(
        name.starts_with(prefix),
        &format!("its name does not begin with {prefix}"),
    );
    require(
        text(module.version).is_some_and(|t| !t.is_empty()),
        "no version",
    );
    require(
        text(module.summary).is_some_and(|t| !t.is_empty()),
        "no summary",
    );
    require(module.init.is_some(), "no init");
    require(module.shutdown.is_some(), "no shutdown");
    let mut names = Vec::new();
    for spec in specs(module) {
        let name = text(spec.name).unwrap_or("");
        let sound = !name.is_empty() && !name.contains(['=', ',']) && !names.contains(&name);
        require(
            sound,
            &format!("option `{name}`: the name is empty, malformed or taken"),
        );
        let known = [OPT_FLAG, OPT_NUMBER, OPT_TEXT, OPT_MAC, OPT_IPV4].contains(&spec.kind);
        require(
            known,
            &format!("option `{name}`: unknown kind {}", spec.kind),
        );
        require(
            text(spec.help).is_some(),
            &format!("option `{name}`: no help"),
        );
        names.push(name);
    }
    Ok(found)
}

fn specs(module: &Module) -> &[OptionSpec] {
    if module.n_options == 0 {
        return &[];
    }
    // SAFETY: static data; the description states its own length.
    unsafe { std::slice::from_raw_parts(module.options, module.n_options as usize) }
}

/// A hundred lives leave nothing behind. Other tests of the same program open and close things
/// meanwhile, so only what grows from each quarter to the next counts.
fn start_and_stop(source: &Source, options: &str) -> Result<Findings, String> {
    let mut found = Vec::new();
    let (mut descriptors, mut pages) = (Vec::new(), Vec::new());
    for life in 0..100 {
        let mut kit = start(source, options)?;
        if kit.registrants().is_empty() {
            found.push("it registers nothing".to_owned());
        }
        kit.turn();
        stop(kit, &mut found);
        if life % 25 == 24 {
            descriptors.push(open_descriptors());
            pages.push(resident_pages());
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    if grows(&descriptors, 25) {
        found.push(format!("it leaves descriptors open: {descriptors:?}"));
    }
    if grows(&pages, 64) {
        found.push(format!("it leaves pages of memory in use: {pages:?}"));
    }
    Ok(found)
}

/// Whether every sample exceeds the one before by `least`.
fn grows(samples: &[usize], least: usize) -> bool {
    samples.windows(2).all(|pair| pair[1] >= pair[0] + least)
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn resident_pages() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    resident.unwrap_or(0)
}

/// Well-formed but odd values start an instance or are refused with a reason; they do no harm.
fn odd_options(source: &Source, options: &str) -> Result<Findings, String> {
    let loaded = Loaded::open(source)?;
    let long = "x".repeat(5000);
    let mut found = Vec::new();
    for spec in specs(loaded.module()) {
        let name = text(spec.name).unwrap_or("");
        let values: &[&str] = match spec.kind {
            OPT_NUMBER => &["0", "1", "0xffffffffffffffff", "4294967296", "65536"],
            OPT_TEXT => &["", "/", "\u{fffd}", "..", &long],
            OPT_MAC => &["ff:ff:ff:ff:ff:ff", "000000000000"],
            OPT_IPV4 => &["0.0.0.0/0", "255.255.255.255", "10.0.0.1/32"],
            _ => &[],
        };
        for value in values {
            let odd = match options {
                "" => format!("{name}={value}"),
                options => format!("{options},{name}={value}"),
            };
            match Kit::start(source.clone(), &odd) {
                Ok(kit) => stop(kit, &mut found),
                Err(failure) if failure.text.is_empty() || failure.errno <= 0 => {
                    found.push(format!("`{name}={value:.40}` is refused without a reason"));
                }
                Err(failure) if failure.text.contains("panicked") => {
                    found.push(format!("`{name}={value:.40}`: {failure}"));
                }
                Err(_) => {}
            }
        }
    }
    Ok(found)
}

/// Frames of every sort, up and down, are passed on, kept until quiesce or released.
fn frames(source: &Source, options: &str) -> Result<Findings, String> {
    let mut found = Vec::new();
    for seed in 1..=4 {
        let mut kit = start(source, options)?;
        let mut random = Random::new(seed);
        let frames = battery(&mut random);
        for reg in 0..kit.registrants().len() {
            for up in [true, false] {
                for some in frames.chunks(31) {
                    let packets = some
                        .iter()
                        .filter_map(|frame| dress(&kit, frame, &mut random));
                    let packets: Vec<SharedPacket> = packets.map(SharedPacket::from).collect();
                    // Somebody else looks at a few of them too.
                    let some = packets.iter().step_by(7);
                    let shared: Vec<_> = some.map(|packet| kit.share(packet)).collect();
                    kit.rx_raw(reg, up, packets);
                    kit.turn();
                    drop(shared);
                    drop(kit.take_sent());
                }
            }
        }
        kit.advance(Duration::from_secs(60));
        stop(kit, &mut found);
        if !found.is_empty() {
            found.push(format!("(the seed was {seed})"));
            break;
        }
    }
    Ok(found)
}

/// A packet of `frame`, now and then in several fragments or with senseless metadata.
fn dress(kit: &Kit, frame: &[u8], random: &mut Random) -> Option<Packet> {
    let first = match random.below(4) {
        0 if !frame.is_empty() => random.below(frame.len()),
        _ => frame.len(),
    };
    let mut packet = kit.packet(&frame[..first])?;
    if first < frame.len() {
        packet.chain(kit.packet(&frame[first..])?);
    }
    if random.below(4) == 0 {
        *packet.vnet_mut() = VnetHdr {
            flags: random.below(4) as u8,
            gso_type: [0, 0, 1, 4, 5, 0x81, 77][random.below(7)],
            hdr_len: random.below(200) as u16,
            gso_size: random.below(1600) as u16,
            csum_start: random.below(200) as u16,
            csum_offset: random.below(40) as u16,
        };
    }
    if random.below(8) == 0 {
        packet.set_vlan_tci(Some(random.next_u64() as u16));
    }
    packet.set_way(0, random.below(3) as u16, 0);
    Some(packet)
}

/// An unknown command is refused as such, and known ones bear senseless requests.
fn control_calls(source: &Source, options: &str) -> Result<Findings, String> {
    let mut found = Vec::new();
    let mut kit = start(source, options)?;
    let mut random = Random::new(5);
    for reg in 0..kit.registrants().len() {
        match kit.devctl(reg, NO_SUCH_COMMAND, b"") {
            Err(failure) if failure.errno == EOPNOTSUPP => {}
            Err(failure) => found.push(format!(
                "an unknown command gives errno {}, not EOPNOTSUPP",
                failure.errno
            )),
            Ok(_) => found.push("an unknown command is answered".to_owned()),
        }
        for cmd in (1..64).chain([io_net_abi::DEVCTL_JSON]) {
            for request in [vec![], b"{}".to_vec(), random.bytes(4), random.bytes(300)] {
                // Any answer will do; it must be one, and do no harm.
                let _ = kit.devctl(reg, cmd, &request);
            }
        }
    }
    stop(kit, &mut found);
    Ok(found)
}

/// Adverts may come twice, of unknown interfaces, and after one has died.
fn adverts(source: &Source, options: &str) -> Result<Findings, String> {
    let mut found = Vec::new();
    let mut kit = start(source, options)?;
    for endpoint in [0, 1, 0, 7, u16::MAX] {
        for (up_type, mac_len) in [("en", 6), ("ip", 0), ("", 8), ("en", 200)] {
            let name = format!("en{endpoint}");
            let mut advert: Advert = io_net_ddk::advert(&name, up_type);
            advert.endpoint = endpoint;
            advert.mac_len = mac_len;
            advert.mac = [2, 0, 0, 0, 0, endpoint as u8, 0, 0];
            advert.mtu = 1500;
            kit.advertise(&advert);
            kit.advertise(&advert);
            advert.flags = ADVERT_DYING;
            kit.advertise(&advert);
            kit.advertise(&advert);
            kit.turn();
            drop(kit.take_sent());
        }
    }
    stop(kit, &mut found);
    Ok(found)
}

/// With no packet to be had, it goes on.
fn dry_pool(source: &Source, options: &str) -> Result<Findings, String> {
    let pool = PoolConfig {
        small: 64,
        large: 4,
        huge: false,
    };
    let mut found = Vec::new();
    let mut kit = Kit::start_with(source.clone(), options, pool)
        .map_err(|failure| format!("does not start with a small pool: {failure}"))?;
    let hoard = |kit: &Kit, size: usize| -> Vec<Packet> {
        std::iter::from_fn(|| kit.packet(&vec![0xa5; size])).collect()
    };
    let frame = &battery(&mut Random::new(6))[1];
    for reg in 0..kit.registrants().len() {
        for up in [true, false] {
            let few: Vec<_> = (0..3).filter_map(|_| kit.packet(frame)).collect();
            let few = few.into_iter().map(SharedPacket::from).collect();
            let all = (hoard(&kit, 100), hoard(&kit, 9000));
            kit.rx_raw(reg, up, few);
            kit.turn();
            kit.advance(Duration::from_secs(10));
            drop(kit.take_sent());
            drop(all);
        }
    }
    stop(kit, &mut found);
    Ok(found)
}

/// Left alone for a while, it neither sends without end nor fails; to sleep and to wake are nothing.
fn idle(source: &Source, options: &str) -> Result<Findings, String> {
    let mut found = Vec::new();
    let mut kit = start(source, options)?;
    for _ in 0..24 {
        kit.advance(Duration::from_secs(60));
        for reg in 0..kit.registrants().len() {
            kit.arm(reg, true);
            kit.arm(reg, false);
            kit.poll(reg, 0);
        }
        kit.turn();
        drop(kit.take_sent());
    }
    stop(kit, &mut found);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise() {
        assert!(grows(&[10, 35, 60, 90], 25));
        assert!(!grows(&[10, 35, 59, 90], 25));
        assert!(!grows(&[10, 200, 10, 200], 25));
    }
}
