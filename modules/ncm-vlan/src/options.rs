//! The options, checked.

use crate::tags::{Form, Vids};
use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};
use std::ffi::CString;

/// VLANs of one instance, at most.
const VLANS_MAX: usize = 1024;
/// The highest number of a VLAN (IEEE 802.1Q-2018, 9.6).
const VLAN_MAX: u16 = 4094;
/// The EtherType of service tags (IEEE 802.1Q-2018, 9.5).
const SERVICE: u16 = 0x88a8;
/// What IPv4 needs at least (RFC 791, 3.1).
const MTU_MIN: u32 = 68;

/// One VLAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vlan {
    /// Name of the interface below.
    pub(crate) parent: String,
    pub(crate) vids: Vids,
    /// The largest packet that the operator wants.
    pub(crate) mtu: Option<u32>,
}

/// All of the options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct VlanOptions {
    pub(crate) vlans: Vec<Vlan>,
    pub(crate) form: Form,
}

impl Vlan {
    /// The interface's name: `en0.10`, `en0.100.10`.
    pub(crate) fn interface(&self) -> CString {
        let name = match self.vids.outer {
            0 => format!("{}.{}", self.parent, self.vids.inner),
            outer => format!("{}.{outer}.{}", self.parent, self.vids.inner),
        };
        // An option holds no NUL.
        CString::new(name).unwrap_or_default()
    }
}

impl VlanOptions {
    pub(crate) fn parse(options: Options) -> Result<Self, Failure> {
        let mtu = options.number("mtu")?;
        if mtu.is_some_and(|mtu: u32| !(MTU_MIN..=65535).contains(&mtu)) {
            return Err(refused(format!(
                "option mtu: give a number from {MTU_MIN} to 65535"
            )));
        }
        let priority = options.number("priority")?.unwrap_or(0);
        if priority > 7 {
            return Err(refused("option priority: give a number from 0 to 7".into()));
        }
        let outer = options.number("outer")?.unwrap_or(SERVICE);
        if ![0x8100, SERVICE, 0x9100, 0x9200].contains(&outer) {
            let text = "option outer: give 0x8100, 0x88a8, 0x9100 or 0x9200";
            return Err(refused(text.into()));
        }
        let mut vlans: Vec<Vlan> = Vec::new();
        for value in options.all("vlan") {
            let vlan = vlan(value, mtu).ok_or_else(|| {
                refused(format!(
                    "option vlan={value}: give an interface and its VLAN, from 1 to {VLAN_MAX}, \
                     as in en0:10, or with two tags en0:100.10"
                ))
            })?;
            if vlan.interface().as_bytes().len() > 15 {
                let text = format!("option vlan={value}: the interface's name would be too long");
                return Err(refused(text));
            }
            if vlans.contains(&vlan) {
                return Err(refused(format!("option vlan={value} is there twice")));
            }
            vlans.push(vlan);
        }
        if !(1..=VLANS_MAX).contains(&vlans.len()) {
            let text = format!("give 1 to {VLANS_MAX} options vlan=, as in vlan=en0:10");
            return Err(refused(text));
        }
        let form = Form {
            outer,
            priority: priority << 13,
        };
        Ok(VlanOptions { vlans, form })
    }
}

fn vlan(value: &str, mtu: Option<u32>) -> Option<Vlan> {
    let number = |text: &str| {
        let number = text.parse().ok();
        number.filter(|vlan| (1..=VLAN_MAX).contains(vlan))
    };
    let (parent, vids) = value
        .split_once(':')
        .filter(|(parent, _)| !parent.is_empty())?;
    let vids = match vids.split_once('.') {
        Some((outer, inner)) => Vids {
            outer: number(outer)?,
            inner: number(inner)?,
        },
        None => Vids {
            outer: 0,
            inner: number(vids)?,
        },
    };
    Some(Vlan {
        parent: parent.to_owned(),
        vids,
        mtu,
    })
}

fn refused(text: String) -> Failure {
    Failure::new(EINVAL, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VlanOptions, Failure> {
        VlanOptions::parse(Options::new(text))
    }

    #[test]
    fn one_tag_and_two() {
        let options = parse("vlan=en0:10,vlan=en1:100.20,priority=5,mtu=1400").unwrap();
        let names: Vec<CString> = options.vlans.iter().map(Vlan::interface).collect();
        assert_eq!(names, [c"en0.10".to_owned(), c"en1.100.20".to_owned()]);
        assert_eq!(
            (options.form.outer, options.form.priority),
            (0x88a8, 0xa000)
        );
        assert_eq!(options.vlans[0].mtu, Some(1400));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "",
            "vlan=en0",
            "vlan=:1",
            "vlan=en0:0",
            "vlan=en0:4095",
            "vlan=en0:1.0",
            "vlan=en0:1.2.3",
            "vlan=en0:1,vlan=en0:1",
            "vlan=en0:1,priority=8",
            "vlan=en0:1,mtu=67",
            "vlan=en0:1,outer=0x800",
            "vlan=interface0:4000.4000",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
