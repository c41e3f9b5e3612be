//! Opening and configuring the TAP device. Control thread.

use crate::options::TapOptions;
use io_net_ddk::abi::{CAP_CSUM, CAP_MULTICAST, CAP_TSO4, CAP_TSO6, CAP_USO};
use io_net_ddk::{Failure, errno};
use io_net_os::netdev;
use io_net_os::tun::{
    OFFLOAD_CSUM, OFFLOAD_TSO_ECN, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, Tap,
    TapOptions as OpenOptions,
};
use std::io;

const OFFLOADS: u32 = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_TSO_ECN;
const CAPS: u32 = CAP_CSUM | CAP_TSO4 | CAP_TSO6 | CAP_MULTICAST;

/// An open device.
#[derive(Debug)]
pub(crate) struct Device {
    /// Its queues, at least one.
    pub(crate) queues: Vec<Tap>,
    /// Bytes of the largest packet, without the Ethernet header.
    pub(crate) mtu: u32,
    /// `CAP_*`.
    pub(crate) caps: u32,
    /// What the operator should know.
    pub(crate) remarks: Vec<String>,
}

impl Device {
    /// Opens and configures the device that `options` describe.
    ///
    /// # Errors
    /// The kernel's errno, with what to do about it. A device that was made is gone again.
    pub(crate) fn open(options: &TapOptions) -> Result<Self, Failure> {
        let queues = open_queues(options)?;
        let name = queues[0].name().to_owned();
        let mut remarks = Vec::new();
        let caps = set_offloads(&queues, &mut remarks)?;
        let configured = configure(&name, options)
            .and_then(|()| netdev::mtu(&name))
            .map_err(|error| Failure::io(format_args!("cannot configure {name}"), &error));
        let mtu = configured?;
        if options.persist {
            queues[0].set_persistent(true).map_err(|error| {
                Failure::io(format_args!("cannot make {name} persistent"), &error)
            })?;
        }
        Ok(Device {
            queues,
            mtu,
            caps,
            remarks,
        })
    }

    /// The device's name.
    pub(crate) fn name(&self) -> &str {
        self.queues[0].name()
    }

    /// Whether the kernel's side is up. Where that cannot be told (the device may have been moved
    /// to another network namespace), it is taken to be.
    pub(crate) fn is_up(&self) -> bool {
        netdev::is_up(self.name()).unwrap_or(true)
    }
}

fn open_queues(options: &TapOptions) -> Result<Vec<Tap>, Failure> {
    let mut queues: Vec<Tap> = Vec::with_capacity(options.queues);
    while queues.len() < options.queues {
        let name = queues.first().map(Tap::name).or(options.name.as_deref());
        let tap = Tap::open(OpenOptions {
            name,
            multi_queue: options.queues > 1,
        });
        let tap = tap.map_err(|error| explain(name.unwrap_or("a TAP device"), &error))?;
        queues.push(tap);
    }
    Ok(queues)
}

/// Says what a failure to open means.
fn explain(name: &str, error: &io::Error) -> Failure {
    let advice = match error.raw_os_error() {
        Some(errno::ENOENT) => "there is no /dev/net/tun: load the kernel's module (modprobe tun)",
        Some(errno::EPERM) => {
            "permission denied: run io-net with CAP_NET_ADMIN, or make the device beforehand for \
             this user (ip tuntap add dev NAME mode tap user USER)"
        }
        Some(errno::EBUSY) => "another program has the device: give another name=",
        Some(errno::EINVAL) => {
            "there is a device of that name and of another kind, or with another number of \
             queues: give another name= or queues="
        }
        _ => return Failure::io(format_args!("cannot open {name}"), error),
    };
    let number = error.raw_os_error().unwrap_or(errno::EIO);
    Failure::new(number, format!("cannot open {name}: {advice}"))
}

/// Asks for all offloads that the kernel knows, and returns them as capabilities.
fn set_offloads(queues: &[Tap], remarks: &mut Vec<String>) -> Result<u32, Failure> {
    let set = |offloads| queues.iter().try_for_each(|tap| tap.set_offload(offloads));
    if set(OFFLOADS | OFFLOAD_USO).is_ok() {
        return Ok(CAPS | CAP_USO);
    }
    remarks
        .push("this kernel's TAP driver has no UDP segmentation (it came with Linux 6.2)".into());
    set(OFFLOADS).map_err(|error| Failure::io("cannot set the TAP device's offloads", &error))?;
    Ok(CAPS)
}

fn configure(name: &str, options: &TapOptions) -> io::Result<()> {
    if let Some(mtu) = options.mtu {
        netdev::set_mtu(name, mtu)?;
    }
    if let Some((address, prefix)) = options.address {
        netdev::set_ipv4(name, address, prefix)?;
    }
    if options.up {
        netdev::set_up(name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_open_say_what_to_do() {
        for (number, advice) in [
            (errno::ENOENT, "modprobe tun"),
            (errno::EPERM, "CAP_NET_ADMIN"),
            (errno::EBUSY, "another name="),
            (errno::EINVAL, "another kind"),
            (errno::ENOMEM, "memory"),
        ] {
            let failure = explain("tap7", &io::Error::from_raw_os_error(number));
            assert_eq!(failure.errno, number);
            assert!(failure.text.contains("tap7"), "{failure}");
            assert!(failure.text.contains(advice), "{failure}");
        }
    }
}
