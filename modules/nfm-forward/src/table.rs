//! The rules in force, with their counts and the interfaces that they name.

use crate::fields::Fields;
use crate::parse;
use crate::rule::{Action, Rule, Way};
use io_net_ddk::Failure;
use io_net_ddk::abi::{ADVERT_DYING, Advert};
use io_net_ddk::advert_name;
use io_net_ddk::errno::EINVAL;
use io_net_ddk::pktbuf::SharedPacket;

/// Rules, at most: what one answer can list.
const RULES_MAX: usize = 128;

/// What a packet's rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Drop,
    /// To this endpoint.
    Redirect(u16),
    /// A copy to this endpoint.
    Mirror(u16),
    /// It was to be redirected to an interface that is not there.
    Nowhere,
    /// A copy was to go to an interface that is not there.
    NoMirror,
}

/// A rule with what is known of it now.
pub(crate) struct Active {
    pub(crate) rule: Rule,
    looks_inside: bool,
    /// The endpoint of `in:`, where there is such an interface.
    input: Option<u16>,
    /// The endpoint that the action leads to, where there is such an interface.
    target: Option<u16>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

pub(crate) struct Table {
    rules: Vec<Active>,
    /// The interfaces that the filter stands above.
    interfaces: Vec<(String, u16)>,
    looks_inside: bool,
}

impl Table {
    /// A table of `texts`, in order.
    ///
    /// # Errors
    /// EINVAL where a rule is malformed, contradicts itself or an earlier one, or is one too many.
    pub(crate) fn new(texts: &[&str]) -> Result<Table, Failure> {
        let mut table = Table {
            rules: Vec::new(),
            interfaces: Vec::new(),
            looks_inside: false,
        };
        table.replace(texts)?;
        Ok(table)
    }

    /// Puts `texts` in the place of all rules. One that was there before keeps its counts.
    ///
    /// # Errors
    /// As [`Table::new`]; the old rules then stay.
    pub(crate) fn replace(&mut self, texts: &[&str]) -> Result<(), Failure> {
        if texts.len() > RULES_MAX {
            let text = format!("there are {} rules; {RULES_MAX} are the most", texts.len());
            return Err(Failure::new(EINVAL, text));
        }
        let rules = parse::rules(texts)?;
        let old = std::mem::take(&mut self.rules);
        let active = |rule: Rule| {
            let known = old.iter().find(|known| known.rule.text == rule.text);
            Active {
                looks_inside: rule.pattern.looks_inside(),
                input: None,
                target: None,
                packets: known.map_or(0, |known| known.packets),
                bytes: known.map_or(0, |known| known.bytes),
                rule,
            }
        };
        self.rules = rules.into_iter().map(active).collect();
        self.looks_inside = self.rules.iter().any(|rule| rule.looks_inside);
        self.resolve();
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn rules(&self) -> &[Active] {
        &self.rules
    }

    /// Takes note of an interface that comes or goes.
    pub(crate) fn advertised(&mut self, advert: &Advert) {
        if !advert.up_type.starts_with(b"en\0") {
            return;
        }
        let name = advert_name(advert);
        let same =
            |(known, endpoint): &(String, u16)| known == name || *endpoint == advert.endpoint;
        self.interfaces.retain(|known| !same(known));
        if advert.flags & ADVERT_DYING == 0 {
            self.interfaces.push((name.to_owned(), advert.endpoint));
        }
        self.resolve();
    }

    fn resolve(&mut self) {
        let endpoint = |name: &str| {
            let known = self.interfaces.iter().find(|(known, _)| known == name);
            known.map(|&(_, endpoint)| endpoint)
        };
        for active in &mut self.rules {
            active.input = active.rule.pattern.input.as_deref().and_then(endpoint);
            active.target = active.rule.action.target().and_then(endpoint);
        }
    }

    /// Decides on a packet and counts it with its rule.
    #[inline]
    pub(crate) fn decide(&mut self, packet: &SharedPacket, way: Way) -> Verdict {
        let fields = match self.looks_inside {
            true => Fields::of(packet.data(), packet.vlan_tci()),
            false => Fields::default(),
        };
        let endpoint = packet.endpoint();
        let found = self
            .rules
            .iter_mut()
            .find(|active| active.is_for(endpoint, way, &fields));
        let Some(active) = found else {
            return Verdict::Pass;
        };
        active.packets += 1;
        active.bytes += packet.total_len() as u64;
        match (&active.rule.action, active.target) {
            (Action::Pass, _) => Verdict::Pass,
            (Action::Drop, _) => Verdict::Drop,
            (Action::Redirect(_), Some(target)) => Verdict::Redirect(target),
            (Action::Redirect(_), None) => Verdict::Nowhere,
            (Action::Mirror(_), Some(target)) => Verdict::Mirror(target),
            (Action::Mirror(_), None) => Verdict::NoMirror,
        }
    }
}

impl Active {
    #[inline]
    fn is_for(&self, endpoint: u16, way: Way, fields: &Fields) -> bool {
        let pattern = &self.rule.pattern;
        let comes_from = match pattern.input {
            Some(_) => self.input == Some(endpoint),
            None => self.target != Some(endpoint),
        };
        comes_from
            && pattern.way.is_none_or(|wanted| wanted == way)
            && (!self.looks_inside || pattern.matches(fields))
    }

    /// Whether the interfaces that it names are there.
    pub(crate) fn is_ready(&self) -> bool {
        let input = self.rule.pattern.input.is_none() || self.input.is_some();
        let target = self.rule.action.target().is_none() || self.target.is_some();
        input && target
    }
}
