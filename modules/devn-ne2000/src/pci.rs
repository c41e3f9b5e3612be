//! PCI cards that are NE2000s, as sysfs shows them. Control thread.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows its PCI devices.
pub(crate) const SYSFS: &str = "/sys/bus/pci";

/// A chip with the registers of an NE2000.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Model {
    vendor: u16,
    device: u16,
    pub(crate) name: &'static str,
    /// Whether its window takes accesses of four bytes.
    pub(crate) longs: bool,
}

const fn model(vendor: u16, device: u16, name: &'static str, longs: bool) -> Model {
    Model {
        vendor,
        device,
        name,
        longs,
    }
}

const MODELS: &[Model] = &[
    model(0x10ec, 0x8029, "Realtek RTL8029", true),
    model(0x1050, 0x0940, "Winbond 89C940", true),
    model(0x1050, 0x5a5a, "Winbond 89C940F", true),
    model(0x8c4a, 0x1980, "Winbond 89C940 (other vendor)", true),
    model(0x8e2e, 0x3000, "KTI ET32P2", true),
    model(0x4a14, 0x5000, "NetVin NV5000SC", true),
    model(0x1106, 0x0926, "VIA VT86C926", false),
    model(0x10bd, 0x0e34, "SureCom NE34", true),
    model(0x11f6, 0x1401, "Compex RL2000", true),
    model(0x12c3, 0x0058, "Holtek HT80232", false),
    model(0x12c3, 0x5598, "Holtek HT80229", true),
];

/// A card in a PCI slot.
#[derive(Debug)]
pub(crate) struct PciCard {
    /// Such as `0000:00:03.0`.
    pub(crate) address: String,
    pub(crate) model: &'static Model,
    /// First port; None where none was given to it.
    pub(crate) port: Option<u16>,
    pub(crate) irq: i32,
    /// The kernel's driver that has it.
    pub(crate) driver: Option<String>,
    /// Its directory.
    pub(crate) dir: PathBuf,
}

/// Every NE2000 under `root`, in the order of their addresses: a card's number is its place here.
pub(crate) fn scan(root: &Path) -> Vec<PciCard> {
    let dirs = fs::read_dir(root.join("devices")).into_iter().flatten();
    let mut dirs: Vec<PathBuf> = dirs.flatten().map(|entry| entry.path()).collect();
    dirs.sort();
    dirs.into_iter().filter_map(read).collect()
}

fn read(dir: PathBuf) -> Option<PciCard> {
    let (vendor, device) = (hex(&dir, "vendor")?, hex(&dir, "device")?);
    let mut models = MODELS.iter();
    let model = models.find(|m| (u64::from(m.vendor), u64::from(m.device)) == (vendor, device))?;
    let resources = fs::read_to_string(dir.join("resource")).unwrap_or_default();
    let irq = fs::read_to_string(dir.join("irq")).unwrap_or_default();
    let driver = fs::read_link(dir.join("driver")).ok();
    let driver = driver.and_then(|link| Some(link.file_name()?.to_str()?.to_owned()));
    Some(PciCard {
        address: dir.file_name()?.to_str()?.to_owned(),
        model,
        port: resources.lines().find_map(io_port),
        irq: irq.trim().parse().ok().filter(|&irq| irq > 0).unwrap_or(-1),
        driver,
        dir,
    })
}

fn hex(dir: &Path, name: &str) -> Option<u64> {
    parse_hex(fs::read_to_string(dir.join(name)).ok()?.trim())
}

fn parse_hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The first port of a line of `resource`, where it is of ports: first, last, flags.
fn io_port(line: &str) -> Option<u16> {
    const IORESOURCE_IO: u64 = 0x100;
    let mut fields = line.split_whitespace().map(parse_hex);
    let (first, _last, flags) = (fields.next()??, fields.next()??, fields.next()??);
    let port = u16::try_from(first).ok().filter(|&port| port != 0)?;
    (flags & IORESOURCE_IO != 0).then_some(port)
}
