//! What is kept of a flow that is a DeepFlow plugin's: how it claimed it, and per direction what it was shown already and
//! which messages it has begun and not ended.

use std::collections::BTreeSet;

use super::Checked;
use super::record::Merge;
use crate::plugin::content::MessagePart;

/// Messages in parts that are open in one direction; further ones are whole. The session has the same bound.
const MAX_PARTS: usize = 256;

/// A flow.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) claimed: Option<Checked>,
    lanes: [Lane; 2],
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Bytes at the window's front that the plugin was shown, and made nothing of.
    pub(super) shown: usize,
    /// The peer has spoken since.
    pub(super) is_turned: bool,
    parts: BTreeSet<u32>,
}

impl Flow {
    pub(super) fn new(claimed: Option<Checked>) -> Self {
        Self { claimed, lanes: [Lane::default(), Lane::default()] }
    }

    /// A direction whose sender speaks now.
    pub(super) fn lane(&mut self, is_response: bool) -> &mut Lane {
        let [request, response] = &mut self.lanes;
        let (lane, other) = if is_response { (response, request) } else { (request, response) };
        other.is_turned = true;
        lane
    }

    /// Which part of a message a record is that says it is one.
    pub(super) fn part(&mut self, is_response: bool, handle: u32, merge: Merge) -> MessagePart {
        let [request, response] = &mut self.lanes;
        let parts = if is_response { &mut response.parts } else { &mut request.parts };
        match merge {
            Merge::Whole => MessagePart::Whole,
            Merge::Last if parts.remove(&handle) => MessagePart::Finish(handle),
            Merge::Last => MessagePart::Whole,
            Merge::Part if parts.contains(&handle) => MessagePart::Amend(handle),
            Merge::Part if parts.len() >= MAX_PARTS => MessagePart::Whole,
            Merge::Part => {
                parts.insert(handle);
                MessagePart::Begin(handle)
            }
        }
    }
}
