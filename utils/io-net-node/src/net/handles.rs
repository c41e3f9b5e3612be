//! What programs have open below the mount.

use crate::files::message::Entry;
use crate::files::remote::RemoteFile;
use std::collections::HashMap;
use std::sync::Arc;

/// Something open.
#[derive(Clone, Debug)]
pub(super) enum Handle {
    /// A file of a node.
    File(Arc<RemoteFile>),
    /// A directory as it was when it was opened.
    Directory(Arc<Vec<Entry>>),
}

/// All that is open, by number.
#[derive(Debug, Default)]
pub(super) struct Handles {
    last: u64,
    open: HashMap<u64, Handle>,
}

impl Handles {
    /// Keeps it; its number.
    pub(super) fn put(&mut self, handle: Handle) -> u64 {
        self.last += 1;
        self.open.insert(self.last, handle);
        self.last
    }

    /// What a number is.
    #[must_use]
    pub(super) fn get(&self, number: u64) -> Option<Handle> {
        self.open.get(&number).cloned()
    }

    /// The file that a number is.
    #[must_use]
    pub(super) fn file(&self, number: u64) -> Option<Arc<RemoteFile>> {
        match self.get(number)? {
            Handle::File(file) => Some(file),
            Handle::Directory(_) => None,
        }
    }

    /// Lets go of it.
    pub(super) fn take(&mut self, number: u64) -> Option<Handle> {
        self.open.remove(&number)
    }
}
