//! Stations whose port the operator says.

use crate::frame::Mac;
use crate::vlans;
use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};

/// One such station. It is behind its port for good, whoever else uses its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Static {
    /// With its VLAN.
    pub(crate) mac: Mac,
    /// The port's name.
    pub(crate) port: String,
}

/// The stations of the options; with `vlans` each in one.
///
/// # Errors
/// EINVAL for what is malformed, or there twice.
pub(crate) fn parse(options: Options, with_vlans: bool) -> Result<Vec<Static>, Failure> {
    let mut all: Vec<Static> = Vec::new();
    for value in options.all("static") {
        let refused = |text: &str| Failure::new(EINVAL, format!("option static={value}: {text}"));
        let one = one(value, with_vlans)?.ok_or_else(|| {
            refused(match with_vlans {
                true => "give it as static=02:00:00:00:00:05=en0/10, with the VLAN",
                false => "give it as static=02:00:00:00:00:05=en0",
            })
        })?;
        if one.mac.is_group() || one.mac.within(0) == Mac::default() {
            return Err(refused("this is no station's address"));
        }
        if all.iter().any(|other| other.mac == one.mac) {
            return Err(refused("this address has a port already"));
        }
        all.push(one);
    }
    Ok(all)
}

fn one(value: &str, with_vlans: bool) -> Result<Option<Static>, Failure> {
    let Some((mac, port)) = value.split_once('=') else {
        return Ok(None);
    };
    let (port, vlan) = match port.split_once('/') {
        Some((port, vlan)) if with_vlans => (port, vlans::number("static", vlan)?),
        None if !with_vlans => (port, 0),
        _ => return Ok(None),
    };
    let mac = Mac::parse(mac).filter(|_| !port.is_empty());
    Ok(mac.map(|mac| Static {
        mac: mac.within(vlan),
        port: port.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stations_with_and_without_vlans() {
        let text = Options::new("static=02:00:00:00:00:05=en0");
        let all = parse(text, false).unwrap();
        assert_eq!(
            (all[0].mac, &*all[0].port),
            (Mac::new([2, 0, 0, 0, 0, 5]), "en0")
        );
        let text = Options::new("static=02:00:00:00:00:05=en0/7,static=02:00:00:00:00:05=en1/8");
        let all = parse(text, true).unwrap();
        assert_eq!((all[0].mac.vlan(), all[1].mac.vlan()), (7, 8));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = "static=02:00:00:00:00:05=en0";
        for bad in [
            "static=02:00:00:00:00:05",
            "static=x=en0",
            "static=02:00:00:00:00:05=",
        ] {
            assert!(parse(Options::new(bad), false).is_err(), "{bad}");
        }
        for bad in [
            "static=03:00:00:00:00:05=en0",
            "static=00:00:00:00:00:00=en0",
        ] {
            assert!(parse(Options::new(bad), false).is_err(), "{bad}");
        }
        assert!(parse(Options::new(good), true).is_err());
        assert!(parse(Options::new(&format!("{good}/1")), false).is_err());
        assert!(parse(Options::new(&format!("{good},{good}")), false).is_err());
    }
}
