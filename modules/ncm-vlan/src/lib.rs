//! `ncm-vlan`: an interface for each VLAN of another interface (IEEE 802.1Q-2018), with one tag or
//! two.
//!
//! One registrant, the trunk, takes the tagged frames of every `en` interface that has VLANs; one for each VLAN
//! is an interface of its own, `en0.10`, with converters and protocols above it like any other. A frame that
//! comes up loses its tags in place and goes on as one of its VLAN's interface; a frame that goes down
//! gets them, and goes on as one of the trunk's.
//!
//! | file | what it owns |
//! | --- | --- |
//! | [`options`] | the options, checked |
//! | [`tags`] | reading, taking and putting tags |
//! | [`trunk`] | the registrant below: tagged frames up, adverts |
//! | [`interface`] | the registrant of one VLAN |
//! | [`parent`] | what the two know of the interface below |
//! | [`stats`] | the trunk's counters |
//!
//! All registrants of an instance live on one worker, which is how they can share what they know.
#![deny(unsafe_code)]

mod interface;
mod options;
mod parent;
mod stats;
mod tags;
mod trunk;

use interface::Interface;
use io_net_ddk::prelude::*;
use io_net_ddk::{number, text};
use options::VlanOptions;
use parent::Parent;
use std::sync::Arc;
use trunk::{Branch, Trunk};

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = VlanOptions::parse(init.options())?;
    let mut parents: Vec<Arc<Parent>> = Vec::new();
    for vlan in &options.vlans {
        if !parents.iter().any(|parent| parent.name == vlan.parent) {
            parents.push(Arc::new(Parent::new(&vlan.parent)));
        }
    }
    let mut branches = Vec::new();
    for vlan in options.vlans {
        let Some(parent) = parents.iter().find(|parent| parent.name == vlan.parent) else {
            continue;
        };
        let name = vlan.interface();
        init.register(Place::driver(&name, c"en"), |cx| {
            let interface = Interface::new(&vlan, &options.form, parent.clone(), cx);
            branches.push(Branch::new(&interface, cx));
            Ok(interface)
        })?;
    }
    init.register(Place::protocol(c"vlan", c"en"), |cx| {
        for kind in options.form.ethertypes() {
            cx.byte_pattern(tags::AT as u32, &kind.to_be_bytes())?;
        }
        for parent in &parents {
            parent.set_trunk(cx.mate());
        }
        Ok(Trunk::new(parents, branches, options.form, cx))
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_CONVERTER,
    name: c"ncm-vlan",
    summary: c"Interfaces for the VLANs of another interface.",
    options: [
        text(c"vlan", true, c"an interface for a VLAN, with one tag en0:10, with two en0:100.10"),
        number(c"outer", c"EtherType of the outer of two tags (default 0x88a8)"),
        number(c"priority", c"priority in the tags of what is sent, 0 to 7 (default 0)"),
        number(c"mtu", c"largest packet (default: that of the interface below, with two tags 4 less)"),
    ],
    init: init,
}
