//! Option text: `key=value,key,...`, which io-net has already held against the module's specs.

use crate::failure::{Failure, errno::EINVAL};
use io_net_abi::{OPT_FLAG, OPT_IPV4, OPT_MAC, OPT_NUMBER, OPT_TEXT, OptionSpec};
use std::ffi::CStr;
use std::net::Ipv4Addr;
use std::str::FromStr;

const fn spec(name: &'static CStr, kind: u32, repeatable: bool, help: &'static CStr) -> OptionSpec {
    OptionSpec {
        name: name.as_ptr(),
        kind,
        repeatable: repeatable as u32,
        help: help.as_ptr(),
    }
}

/// Declares an option without a value.
pub const fn flag(name: &'static CStr, help: &'static CStr) -> OptionSpec {
    spec(name, OPT_FLAG, false, help)
}

/// Declares an unsigned number.
pub const fn number(name: &'static CStr, help: &'static CStr) -> OptionSpec {
    spec(name, OPT_NUMBER, false, help)
}

/// Declares a text, which may be given several times where `repeatable`.
pub const fn text(name: &'static CStr, repeatable: bool, help: &'static CStr) -> OptionSpec {
    spec(name, OPT_TEXT, repeatable, help)
}

/// Declares a link-layer address.
pub const fn mac(name: &'static CStr, help: &'static CStr) -> OptionSpec {
    spec(name, OPT_MAC, false, help)
}

/// Declares an IPv4 address with an optional `/prefix`, which may be given several times where
/// `repeatable`.
pub const fn ipv4(name: &'static CStr, repeatable: bool, help: &'static CStr) -> OptionSpec {
    spec(name, OPT_IPV4, repeatable, help)
}

/// The options that an instance was given.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(&'a str);

impl<'a> Options<'a> {
    /// Reads option text.
    pub fn new(text: &'a str) -> Self {
        Options(text)
    }

    /// Each option in order: its name, and its value where it has one.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.0
            .split(',')
            .filter(|item| !item.is_empty())
            .map(|item| match item.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (item, None),
            })
    }

    /// Every value of `name`, in order.
    pub fn all<'n>(self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.iter()
            .filter(move |(key, _)| *key == name)
            .filter_map(|(_, value)| value)
    }

    /// Whether `name` was given.
    pub fn flag(self, name: &str) -> bool {
        self.iter().any(|(key, _)| key == name)
    }

    /// The last value of `name`.
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.all(name).last()
    }

    /// The value of `name` as a number, decimal or 0x-hexadecimal.
    ///
    /// # Errors
    /// EINVAL where it is no number of type `T`.
    pub fn number<T: TryFrom<u64>>(self, name: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        let parsed = match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => value.parse(),
        };
        let number = parsed.ok().and_then(|number| T::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| malformed(name, value, "a number within its range"))
    }

    /// The value of `name` as a link-layer address: `02:00:00:00:00:01` or `020000000001`.
    ///
    /// # Errors
    /// EINVAL where it is no such address.
    pub fn mac(self, name: &str) -> Result<Option<[u8; 6]>, Failure> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        let digits: String = value.chars().filter(|&c| c != ':').collect();
        let bytes = u64::from_str_radix(&digits, 16)
            .ok()
            .filter(|_| digits.len() == 12);
        let bytes =
            bytes.ok_or_else(|| malformed(name, value, "an address such as 02:00:00:00:00:01"))?;
        let [_, _, mac @ ..] = bytes.to_be_bytes();
        Ok(Some(mac))
    }

    /// Every value of `name` as an IPv4 address and its prefix length, 32 where none is given.
    ///
    /// # Errors
    /// EINVAL where one is no such address.
    pub fn ipv4_all(self, name: &str) -> Result<Vec<(Ipv4Addr, u8)>, Failure> {
        let parse = |value: &str| {
            let (address, prefix) = value.split_once('/').unwrap_or((value, "32"));
            let address = Ipv4Addr::from_str(address).ok()?;
            let prefix = prefix.parse().ok().filter(|&prefix: &u8| prefix <= 32)?;
            Some((address, prefix))
        };
        self.all(name)
            .map(|value| {
                parse(value).ok_or_else(|| malformed(name, value, "an address such as 10.0.0.1/24"))
            })
            .collect()
    }
}

fn malformed(name: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(EINVAL, format!("option {name}={value}: give {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let options = Options::new("name=tap0,verbose,mtu=0x5dc,bind=en0,bind=en1");
        assert_eq!(options.text("name"), Some("tap0"));
        assert!(options.flag("verbose") && !options.flag("quiet"));
        assert_eq!(options.number::<u16>("mtu"), Ok(Some(1500)));
        assert_eq!(options.number::<u16>("absent"), Ok(None));
        assert_eq!(options.all("bind").collect::<Vec<_>>(), ["en0", "en1"]);
    }

    #[test]
    fn malformed_values_are_named() {
        let error = Options::new("mtu=70000").number::<u16>("mtu").unwrap_err();
        assert_eq!(error.errno, EINVAL);
        assert!(error.text.contains("mtu=70000"), "{error}");
        for bad in ["mac=", "mac=02:00", "mac=zz0000000001", "mac=0200000000011"] {
            assert!(Options::new(bad).mac("mac").is_err(), "{bad}");
        }
        for bad in ["addr=10.0.0", "addr=10.0.0.1/33", "addr=10.0.0.1/x"] {
            assert!(Options::new(bad).ipv4_all("addr").is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        let options = Options::new("mac=02:00:00:00:00:0a,addr=10.0.0.1/24,addr=10.0.1.1");
        assert_eq!(options.mac("mac"), Ok(Some([2, 0, 0, 0, 0, 10])));
        let expected = vec![
            (Ipv4Addr::new(10, 0, 0, 1), 24),
            (Ipv4Addr::new(10, 0, 1, 1), 32),
        ];
        assert_eq!(options.ipv4_all("addr"), Ok(expected));
    }
}
