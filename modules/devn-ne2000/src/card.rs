//! Finding cards, and taking them. Control thread.

use crate::interrupt::{self, Interrupt};
use crate::options::{NeOptions, Place, is_station};
use crate::pci::{self, PciCard};
use crate::ports::Ports;
use crate::probe::{Found, probe};
use io_net_ddk::errno::{EBUSY, EINVAL, ENODEV, EPERM};
use io_net_ddk::prelude::*;
use io_net_os::ports::{self, BLOCK, Width};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where ISA cards are when their jumpers have not been moved: looked at if no option says where.
const ISA_PORT: u16 = 0x300;

/// A card that is ours, stopped.
pub(crate) struct Card<P> {
    pub(crate) ports: P,
    pub(crate) found: Found,
    /// What it is, for people.
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) irq: i32,
    pub(crate) interrupt: Option<Interrupt>,
    /// Why there are no interrupts, where there could be.
    pub(crate) polled: Option<String>,
    pub(crate) power: Option<Power>,
}

/// Takes the cards that `options` name: one at the least.
///
/// # Errors
/// What is wrong with the card that was named; or ENODEV or EBUSY where no card can be had.
pub(crate) fn open(options: &NeOptions) -> Result<Vec<Card<ports::Ports>>, Failure> {
    let sysfs = Path::new(pci::SYSFS);
    let mut cards = pci::scan(sysfs);
    let card = match options.place {
        Place::Any => return open_any(&cards, options, sysfs),
        Place::Pci(index) if index < cards.len() => {
            open_pci(&cards.swap_remove(index), options, sysfs)?
        }
        Place::Pci(index) => {
            let n = cards.len();
            return Err(Failure::new(
                ENODEV,
                format!(
                    "option pci={index}: this machine has {n} PCI card(s) that are NE2000s, \
                     numbered from 0; lspci -nn shows all of them"
                ),
            ));
        }
        Place::Port(port) => match cards.iter().find(|card| card.port == Some(port)) {
            Some(card) => open_pci(card, options, sysfs)?,
            None => open_isa(port, options)?,
        },
    };
    Ok(vec![card])
}

/// Every PCI card that is free; where there are none at all, the ISA card in the usual place.
fn open_any(
    cards: &[PciCard],
    options: &NeOptions,
    sysfs: &Path,
) -> Result<Vec<Card<ports::Ports>>, Failure> {
    if cards.is_empty() {
        return match open_isa(ISA_PORT, options) {
            Ok(card) => Ok(vec![card]),
            Err(failure) if failure.errno == ENODEV => Err(Failure::new(
                ENODEV,
                format!(
                    "no NE2000 was found: this machine has no such PCI card (lspci -nn), and {}. \
                     For an ISA card elsewhere, give ioport=",
                    failure.text
                ),
            )),
            Err(failure) => Err(failure),
        };
    }
    if options.mac.is_some() && cards.len() > 1 {
        return Err(Failure::new(
            EINVAL,
            "option mac=: there are several cards; say by pci= which one is to have the address",
        ));
    }
    let (mut open, mut refused) = (Vec::new(), None);
    for card in cards {
        match open_pci(card, options, sysfs) {
            Ok(card) => open.push(card),
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    match refused {
        Some(failure) if open.is_empty() => Err(failure),
        _ => Ok(open),
    }
}

fn open_pci(
    card: &PciCard,
    options: &NeOptions,
    sysfs: &Path,
) -> Result<Card<ports::Ports>, Failure> {
    let (address, model) = (&card.address, card.model.name);
    let name = format!("{model}, PCI {address}");
    if let Some(driver) = card.driver.as_deref().filter(|&d| d != interrupt::DRIVER) {
        return Err(Failure::new(
            EBUSY,
            format!(
                "{name} belongs to the kernel's driver {driver}; take it from there: \
                 echo {address} > /sys/bus/pci/drivers/{driver}/unbind"
            ),
        ));
    }
    let Some(port) = card.port else {
        return Err(Failure::new(
            ENODEV,
            format!("{name} has no I/O ports: the firmware or the kernel gave it none (lspci -v)"),
        ));
    };
    let ports = claim(port)?;
    let power = match card.driver {
        Some(_) => None,
        None => Some(Power::on(&card.dir).map_err(|error| {
            Failure::io(
                format_args!("{name} cannot be enabled through sysfs"),
                &error,
            )
        })?),
    };
    let (interrupt, polled) = match options.irq {
        Some(0) => (None, Some("irq=0 asks for that".to_owned())),
        _ => match Interrupt::open(card, sysfs) {
            Ok(interrupt) => (Some(interrupt), None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = format!("for interrupts: modprobe {}", interrupt::DRIVER);
                (None, Some(hint))
            }
            Err(error) => (
                None,
                Some(format!("{} does not bind: {error}", interrupt::DRIVER)),
            ),
        },
    };
    let widest = if card.model.longs {
        Width::Long
    } else {
        Width::Word
    };
    let taken = Card::new(ports, name, port, widest, options)?;
    Ok(Card {
        irq: options.irq.filter(|&irq| irq != 0).unwrap_or(card.irq),
        interrupt,
        polled,
        power,
        ..taken
    })
}

fn open_isa(port: u16, options: &NeOptions) -> Result<Card<ports::Ports>, Failure> {
    let listing = fs::read_to_string("/proc/ioports").unwrap_or_default();
    if let Some(owner) = owner(&listing, port) {
        return Err(Failure::new(
            EBUSY,
            format!(
                "ports {} belong to the kernel's {owner}: unload that driver, or give another ioport=",
                range(port)
            ),
        ));
    }
    let name = format!("NE2000, ISA port {port:#x}");
    Card::new(claim(port)?, name, port, Width::Word, options)
}

impl<P: Ports> Card<P> {
    /// The card at `ports`, which begin with `port`.
    ///
    /// # Errors
    /// ENODEV where there is none; EINVAL where its address is none and no other is given.
    pub(crate) fn new(
        mut ports: P,
        name: String,
        port: u16,
        widest: Width,
        options: &NeOptions,
    ) -> Result<Self, Failure> {
        let widest = match ports.widest().bytes() < widest.bytes() {
            true => ports.widest(),
            false => widest,
        };
        let found = probe(&mut ports, widest).map_err(|absent| {
            let range = range(port);
            Failure::new(ENODEV, format!("no NE2000 at ports {range}: {absent}"))
        })?;
        if options.mac.is_none() && !is_station(found.mac) {
            return Err(Failure::new(
                EINVAL,
                format!("{name} has no address of its own in its PROM: give mac="),
            ));
        }
        Ok(Card {
            ports,
            found,
            name,
            port,
            irq: options.irq.filter(|&irq| irq != 0).unwrap_or(-1),
            interrupt: None,
            polled: None,
            power: None,
        })
    }
}

fn claim(port: u16) -> Result<ports::Ports, Failure> {
    let range = range(port);
    ports::Ports::claim(port).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => Failure::new(
            EBUSY,
            format!("ports {range} are driven by another devn-ne2000 already"),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            EPERM,
            format!(
                "ports {range}: neither ioperm nor /dev/port is permitted ({error}); run io-net with \
                 CAP_SYS_RAWIO, on a kernel that is not locked down"
            ),
        ),
        _ => Failure::io(format_args!("cannot use ports {range}"), &error),
    })
}

fn range(port: u16) -> String {
    format!("{port:#x}-{:#x}", port | (BLOCK - 1))
}

/// The kernel's driver that has one of the card's ports, by the text of `/proc/ioports`. Bridges, in
/// whose windows cards are, do not count.
fn owner(listing: &str, port: u16) -> Option<&str> {
    let ours = u64::from(port)..=u64::from(port | (BLOCK - 1));
    listing.lines().find_map(|line| {
        let (range, name) = line.split_once(" : ")?;
        let (first, last) = range.trim().split_once('-')?;
        let first = u64::from_str_radix(first, 16).ok()?;
        let last = u64::from_str_radix(last, 16).ok()?;
        let overlaps = first <= *ours.end() && last >= *ours.start() && last != 0;
        (overlaps && !name.starts_with("PCI Bus")).then_some(name)
    })
}

/// A PCI card that answers at its ports; as it was before when dropped.
pub(crate) struct Power(PathBuf);

impl Power {
    fn on(card: &Path) -> io::Result<Self> {
        let enable = card.join("enable");
        fs::write(&enable, "1")?;
        Ok(Power(enable))
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        // Nothing to do about a failure: the card may have been pulled.
        let _ = fs::write(&self.0, "0");
    }
}
