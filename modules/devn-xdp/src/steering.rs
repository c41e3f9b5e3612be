//! Which frames io-net takes, as options name them. The kernel keeps all others.

use io_net_ddk::{Failure, Options, errno::EINVAL};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Rules in all, at most: each costs every frame some instructions.
const RULES_MAX: usize = 64;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const SCTP: u8 = 132;

/// What is taken: whatever any of these names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steering {
    /// Everything.
    pub(crate) all: bool,
    /// Frames of a type, tags apart.
    pub(crate) ethertypes: Vec<u16>,
    /// IP packets of a protocol.
    pub(crate) protocols: Vec<u8>,
    /// TCP, UDP and SCTP packets to a port.
    pub(crate) ports: Vec<RangeInclusive<u16>>,
    /// IP packets to an address, and what finds its link-layer address.
    pub(crate) addresses: Vec<IpAddr>,
    /// One flow each.
    pub(crate) flows: Vec<Flow>,
}

/// Packets of TCP, UDP or SCTP between some ends; None stands for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) protocol: u8,
    pub(crate) source: Option<IpAddr>,
    pub(crate) source_port: Option<u16>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) destination_port: Option<u16>,
}

impl Steering {
    /// Reads the options that say what is taken.
    ///
    /// # Errors
    /// EINVAL for what cannot be, and where nothing is named.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let steering = Steering {
            all: options.flag("all"),
            ethertypes: each(options, "ethertype", "0x0600 to 0xffff", ethertype)?,
            protocols: each(
                options,
                "proto",
                "tcp, udp, sctp, icmp, icmp6 or 0 to 255",
                protocol,
            )?,
            ports: each(
                options,
                "port",
                "a port or a range of them, as 8000-8080",
                ports,
            )?,
            addresses: each(options, "addr", "an IPv4 or IPv6 address", |text| {
                text.parse().ok()
            })?,
            flows: each(
                options,
                "flow",
                "PROTO/SOURCE/PORT/DESTINATION/PORT with * for any, as tcp/*/*/10.0.0.2/80",
                Flow::parse,
            )?,
        };
        let wrong = |text: String| Err(Failure::new(EINVAL, text));
        match (steering.all, steering.count()) {
            (false, 0) => wrong(
                "nothing says what io-net is to take from the kernel: give addr=, port=, proto=, \
                 flow= or ethertype=, or all for everything"
                    .into(),
            ),
            (true, 1..) => wrong("option all takes everything: leave the other rules out".into()),
            (_, count) if count > RULES_MAX => {
                wrong(format!("{count} rules: give {RULES_MAX} at most"))
            }
            _ => Ok(steering),
        }
    }

    fn count(&self) -> usize {
        let (types, protocols, ports) = (&self.ethertypes, &self.protocols, &self.ports);
        types.len() + protocols.len() + ports.len() + self.addresses.len() + self.flows.len()
    }

    /// Whether any rule looks beyond the frame's type.
    pub(crate) fn looks_into_ip(&self) -> bool {
        self.count() > self.ethertypes.len()
    }
}

impl Flow {
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let [name, source, source_port, destination, destination_port] = *parts.as_slice() else {
            return None;
        };
        let flow = Flow {
            protocol: protocol(name).filter(|p| [TCP, UDP, SCTP].contains(p))?,
            source: or_any(source)?,
            source_port: or_any(source_port)?,
            destination: or_any(destination)?,
            destination_port: or_any(destination_port)?,
        };
        let families = [flow.source, flow.destination];
        let mut families = families.iter().flatten().map(IpAddr::is_ipv4);
        let first = families.next();
        families.all(|next| Some(next) == first).then_some(flow)
    }

    /// Whether only IPv4 packets can be of it, or only IPv6 ones.
    pub(crate) fn is_ipv4(&self) -> Option<bool> {
        self.source
            .or(self.destination)
            .map(|address| address.is_ipv4())
    }
}

fn each<T>(
    options: Options<'_>,
    name: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let one = |value: &str| {
        let wrong = || Failure::new(EINVAL, format!("option {name}={value}: give {wanted}"));
        parse(value).ok_or_else(wrong)
    };
    options.all(name).map(one).collect()
}

/// None is for what cannot be read, Some(None) for any.
#[allow(clippy::option_option)]
fn or_any<T: FromStr>(text: &str) -> Option<Option<T>> {
    match text {
        "*" => Some(None),
        text => text.parse().ok().map(Some),
    }
}

fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Lower numbers are lengths (IEEE 802.3-2018, 3.2.6).
fn ethertype(text: &str) -> Option<u16> {
    number(text).filter(|&kind| kind >= 0x0600)
}

fn protocol(text: &str) -> Option<u8> {
    match text {
        "tcp" => Some(TCP),
        "udp" => Some(UDP),
        "sctp" => Some(SCTP),
        "icmp" => Some(1),
        "icmp6" => Some(58),
        text => text.parse().ok(),
    }
}

fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some(low..=high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Steering, Failure> {
        Steering::parse(Options::new(text))
    }

    #[test]
    fn rules_are_read() {
        let text = "if=x,ethertype=0x88b5,ethertype=2054,proto=icmp,proto=89,port=80,\
                    port=8000-8080,addr=10.0.0.2,addr=fd00::2,flow=udp/10.0.0.1/*/*/53";
        let steering = parse(text).unwrap();
        assert_eq!(steering.ethertypes, [0x88b5, 0x0806]);
        assert_eq!(steering.protocols, [1, 89]);
        assert_eq!(steering.ports, [80..=80, 8000..=8080]);
        assert_eq!(steering.addresses.len(), 2);
        let flow = &steering.flows[0];
        assert_eq!(
            (flow.protocol, flow.source_port, flow.destination_port),
            (UDP, None, Some(53))
        );
        assert_eq!((flow.destination, flow.is_ipv4()), (None, Some(true)));
        assert!(steering.looks_into_ip());
        assert!(!parse("ethertype=0x88b5").unwrap().looks_into_ip());
        assert!(parse("all").unwrap().all);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let many: String = (0..65).map(|n| format!("port={n},")).collect();
        for (bad, named) in [
            ("if=x", "all"),
            ("all,port=80", "all"),
            ("ethertype=0x05ff", "ethertype=0x05ff"),
            ("ethertype=ip", "0xffff"),
            ("proto=256", "proto=256"),
            ("port=90-80", "port=90-80"),
            ("port=65536", "port=65536"),
            ("addr=10.0.0", "addr=10.0.0"),
            ("flow=tcp/*/*/*", "flow=tcp"),
            ("flow=icmp/*/*/*/*", "flow=icmp"),
            ("flow=tcp/10.0.0.1/*/fd00::1/*", "flow=tcp"),
            (&many, "65 rules"),
        ] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            assert!(failure.text.contains(named), "{failure}");
        }
    }
}
