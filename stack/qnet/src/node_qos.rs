//! Qualities of service that paths name: `lab2~preferred:en0`.

use crate::errno::Errno;
use crate::transport::{LinkId, Qos};

/// Qualities of service in use, by the index in the upper half of a node descriptor. 0 is the default.
pub(crate) struct QosTable {
    known: Vec<(Qos, String)>,
    limit: usize,
}

impl QosTable {
    /// A table of at most `limit` besides the default.
    pub(crate) fn new(limit: usize) -> Self {
        QosTable {
            known: Vec::new(),
            limit: limit.min(usize::from(u16::MAX)),
        }
    }

    /// The index of what `text` names: `loadbalance`, `preferred:LINK` or `exclusive:LINK`. `EINVAL` for
    /// anything else, `ENETUNREACH` for a link that is not here, `EAGAIN` where the table is full.
    pub(crate) fn parse(
        &mut self,
        text: &str,
        link: impl Fn(&str) -> Option<LinkId>,
    ) -> Result<u16, Errno> {
        if text == "loadbalance" {
            return Ok(0);
        }
        let (kind, name) = text.split_once(':').ok_or(Errno::EINVAL)?;
        let make = match kind {
            "preferred" => Qos::Preferred,
            "exclusive" => Qos::Exclusive,
            _ => return Err(Errno::EINVAL),
        };
        let qos = make(link(name).ok_or(Errno::ENETUNREACH)?);
        if let Some(at) = self.known.iter().position(|(known, _)| *known == qos) {
            return Ok(at as u16 + 1);
        }
        if self.known.len() >= self.limit {
            return Err(Errno::EAGAIN);
        }
        self.known.push((qos, text.to_owned()));
        Ok(self.known.len() as u16)
    }

    /// What an index stands for; `None` for one that was not given out.
    pub(crate) fn get(&self, index: u16) -> Option<Qos> {
        match index {
            0 => Some(Qos::LoadBalance),
            _ => self.known.get(usize::from(index) - 1).map(|(qos, _)| *qos),
        }
    }

    /// The text that gave an index.
    pub(crate) fn text(&self, index: u16) -> &str {
        match index {
            0 => "loadbalance",
            _ => self
                .known
                .get(usize::from(index) - 1)
                .map_or("", |(_, text)| text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str) -> Option<LinkId> {
        (name == "en0").then_some(LinkId(3))
    }

    #[test]
    fn what_paths_may_name() {
        let mut table = QosTable::new(2);
        assert_eq!(table.parse("loadbalance", link), Ok(0));
        assert_eq!(table.parse("preferred:en0", link), Ok(1));
        assert_eq!(table.parse("exclusive:en0", link), Ok(2));
        assert_eq!(table.parse("preferred:en0", link), Ok(1));
        assert_eq!(table.parse("exclusive:en7", link), Err(Errno::ENETUNREACH));
        for bad in ["", "preferred", "exclusive", "redundant:en0", "en0", ":"] {
            assert_eq!(table.parse(bad, link), Err(Errno::EINVAL), "{bad}");
        }
        assert_eq!(table.get(0), Some(Qos::LoadBalance));
        assert_eq!(table.get(2), Some(Qos::Exclusive(LinkId(3))));
        assert_eq!(table.get(3), None);
        assert_eq!(table.text(1), "preferred:en0");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = QosTable::new(0);
        assert_eq!(table.parse("preferred:en0", link), Err(Errno::EAGAIN));
    }
}
