//! Who is in the graph, under which name and number; packet types; the newest adverts.
//!
//! Behind one lock ([`crate::shared::Shared::registry`]): entered by modules, read and changed by the
//! control thread, which makes the plans from it. The packet path does not come here.

use crate::dispatch::Reg;
use crate::graph::columns::columns;
use crate::graph::{Edge, EdgeBook, Layout, Node, Over, Pattern, Plan, Role, Slot, slot_of};
use crate::options::{Placement, is_name};
use io_net_abi::{
    Advert, REG_CONVERTER, REG_FILTER_ABOVE, REG_FILTER_BELOW, REG_PRODUCER_DOWN, REG_PRODUCER_UP,
    RegHandle,
};
use std::sync::Arc;

/// Registrants at one time.
const SLOTS_MAX: usize = 1024;
/// Interfaces at one time.
const ENDPOINTS_MAX: u16 = 256;
/// Packet types.
const TYPES_MAX: usize = 64;
/// Patterns of one registrant.
const PATTERNS_MAX: usize = 64;
/// Largest number in an interface's name.
const LAN_MAX: u16 = 9999;

/// Why a registrant is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A positive errno.
    pub errno: i32,
    /// Why.
    pub text: String,
}

impl Refusal {
    fn new(errno: i32, text: impl Into<String>) -> Refusal {
        Refusal {
            errno,
            text: text.into(),
        }
    }
}

const ENOENT: i32 = 2;
const ENOMEM: i32 = 12;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;

/// What a module says of a registrant, checked for form.
#[derive(Clone, Debug)]
pub struct Claim {
    /// `REG_*`.
    pub flags: u32,
    /// Name, or a driver's stem.
    pub name: String,
    /// Type above.
    pub top: Option<String>,
    /// Type below.
    pub bottom: Option<String>,
}

/// Where a registrant is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its module's `init` runs: not yet in the graph.
    New,
    /// Known to the workers and told of interfaces, but not yet sent to.
    Joining,
    /// In the graph.
    Live,
    /// Sends, but is no longer sent to.
    Leaving,
}

/// A registrant and its place.
pub struct Entry {
    /// For the packet path.
    pub reg: Arc<Reg>,
    /// For the graph.
    pub node: Node,
    /// In its life.
    pub state: State,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Registry {
    entries: Vec<Option<Entry>>,
    /// How often each slot has been used.
    generations: Vec<u16>,
    /// Names of the types after `en` and `ip`.
    types: Vec<String>,
    order: u64,
    version: u64,
    edges: EdgeBook,
    adverts: Vec<(RegHandle, Advert)>,
}

impl Registry {
    /// Everybody there is.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    /// The registrant in a slot.
    #[must_use]
    pub fn reg_at(&self, slot: usize) -> Option<Arc<Reg>> {
        Some(self.entries.get(slot)?.as_ref()?.reg.clone())
    }

    /// The entry behind a handle.
    #[must_use]
    pub fn entry(&self, handle: RegHandle) -> Option<&Entry> {
        let entry = self.entries.get(slot_of(handle))?.as_ref()?;
        (entry.reg.handle() == handle).then_some(entry)
    }

    /// The entry of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Entry> {
        self.entries().find(|entry| entry.reg.name() == name)
    }

    /// The name of a packet type.
    #[must_use]
    pub fn type_name(&self, cell: u16) -> &str {
        match cell {
            0 => "en",
            1 => "ip",
            _ => self
                .types
                .get(usize::from(cell) - 2)
                .map_or("?", String::as_str),
        }
    }

    /// The number of a packet type, given at its first use.
    fn cell(&mut self, name: &str) -> Result<u16, Refusal> {
        if let Some(cell) = self.known_cell(name) {
            return Ok(cell);
        }
        if name.is_empty() || name.len() > 7 || !is_name(name) {
            let text = format!("\"{name}\" is no packet type: it has 1 to 7 letters or digits");
            return Err(Refusal::new(EINVAL, text));
        }
        if self.types.len() >= TYPES_MAX {
            return Err(Refusal::new(ENOMEM, "there are too many packet types"));
        }
        self.types.push(name.into());
        Ok(self.types.len() as u16 + 1)
    }

    /// The number of a packet type that is in use.
    #[must_use]
    pub fn known_cell(&self, name: &str) -> Option<u16> {
        match name {
            "en" => Some(0),
            "ip" => Some(1),
            _ => {
                let at = self.types.iter().position(|known| known == name)?;
                Some(at as u16 + 2)
            }
        }
    }

    /// Enters a registrant. `make` builds it under the handle and the name that it gets. Returns the
    /// handle, the cell and the endpoint (0 where it is no driver).
    ///
    /// # Errors
    /// What is wrong with the claim, or a name that is taken.
    pub fn enter(
        &mut self,
        claim: &Claim,
        placement: &Placement,
        first: bool,
        make: impl FnOnce(RegHandle, String) -> Option<Reg>,
    ) -> Result<(RegHandle, u16, u16), Refusal> {
        let own_name = placement.name.as_ref().filter(|_| first);
        let lan = placement.lan.filter(|_| first);
        let driver = claim.flags == REG_PRODUCER_UP;
        let name = match own_name {
            Some(name) => name.clone(),
            // A stem that ends in a number is a name: of a VLAN, en0.10.
            None if driver && !ends_in_digit(&claim.name) => {
                self.interface_name(&claim.name, lan)?
            }
            None => claim.name.clone(),
        };
        if !is_name(&name) {
            let text = format!("\"{name}\" is no name: it has 1 to 15 letters, digits, - _ or .");
            return Err(Refusal::new(EINVAL, text));
        }
        if self.named(&name).is_some() {
            let by = match own_name {
                None if driver => "lan=N",
                _ => "as=NAME",
            };
            return Err(Refusal::new(
                EEXIST,
                format!(
                    "the name {name} is taken; unmount what has it or choose another with {by}"
                ),
            ));
        }
        let endpoint = if driver {
            self.free_endpoint(&name)?
        } else {
            0
        };
        let role = self.role(claim, placement, endpoint)?;
        let cell = match role {
            Role::Driver { cell, .. } => cell,
            Role::FilterAbove { cell, .. } | Role::FilterBelow { cell, .. } => cell,
            Role::Converter { top, .. } => top,
            Role::Protocol { bottom } => bottom,
        };
        let (slot, handle) = self.free_slot()?;
        let Some(reg) = make(handle, name) else {
            let text = "its table of operations is missing or too small";
            return Err(Refusal::new(EINVAL, text));
        };
        self.order += 1;
        self.generations[slot] += 1;
        self.entries[slot] = Some(Entry {
            reg: Arc::new(reg),
            node: Node {
                slot: slot as Slot,
                role,
                patterns: Vec::new(),
                pos: placement.pos,
                order: self.order,
            },
            state: State::New,
        });
        Ok((handle, cell, endpoint))
    }

    /// The name of a new interface: `stem` and the number asked for, or the first that is free.
    fn interface_name(&self, stem: &str, lan: Option<u16>) -> Result<String, Refusal> {
        if lan.is_some_and(|lan| lan > LAN_MAX) {
            let text = format!("lan= is {LAN_MAX} at most");
            return Err(Refusal::new(EINVAL, text));
        }
        let numbers = lan.map_or(0..=LAN_MAX, |lan| lan..=lan);
        let mut names = numbers.map(|lan| format!("{stem}{lan}"));
        let first = format!("{stem}{}", lan.unwrap_or(0));
        Ok(names
            .find(|name| self.named(name).is_none())
            .unwrap_or(first))
    }

    /// A number for an interface: that of its name where it is free.
    fn free_endpoint(&self, name: &str) -> Result<u16, Refusal> {
        let taken = |number: &u16| {
            self.entries().any(
                |entry| matches!(entry.node.role, Role::Driver { endpoint, .. } if endpoint == *number),
            )
        };
        let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
        let wanted = digits.parse().ok().filter(|n| *n < ENDPOINTS_MAX);
        wanted
            .filter(|number| !taken(number))
            .or_else(|| (0..ENDPOINTS_MAX).find(|number| !taken(number)))
            .ok_or_else(|| {
                let text = format!("there are {ENDPOINTS_MAX} interfaces already");
                Refusal::new(ENOMEM, text)
            })
    }

    fn free_slot(&mut self) -> Result<(usize, RegHandle), Refusal> {
        let usable = |at: &usize| self.entries[*at].is_none() && self.generations[*at] < u16::MAX;
        let slot = match (0..self.entries.len()).find(usable) {
            Some(slot) => slot,
            None if self.entries.len() < SLOTS_MAX => {
                self.entries.push(None);
                self.generations.push(0);
                self.entries.len() - 1
            }
            None => {
                let text = format!("there are {SLOTS_MAX} registrants already");
                return Err(Refusal::new(ENOMEM, text));
            }
        };
        let generation = u32::from(self.generations[slot]) + 1;
        Ok((slot, RegHandle(generation << 16 | slot as u32)))
    }

    fn role(
        &mut self,
        claim: &Claim,
        placement: &Placement,
        endpoint: u16,
    ) -> Result<Role, Refusal> {
        const FILTER: u32 = REG_FILTER_ABOVE | REG_FILTER_BELOW;
        let missing = |which: &str| Refusal::new(EINVAL, format!("it names no {which} type"));
        let (top, bottom) = (claim.top.as_deref(), claim.bottom.as_deref());
        match claim.flags {
            REG_PRODUCER_UP => Ok(Role::Driver {
                cell: self.cell(top.ok_or_else(|| missing("top"))?)?,
                endpoint,
            }),
            REG_PRODUCER_DOWN => Ok(Role::Protocol {
                bottom: self.cell(bottom.ok_or_else(|| missing("bottom"))?)?,
            }),
            REG_CONVERTER => {
                let top = self.cell(top.ok_or_else(|| missing("top"))?)?;
                let bottom = self.cell(bottom.ok_or_else(|| missing("bottom"))?)?;
                if top == bottom {
                    let text = "a converter joins two different types";
                    return Err(Refusal::new(EINVAL, text));
                }
                Ok(Role::Converter { top, bottom })
            }
            flags if flags != 0 && flags & !FILTER == 0 => {
                let role = self.filter_role(flags, top.or(bottom), placement)?;
                if top.is_some() && bottom.is_some() && top != bottom {
                    let text = "a filter has the same type on both sides";
                    return Err(Refusal::new(EINVAL, text));
                }
                Ok(role)
            }
            flags => {
                let text = format!("its flags {flags:#x} name no place in the graph");
                Err(Refusal::new(EINVAL, text))
            }
        }
    }

    fn filter_role(
        &mut self,
        flags: u32,
        kind: Option<&str>,
        placement: &Placement,
    ) -> Result<Role, Refusal> {
        if let Some(name) = &placement.below {
            if flags & REG_FILTER_BELOW == 0 {
                let text = "this filter sits above interfaces only: use above=en0";
                return Err(Refusal::new(EINVAL, text));
            }
            let under = self
                .named(name)
                .map(|entry| (entry.node.takes(), entry.node.slot));
            let Some((Some(cell), under)) = under else {
                let text = format!("below={name}: there is no protocol or converter of that name");
                return Err(Refusal::new(ENOENT, text));
            };
            self.check_type(kind, cell, name)?;
            return Ok(Role::FilterBelow { cell, under });
        }
        if flags & REG_FILTER_ABOVE == 0 {
            let text = "this filter needs to know what it sits below: use below=NAME";
            return Err(Refusal::new(EINVAL, text));
        }
        let mut cell = match kind {
            Some(kind) => Some(self.cell(kind)?),
            None => None,
        };
        let mut endpoints = Vec::new();
        for name in &placement.above {
            let role = self.named(name).map(|entry| entry.node.role.clone());
            let Some(Role::Driver {
                cell: own,
                endpoint,
            }) = role
            else {
                let text = format!("above={name}: there is no interface of that name");
                return Err(Refusal::new(ENOENT, text));
            };
            self.check_type(cell.map(|cell| self.type_name(cell)), own, name)?;
            cell = Some(own);
            endpoints.push(endpoint);
        }
        let over = if endpoints.is_empty() {
            Over::All
        } else {
            Over::Endpoints(endpoints)
        };
        Ok(Role::FilterAbove {
            cell: cell.unwrap_or(0),
            over,
        })
    }

    fn check_type(&self, kind: Option<&str>, cell: u16, neighbour: &str) -> Result<(), Refusal> {
        let theirs = self.type_name(cell);
        match kind {
            Some(kind) if kind != theirs => Err(Refusal::new(
                EINVAL,
                format!("it is for {kind} packets, and those of {neighbour} are {theirs}"),
            )),
            _ => Ok(()),
        }
    }

    /// Adds a pattern to those that a registrant asks for.
    ///
    /// # Errors
    /// It takes no packets from below, or asks for too much.
    pub fn add_pattern(&mut self, handle: RegHandle, pattern: Pattern) -> Result<(), Refusal> {
        let entry = self.entries.get_mut(slot_of(handle));
        let entry = entry.and_then(Option::as_mut);
        let Some(entry) = entry.filter(|entry| entry.reg.handle() == handle) else {
            return Err(Refusal::new(ENOENT, "there is no such registrant"));
        };
        if entry.node.takes().is_none() {
            let text = "only converters and protocols ask for packets by pattern";
            return Err(Refusal::new(EINVAL, text));
        }
        if entry.node.patterns.len() >= PATTERNS_MAX {
            return Err(Refusal::new(ENOMEM, "it asks for too many patterns"));
        }
        entry.node.patterns.push(pattern);
        Ok(())
    }

    /// Registrants of one instance, in the order of their entry.
    #[must_use]
    pub fn of_instance(&self, id: u64) -> Vec<Arc<Reg>> {
        let mut own: Vec<&Entry> = self
            .entries()
            .filter(|entry| entry.reg.link().id() == id)
            .collect();
        own.sort_by_key(|entry| entry.node.order);
        own.iter().map(|entry| entry.reg.clone()).collect()
    }

    /// Sets where all registrants of an instance are in their life.
    pub fn set_state(&mut self, id: u64, state: State) {
        for entry in self.entries.iter_mut().flatten() {
            if entry.reg.link().id() == id {
                entry.state = state;
            }
        }
    }

    /// Takes all registrants of an instance out, with their adverts.
    pub fn remove(&mut self, id: u64) {
        let gone: Vec<RegHandle> = self
            .of_instance(id)
            .iter()
            .map(|reg| reg.handle())
            .collect();
        self.adverts.retain(|(from, _)| !gone.contains(from));
        for entry in &mut self.entries {
            if entry.as_ref().is_some_and(|e| e.reg.link().id() == id) {
                *entry = None;
            }
        }
    }

    /// Makes the next version of the plan.
    #[must_use]
    pub fn plan(&mut self) -> Plan {
        self.version += 1;
        let regs = self.entries.iter().map(|entry| {
            let entry = entry.as_ref().filter(|e| e.state != State::New)?;
            Some(entry.reg.clone())
        });
        let regs = regs.collect();
        let layout = self.layout();
        Plan::new(self.version, &layout, regs, &mut self.edges)
    }

    fn layout(&self) -> Layout {
        let placed = self.entries().filter(|entry| entry.state != State::New);
        let nodes: Vec<Node> = placed.map(|entry| entry.node.clone()).collect();
        let aside = |entry: &&Entry| matches!(entry.state, State::Joining | State::Leaving);
        let bypassed: Vec<Slot> = self.entries().filter(aside).map(|e| e.node.slot).collect();
        Layout::new(&nodes, &bypassed)
    }

    /// Every way up from an interface, by name, from the wire to the programs.
    #[must_use]
    pub fn columns(&self) -> Vec<Vec<String>> {
        let mut drivers: Vec<(Slot, u16)> = self
            .entries()
            .filter_map(|entry| match entry.node.role {
                Role::Driver { endpoint, .. } => Some((entry.node.slot, endpoint)),
                _ => None,
            })
            .collect();
        drivers.sort_by_key(|(_, endpoint)| *endpoint);
        let name = |slot: Slot| {
            let reg = self.reg_at(usize::from(slot));
            reg.map_or_else(|| "?".into(), |reg| reg.name().to_string())
        };
        let columns = columns(&self.layout(), &drivers);
        let named = columns
            .into_iter()
            .map(|c| c.into_iter().map(name).collect());
        named.collect()
    }

    /// The edges of the last plan.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.edges.edges()
    }

    /// Keeps the newest advert of an interface at a layer.
    pub fn keep_advert(&mut self, from: RegHandle, advert: Advert) {
        let same = |(_, other): &(RegHandle, Advert)| {
            (other.cell, other.endpoint, other.iface)
                == (advert.cell, advert.endpoint, advert.iface)
        };
        self.adverts.retain(|kept| !same(kept));
        if advert.flags & io_net_abi::ADVERT_DYING == 0 {
            self.adverts.push((from, advert));
        }
    }

    /// The adverts in force.
    #[must_use]
    pub fn adverts(&self) -> Vec<(RegHandle, Advert)> {
        self.adverts.clone()
    }

    /// Who is to know of an interface's state at a layer.
    #[must_use]
    pub fn audience(&self, from: RegHandle, advert: &Advert) -> Vec<Arc<Reg>> {
        let concerned = |entry: &&Entry| {
            let cares = match &entry.node.role {
                Role::Driver { .. } => false,
                Role::FilterAbove { cell, over } => {
                    *cell == advert.cell
                        && match over {
                            Over::All => true,
                            Over::Endpoints(list) => list.contains(&advert.endpoint),
                        }
                }
                Role::FilterBelow { cell, .. } => *cell == advert.cell,
                Role::Converter { bottom, .. } | Role::Protocol { bottom } => {
                    *bottom == advert.cell
                }
            };
            let here = matches!(entry.state, State::Joining | State::Live);
            cares && here && entry.reg.handle() != from
        };
        let mut audience: Vec<&Entry> = self.entries().filter(concerned).collect();
        audience.sort_by_key(|entry| entry.node.order);
        audience.iter().map(|entry| entry.reg.clone()).collect()
    }

    /// Names of those who could not go on without the instance: the reason not to unmount it.
    #[must_use]
    pub fn dependants(&self, id: u64) -> Vec<String> {
        let own = |entry: &Entry| entry.reg.link().id() == id;
        let mut names = Vec::new();
        for lost in self.entries().filter(|entry| own(entry)) {
            for other in self.entries().filter(|entry| !own(entry)) {
                let depends = match (&lost.node.role, &other.node.role) {
                    (
                        Role::Driver { endpoint, .. },
                        Role::FilterAbove {
                            over: Over::Endpoints(list),
                            ..
                        },
                    ) => list.contains(endpoint),
                    (_, Role::FilterBelow { under, .. }) => *under == lost.node.slot,
                    (Role::Converter { top, .. }, _) => {
                        other.node.takes() == Some(*top) && !self.has_producer(*top, id)
                    }
                    _ => false,
                };
                let name = other.reg.name().to_string();
                if depends && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// Whether some instance other than `except` makes packets of type `cell` for the layers above.
    #[must_use]
    pub fn has_producer(&self, cell: u16, except: u64) -> bool {
        self.entries().any(|entry| {
            entry.reg.link().id() != except
                && match entry.node.role {
                    Role::Driver { cell: own, .. } => own == cell,
                    Role::Converter { top, .. } => top == cell,
                    _ => false,
                }
        })
    }
}

fn ends_in_digit(name: &str) -> bool {
    name.ends_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
