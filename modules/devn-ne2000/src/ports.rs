//! What the driver needs of the card's ports, so that a card of software can stand in.

use io_net_os::ports::{self, Width};
use std::time::Duration;

/// The 32 ports of a card.
pub(crate) trait Ports: Send + 'static {
    /// Reads a register; all ones where nothing answers.
    fn in8(&mut self, register: u16) -> u8;
    /// Writes a register.
    fn out8(&mut self, register: u16, value: u8);
    /// Reads one register again and again, `width` at a time.
    fn in_string(&mut self, register: u16, width: Width, bytes: &mut [u8]);
    /// Writes one register again and again.
    fn out_string(&mut self, register: u16, width: Width, bytes: &[u8]);
    /// The widest access that the way to the card allows.
    fn widest(&self) -> Width;
    /// Waits. Never called on a worker.
    fn wait(&mut self, time: Duration);
}

impl Ports for ports::Ports {
    #[inline]
    fn in8(&mut self, register: u16) -> u8 {
        ports::Ports::in8(self, register)
    }

    #[inline]
    fn out8(&mut self, register: u16, value: u8) {
        ports::Ports::out8(self, register, value);
    }

    #[inline]
    fn in_string(&mut self, register: u16, width: Width, bytes: &mut [u8]) {
        ports::Ports::in_string(self, register, width, bytes);
    }

    #[inline]
    fn out_string(&mut self, register: u16, width: Width, bytes: &[u8]) {
        ports::Ports::out_string(self, register, width, bytes);
    }

    fn widest(&self) -> Width {
        match self.is_direct() {
            true => Width::Long,
            false => Width::Byte,
        }
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}
