//! The options of one module: `key=value,key`. io-net takes its own out and checks the others
//! against what the module says it takes, before any of them reaches the module.

use crate::config::Kind;
use std::fmt::Write as _;

/// What a module says of one of its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionInfo {
    /// Name before the `=`.
    pub name: String,
    /// What its value must look like.
    pub kind: ValueKind,
    /// Whether it may be given more than once.
    pub repeatable: bool,
    /// One line about it.
    pub help: String,
}

/// The forms of values, as in `OPT_*` of the module interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// None.
    Flag,
    /// Unsigned, decimal or 0x-hexadecimal.
    Number,
    /// Anything without a comma.
    Text,
    /// Six bytes in hexadecimal.
    Mac,
    /// A dotted address, perhaps with `/prefix`.
    Ipv4,
}

impl ValueKind {
    fn describe(self) -> &'static str {
        match self {
            ValueKind::Flag => "no value",
            ValueKind::Number => "a number, decimal or 0x-hexadecimal",
            ValueKind::Text => "some text",
            ValueKind::Mac => "a MAC address such as 02:00:00:00:00:01",
            ValueKind::Ipv4 => "an IPv4 address such as 10.0.0.1 or 10.0.0.1/24",
        }
    }

    fn accepts(self, value: Option<&str>) -> bool {
        match (self, value) {
            (ValueKind::Flag, value) => value.is_none(),
            (_, None | Some("")) => false,
            (ValueKind::Number, Some(text)) => number(text).is_some(),
            (ValueKind::Text, Some(_)) => true,
            (ValueKind::Mac, Some(text)) => is_mac(text),
            (ValueKind::Ipv4, Some(text)) => is_ipv4(text),
        }
    }
}

/// The options that io-net itself acts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Interfaces that a filter sits above; empty for all there are and will be.
    pub above: Vec<String>,
    /// Converter or protocol that a filter sits below.
    pub below: Option<String>,
    /// Order among the filters of one place: the lower, the nearer to the wire.
    pub pos: i32,
    /// Number of a driver's interface.
    pub lan: Option<u16>,
    /// Worker that runs the module.
    pub worker: Option<usize>,
    /// Name in the graph instead of the module's own.
    pub name: Option<String>,
    /// The module's debugging messages are shown.
    pub verbose: bool,
}

/// Splits `text` into what io-net takes and what the module gets.
///
/// # Errors
/// The first option that is unknown, malformed or given too often; it names the known ones.
pub fn split(
    module: &str,
    kind: Kind,
    specs: &[OptionInfo],
    text: &str,
) -> Result<(Placement, String), String> {
    let mut placement = Placement::default();
    let mut rest: Vec<&str> = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        if placement.take(module, kind, key, value)? {
            continue;
        }
        let Some(spec) = specs.iter().find(|spec| spec.name == key) else {
            return Err(format!(
                "{module} has no option {key}; it takes: {}",
                known(kind, specs)
            ));
        };
        if !spec.kind.accepts(value) {
            let wants = spec.kind.describe();
            return Err(match value {
                Some(value) => format!("{module}: option {key} takes {wants}, not \"{value}\""),
                None => format!("{module}: option {key} needs {wants}: {key}=..."),
            });
        }
        let again = rest.iter().any(|word| word.split('=').next() == Some(key));
        if again && !spec.repeatable {
            return Err(format!(
                "{module}: option {key} is given twice; give it once"
            ));
        }
        rest.push(word);
    }
    Ok((placement, rest.join(",")))
}

impl Placement {
    /// Takes an option of io-net's own; false where it is none.
    fn take(
        &mut self,
        module: &str,
        kind: Kind,
        key: &str,
        value: Option<&str>,
    ) -> Result<bool, String> {
        let wrong = |wants: &str| Err(format!("{module}: option {key} takes {wants}"));
        match (key, kind) {
            ("above", Kind::Filter) => {
                let names = value.unwrap_or_default().split(':');
                let names: Vec<String> = names.filter(|n| !n.is_empty()).map(Into::into).collect();
                if names.is_empty() {
                    return wrong("one or more interfaces: above=en0:en1");
                }
                self.above.extend(names);
            }
            ("below", Kind::Filter) => match value {
                Some(name) if !name.is_empty() => self.below = Some(name.into()),
                _ => return wrong("the name of a protocol or converter: below=tcpip"),
            },
            ("pos", Kind::Filter) => match value.and_then(|v| v.parse().ok()) {
                Some(pos) => self.pos = pos,
                None => return wrong("a whole number: pos=10"),
            },
            ("lan", Kind::Driver) => match value.and_then(|v| v.parse().ok()) {
                Some(lan) => self.lan = Some(lan),
                None => return wrong("the interface's number: lan=0"),
            },
            ("worker", _) => match value.and_then(|v| v.parse().ok()) {
                Some(worker) => self.worker = Some(worker),
                None => return wrong("a worker's number: worker=0"),
            },
            ("as", _) => match value {
                Some(name) if is_name(name) => self.name = Some(name.into()),
                _ => return wrong("a name of letters, digits, - and _, 15 at most: as=tap0"),
            },
            ("verbose", _) if value.is_none() => self.verbose = true,
            _ => return Ok(false),
        }
        if !self.above.is_empty() && self.below.is_some() {
            return Err(format!("{module}: above= and below= exclude each other"));
        }
        Ok(true)
    }
}

/// Whether `name` may name a registrant.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.')
        && !name.starts_with('.')
}

/// The options that a module of this kind takes, on one line.
fn known(kind: Kind, specs: &[OptionInfo]) -> String {
    let mut text = String::new();
    for spec in specs {
        let value = if spec.kind == ValueKind::Flag {
            ""
        } else {
            "="
        };
        let _ = write!(text, "{}{value}, ", spec.name);
    }
    text.push_str(match kind {
        Kind::Driver => "lan=, worker=, as=, verbose",
        Kind::Filter => "above=, below=, pos=, worker=, as=, verbose",
        Kind::Converter | Kind::Protocol => "worker=, as=, verbose",
    });
    text
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

fn is_mac(text: &str) -> bool {
    let hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
    if text.contains(':') {
        let parts: Vec<&str> = text.split(':').collect();
        parts.len() == 6 && parts.iter().all(|p| (1..=2).contains(&p.len()) && hex(p))
    } else {
        text.len() == 12 && hex(text)
    }
}

fn is_ipv4(text: &str) -> bool {
    let (addr, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let prefix_ok = prefix.bytes().all(|b| b.is_ascii_digit())
        && prefix.parse::<u8>().is_ok_and(|bits| bits <= 32);
    addr.parse::<std::net::Ipv4Addr>().is_ok() && prefix_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs() -> Vec<OptionInfo> {
        let spec = |name: &str, kind, repeatable| OptionInfo {
            name: name.into(),
            kind,
            repeatable,
            help: String::new(),
        };
        vec![
            spec("name", ValueKind::Text, false),
            spec("mtu", ValueKind::Number, false),
            spec("up", ValueKind::Flag, false),
            spec("mac", ValueKind::Mac, false),
            spec("addr", ValueKind::Ipv4, true),
        ]
    }

    fn try_split(kind: Kind, text: &str) -> Result<(Placement, String), String> {
        split("devn-x", kind, &specs(), text)
    }

    #[test]
    fn own_options_are_taken_out_and_others_passed_on() {
        let (placement, rest) = try_split(
            Kind::Driver,
            "name=tap0,lan=3,up,addr=10.0.0.1/24,addr=10.0.0.2,worker=1,mac=02:0:0:0:0:1,mtu=0x5dc",
        )
        .unwrap();
        assert_eq!(
            rest,
            "name=tap0,up,addr=10.0.0.1/24,addr=10.0.0.2,mac=02:0:0:0:0:1,mtu=0x5dc"
        );
        assert_eq!((placement.lan, placement.worker), (Some(3), Some(1)));
        let (placement, rest) = try_split(Kind::Filter, "above=en0:en1,pos=-5,as=cap2").unwrap();
        assert_eq!(rest, "");
        assert_eq!(placement.above, ["en0", "en1"]);
        assert_eq!(placement.pos, -5);
        assert_eq!(placement.name.as_deref(), Some("cap2"));
    }

    #[test]
    fn an_unknown_option_names_the_known_ones() {
        let e = try_split(Kind::Driver, "nmae=x").unwrap_err();
        for word in ["devn-x", "nmae", "name=", "mtu=", "up,", "lan="] {
            assert!(e.contains(word), "{e}");
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for text in [
            "mtu=many",
            "mtu=+3",
            "mtu=0x",
            "mtu",
            "name",
            "name=",
            "up=1",
            "mac=02:00:00",
            "mac=0200000000zz",
            "addr=10.0.0.256",
            "addr=10.0.0.1/33",
            "addr=10.0.0.1/+1",
            "name=a,name=b",
            "lan=x",
            "lan",
            "worker=-1",
            "as=a/b",
            "as=0123456789abcdef",
        ] {
            assert!(try_split(Kind::Driver, text).is_err(), "{text}");
        }
        for text in ["above=", "below", "pos=x", "above=en0,below=tcpip", "lan=1"] {
            assert!(try_split(Kind::Filter, text).is_err(), "{text}");
        }
    }
}
