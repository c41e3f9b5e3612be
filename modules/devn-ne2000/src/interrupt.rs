//! Interrupts of a PCI card, by the kernel's `uio_pci_generic`.
//!
//! The kernel answers an interrupt by setting the card's Interrupt Disable bit (PCI 3.0, 6.2.2) and
//! making `/dev/uioN` readable; who has dealt with it clears the bit again.

use crate::pci::PciCard;
use io_net_os::fd::set_nonblocking;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The driver's name.
pub(crate) const DRIVER: &str = "uio_pci_generic";
/// The command register in a card's configuration, and its Interrupt Disable bit.
const COMMAND: u64 = 4;
const INTERRUPT_DISABLE: u16 = 1 << 10;

/// A card's interrupt line.
pub(crate) struct Interrupt {
    uio: File,
    config: File,
    /// Set in [`Interrupt::hush`]: nothing more comes.
    silent: bool,
    // Last: the driver goes when nobody has it open.
    _binding: Option<Binding>,
}

impl Interrupt {
    /// The interrupts of `card`, whose driver is [`DRIVER`] or none; where it is none, and the kernel
    /// has the driver, it is bound for as long as this lives.
    ///
    /// # Errors
    /// ENOENT where the kernel does not have the driver; else the kernel's.
    pub(crate) fn open(card: &PciCard, sysfs: &Path) -> io::Result<Self> {
        let binding = match card.driver {
            Some(_) => None,
            None => Some(Binding::new(card, sysfs)?),
        };
        let mut uios = fs::read_dir(card.dir.join("uio"))?.flatten();
        let uio = uios.next().ok_or(io::ErrorKind::NotFound)?.file_name();
        let uio = File::open(Path::new("/dev").join(uio))?;
        set_nonblocking(uio.as_fd(), true)?;
        let config = card.dir.join("config");
        let config = OpenOptions::new().read(true).write(true).open(config)?;
        Ok(Interrupt {
            uio,
            config,
            silent: true,
            _binding: binding,
        })
    }

    /// Takes the interrupt that has come.
    pub(crate) fn hush(&mut self) {
        // A count of all so far, which nobody needs.
        let mut count = [0; 4];
        self.silent |= (&self.uio).read(&mut count).is_ok();
    }

    /// Lets interrupts come again.
    ///
    /// # Errors
    /// The kernel's: the card has gone.
    #[inline]
    pub(crate) fn listen(&mut self) -> io::Result<()> {
        match self.silent {
            true => self.set_disabled(false),
            false => Ok(()),
        }
    }

    fn set_disabled(&mut self, disabled: bool) -> io::Result<()> {
        let mut command = [0; 2];
        self.config.read_exact_at(&mut command, COMMAND)?;
        let command = u16::from_le_bytes(command);
        let command = match disabled {
            true => command | INTERRUPT_DISABLE,
            false => command & !INTERRUPT_DISABLE,
        };
        self.config.write_all_at(&command.to_le_bytes(), COMMAND)?;
        self.silent = disabled;
        Ok(())
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.uio.as_fd()
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // A card that has gone needs no silencing.
        let _ = self.set_disabled(true);
    }
}

/// A card that was bound to [`DRIVER`]; given back when dropped.
struct Binding {
    address: String,
    card: PathBuf,
    driver: PathBuf,
}

impl Binding {
    fn new(card: &PciCard, sysfs: &Path) -> io::Result<Self> {
        let binding = Binding {
            address: card.address.clone(),
            card: card.dir.clone(),
            driver: sysfs.join("drivers").join(DRIVER),
        };
        if !binding.driver.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Dropped where this fails, which takes the override back.
        fs::write(binding.card.join("driver_override"), DRIVER)?;
        fs::write(binding.driver.join("bind"), &binding.address)?;
        Ok(binding)
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        // Nothing to do about failures: the card may have been pulled, or taken by somebody else.
        let _ = fs::write(self.driver.join("unbind"), &self.address);
        let _ = fs::write(self.card.join("driver_override"), "\n");
    }
}
