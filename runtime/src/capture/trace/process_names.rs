//! Processes by id, name and where their bytes are seen: each told once, and shared by all that is said of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::Event;
use crate::record::{Process, Via};

/// Processes known by name; beyond, all are forgotten and learned anew.
const PROCESSES: usize = 65_536;

/// The processes whose calls were seen.
#[derive(Debug, Default)]
pub(super) struct ProcessNames {
    known: HashMap<(u32, [u8; 16], Via), Arc<Process>>,
}

impl ProcessNames {
    /// Whose event it is.
    pub(super) fn of(&mut self, event: &Event) -> Arc<Process> {
        if self.known.len() >= PROCESSES {
            self.known.clear();
        }
        let via = event.via();
        let make = || Arc::new(Process { pid: event.tgid, comm: event.comm().into_owned(), via });
        self.known.entry((event.tgid, event.comm, via)).or_insert_with(make).clone()
    }
}
