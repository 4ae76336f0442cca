//! What of a flow only plugins of this ABI are told: addresses, a name for the flow, processes.

use super::context::{Base, NO_EBPF, TLS_UPROBE, TRACEPOINT};
use crate::packet::{Endpoint, Timestamp, Transport};
use crate::record::{ProcessPair, Via};

/// Whose payload a call is about.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    /// Names the flow, in the whole run.
    pub id: u64,
    /// TCP or UDP.
    pub transport: Transport,
    /// Both ends; as for the session, the first one opened the flow or spoke first.
    pub ends: (Endpoint, Endpoint),
    /// Their processes, if known.
    pub processes: Option<&'a ProcessPair>,
    /// The first end sent the payload.
    pub is_from_first: bool,
    /// It goes from server to client, as far as is known.
    pub is_response: bool,
    /// Capture time.
    pub now: Timestamp,
}

impl FlowView<'_> {
    /// The call context.
    pub(super) fn base(&self, l7: u8, buf_size: u16) -> Base<'_> {
        let (first, second) = self.ends;
        let (source, destination) = if self.is_from_first { (first, second) } else { (second, first) };
        // The process that sent it or, if that was not seen, the one that received it.
        let process = self.processes.and_then(|[first, second]| {
            let (sender, receiver) = if self.is_from_first { (first, second) } else { (second, first) };
            sender.as_ref().or(receiver.as_ref())
        });
        let ebpf_type = match process.map(|process| process.via) {
            Some(Via::Tls | Via::LikelyTls) => TLS_UPROBE,
            _ if self.processes.is_some() => TRACEPOINT,
            _ => NO_EBPF,
        };
        Base {
            source,
            destination,
            transport: self.transport,
            l7,
            ebpf_type,
            now: self.now,
            is_response: self.is_response,
            process: process.map_or("", |process| &process.comm),
            flow_id: self.id,
            buf_size,
        }
    }
}
