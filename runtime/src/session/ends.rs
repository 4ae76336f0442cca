//! Who is at the ends of a flow: processes, once they are known, told by end and by role. The roles are put together once,
//! and not for each record.

use std::sync::Arc;

use super::Session;
use crate::packet::Endpoint;
use crate::record::{FlowEnds, Process, ProcessPair, Processes};

/// The processes of a flow.
#[derive(Debug, Default)]
pub(super) struct EndProcesses {
    /// In the order of the flow's ends.
    pub(super) by_end: ProcessPair,
    /// As records name them: with the flag that says whether the first end is the server.
    by_role: Option<(bool, Arc<Processes>)>,
}

impl EndProcesses {
    /// Who asks and who answers.
    pub(super) fn by_role(&mut self, is_turned: bool) -> &Arc<Processes> {
        let [first, second] = &self.by_end;
        let make = || {
            let (client, server) = if is_turned { (second, first) } else { (first, second) };
            (is_turned, Arc::new(Processes { client: client.clone(), server: server.clone() }))
        };
        if self.by_role.as_ref().is_some_and(|(was_turned, _)| *was_turned != is_turned) {
            self.by_role = None;
        }
        &self.by_role.get_or_insert_with(make).1
    }
}

impl Session {
    /// The ends were the other way round, and nothing has come yet.
    pub fn turn_ends(&mut self) {
        self.ends = (self.ends.1, self.ends.0);
        if let Some(processes) = &mut self.processes {
            processes.by_end.reverse();
            processes.by_role = None;
        }
    }

    /// That end belongs to that process.
    pub fn set_process(&mut self, end: Endpoint, process: &Arc<Process>) {
        let processes = self.processes.get_or_insert_default();
        let [first, second] = &mut processes.by_end;
        let slot = if end == self.ends.0 { first } else { second };
        if slot.as_ref().is_none_or(|known| !Arc::ptr_eq(known, process)) {
            *slot = Some(process.clone());
            processes.by_role = None;
        }
    }

    /// Client and server, as far as is known.
    pub(super) fn ends(&self) -> FlowEnds {
        let (client, server) = if self.is_turned { (self.ends.1, self.ends.0) } else { self.ends };
        FlowEnds { transport: self.transport, client, server }
    }

    /// The ports as plugins are told them.
    pub(super) fn ports(&self) -> u32 {
        let ends = self.ends();
        u32::from(ends.client.port) | u32::from(ends.server.port) << 16
    }
}
