//! The registrant below: takes tagged frames and gives each to its VLAN's interface.

use crate::interface::{Interface, of};
use crate::parent::Parent;
use crate::stats::Stats;
use crate::tags::{Form, Vids};
use io_net_ddk::abi::Advert;
use io_net_ddk::prelude::*;
use io_net_ddk::{Mate, NicCounters, Tally, advert_name};
use std::collections::HashMap;
use std::sync::Arc;

/// An interface of this instance, as the trunk sees it.
pub(crate) struct Branch {
    mate: Mate,
    cell: u16,
    endpoint: u16,
    counters: NicCounters,
    name: String,
    vids: Vids,
    mtu: Option<u32>,
    parent: Arc<Parent>,
    /// Frames gathered from a burst.
    up: BurstBuf,
    tally: Tally,
}

/// The registrant.
pub(crate) struct Trunk {
    parents: Vec<Arc<Parent>>,
    branches: Vec<Branch>,
    /// Which branch takes frames of an interface with these tags.
    ways: HashMap<(u16, Vids), usize>,
    form: Form,
    stats: Stats,
    /// Branches with frames gathered.
    touched: Vec<usize>,
}

impl Registrant for Trunk {
    fn rx_up(&mut self, burst: Burst, _cx: &Cx) {
        // Frames of one VLAN come in rows.
        let mut last = None;
        for packet in burst {
            let key = (packet.endpoint(), self.form.read(packet.data()));
            let way = match last {
                Some((known, way)) if known == key => way,
                _ => self.way(key.0, key.1),
            };
            last = Some((key, way));
            match way {
                Some(at) => self.gather(packet, at),
                None => self.stats.drop_unknown.add(1),
            }
        }
        for at in self.touched.drain(..) {
            let branch = &mut self.branches[at];
            branch.counters.received(&std::mem::take(&mut branch.tally));
            branch.mate.tx_up(branch.up.take());
        }
    }

    fn dl_advert(&mut self, advert: &Advert, _cx: &Cx) {
        let name = advert_name(advert);
        let parent = self.parents.iter().find(|parent| parent.name == name);
        let Some(parent) = parent.filter(|_| advert.up_type[..3] == *b"en\0") else {
            return;
        };
        parent.advertised(advert);
        let below = parent.advert();
        for branch in self
            .branches
            .iter()
            .filter(|branch| branch.parent.name == name)
        {
            let mut shown = of(&branch.name, branch.vids, branch.mtu, below.as_ref());
            (shown.cell, shown.endpoint) = (branch.cell, branch.endpoint);
            branch.mate.dl_advert(&shown);
        }
        self.find_ways();
    }
}

impl Branch {
    pub(crate) fn new(interface: &Interface, cx: &Cx) -> Branch {
        Branch {
            mate: cx.mate(),
            cell: cx.cell(),
            endpoint: cx.endpoint(),
            counters: interface.counters(),
            name: interface.name.clone(),
            vids: interface.vids,
            mtu: interface.mtu,
            parent: interface.parent.clone(),
            up: BurstBuf::new(),
            tally: Tally::default(),
        }
    }
}

impl Trunk {
    pub(crate) fn new(
        parents: Vec<Arc<Parent>>,
        branches: Vec<Branch>,
        form: Form,
        cx: &Cx,
    ) -> Trunk {
        Trunk {
            parents,
            touched: Vec::with_capacity(branches.len()),
            branches,
            ways: HashMap::new(),
            form,
            stats: Stats::new(cx),
        }
    }

    fn find_ways(&mut self) {
        let branches = self.branches.iter().enumerate();
        let ways = branches.filter_map(|(at, branch)| {
            let (_, endpoint, _) = branch.parent.place()?;
            Some(((endpoint, branch.vids), at))
        });
        self.ways = ways.collect();
    }

    fn way(&self, endpoint: u16, vids: [Option<Vids>; 2]) -> Option<usize> {
        let mut ways = vids.into_iter().flatten();
        ways.find_map(|vids| self.ways.get(&(endpoint, vids)).copied())
    }

    /// Makes a frame one of branch `at` and puts it to those that wait for the burst's end.
    #[inline]
    fn gather(&mut self, packet: SharedPacket, at: usize) {
        let Some(mut packet) = packet.into_unique() else {
            return self.stats.drop_no_buffer.add(1);
        };
        let branch = &mut self.branches[at];
        Form::take(&mut packet, branch.vids);
        packet.set_way(branch.cell, branch.endpoint, 0);
        if branch.up.is_empty() {
            self.touched.push(at);
        }
        branch.tally.packet(&packet);
        // There is room: a burst is no longer than the buffer.
        let _ = branch.up.push(packet);
    }
}
