//! The plugins of one shard as they run: an instance of each, made when it is first needed, rebuilt after a fault, and
//! measured. Whoever calls a plugin goes through here; whoever is told that a call failed says on whose bytes it did.

mod slot;
mod stats;

use std::sync::Arc;

use protap_plugin::contract::ParseResult;

use self::slot::Running;
pub use self::slot::{Handle, Standing};
use self::stats::MAX_EXAMPLES;
pub use self::stats::{FaultExample, PluginStats};
use crate::packet::{Endpoint, Timestamp};
use crate::pair::Pairing;
use crate::plugin::content::{ContentReader, Fact, Message, Replaced};
use crate::plugin::deepflow::{Checked, FlowView, HookedMessage};
use crate::plugin::instance::{Call, CallError, Instance, ProbeCall};
use crate::plugin::{Plugin, PluginSet};
use crate::quarantine::{Scene, Verdict};
use crate::record::{Content, Spares};

/// There is none in that slot.
const NO_PLUGIN: CallError = CallError::Violation("no such plugin");
/// Most characters of what went wrong.
const MAX_ERROR: usize = 200;

/// The plugins of a shard.
#[derive(Debug)]
pub struct RunningPlugins {
    set: Arc<PluginSet>,
    running: Vec<Running>,
    /// Slots of plugins that are called for messages of others.
    hooked: Vec<usize>,
    replaced: Replaced,
    /// Room for the messages of the next answer.
    messages: Vec<Message>,
}

/// What a plugin answered to `parse` or `resync`.
#[derive(Debug)]
pub struct Answer {
    /// The fixed part.
    pub result: ParseResult,
    /// Messages in it.
    pub messages: Vec<Message>,
    /// Facts in it.
    pub facts: Vec<Fact>,
}

/// Which of the two calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// `protap_parse`.
    Parse,
    /// `protap_resync`.
    Resync,
}

impl RunningPlugins {
    /// The plugins of a set, none of them started.
    #[must_use]
    pub fn new(set: Arc<PluginSet>) -> Self {
        let running = (0..set.len()).map(|_| Running::default()).collect();
        let hooked = hooked(&set);
        Self { set, running, hooked, replaced: Replaced::default(), messages: Vec::new() }
    }

    /// Takes over another set. Flows of a plugin that was replaced keep its old instance until they let go of it; those of
    /// one that was removed have none. Gives the slots with a plugin that was not there before.
    pub fn replace(&mut self, set: Arc<PluginSet>) -> Vec<usize> {
        let old = std::mem::replace(&mut self.set, set);
        self.running.resize_with(self.set.len(), Running::default);
        self.hooked = hooked(&self.set);
        let mut changed = Vec::new();
        for (index, running) in self.running.iter_mut().enumerate() {
            let is_present = self.set.is_present(index);
            let is_same = match (old.get(index), self.set.get(index)) {
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                _ => false,
            };
            if is_present && !(is_same && old.is_present(index)) {
                changed.push(index);
            }
            if is_same && is_present {
                continue;
            }
            running.replace(old.get(index), is_present);
        }
        changed
    }

    /// Ends the instances that were kept for flows in the middle of a message.
    pub fn retire(&mut self) {
        self.running.iter_mut().for_each(Running::retire);
    }

    /// Whether a slot's plugin is there.
    #[must_use]
    pub fn is_present(&self, index: usize) -> bool {
        self.set.is_present(index)
    }

    /// Slot of the nth plugin that is there, in the order of their names.
    #[must_use]
    pub fn nth(&self, n: usize) -> Option<usize> {
        self.set.in_order().get(n).copied()
    }

    /// Number of slots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether there are no plugins.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.in_order().is_empty()
    }

    /// The plugin in a slot.
    #[must_use]
    pub fn plugin(&self, index: usize) -> Option<&Arc<Plugin>> {
        self.set.get(index)
    }

    /// The plugin that a handle belongs to: the one in the slot, or the one before it.
    #[must_use]
    pub fn plugin_of(&self, index: usize, handle: Handle) -> Option<&Arc<Plugin>> {
        self.running.get(index)?.plugin_before(handle).or_else(|| self.set.get(index))
    }

    /// What the plugins did, in the order of their slots.
    pub fn stats(&mut self) -> impl Iterator<Item = &PluginStats> {
        self.running.iter_mut().map(|running| {
            running.measure();
            &running.stats
        })
    }

    /// The contract's `protap_probe`.
    pub fn probe(&mut self, index: usize, call: &ProbeCall<'_>) -> Result<u64, CallError> {
        self.call(index, None, |instance, _| instance.probe(call))
    }

    /// Slots of plugins that are called for messages of others.
    #[must_use]
    pub fn hooked(&self) -> &[usize] {
        &self.hooked
    }

    /// What a plugin adds to a message that another one parsed.
    pub fn on_message(
        &mut self,
        index: usize,
        message: &HookedMessage<'_>,
        view: &FlowView<'_>,
    ) -> Result<Option<Content>, CallError> {
        self.call(index, None, |instance, _| instance.on_message(message, view))
    }

    /// Asks a plugin that is asked payload by payload.
    pub fn check(&mut self, index: usize, payload: &[u8], view: &FlowView<'_>) -> Result<Option<Checked>, CallError> {
        self.call(index, None, |instance, _| instance.check(payload, view))
    }

    /// The contract's `protap_open`. `tag` is what the plugin claimed the flow with.
    pub fn open(&mut self, index: usize, flags: u32, ports: u32, tag: u32) -> Result<Handle, CallError> {
        let handle = self.call(index, None, |instance, _| match instance {
            Instance::DeepFlow(instance) => Ok(instance.open(Checked::from_tag(tag))),
            instance => instance.open(flags, ports),
        })?;
        if handle == 0 {
            return Err(CallError::Violation("no room for a flow"));
        }
        self.running.get(index).map(|running| running.name(handle)).ok_or(NO_PLUGIN)
    }

    /// Counts something that the plugin did, or that happened to its flows.
    pub fn count(&mut self, index: usize, count: impl FnOnce(&mut PluginStats)) {
        if let Some(running) = self.running.get_mut(index) {
            count(&mut running.stats);
        }
    }

    /// The contract's `protap_close`, if the handle still means anything.
    pub fn close(&mut self, index: usize, handle: Handle) -> Result<(), CallError> {
        if self.standing(index, handle) == Standing::Gone {
            return Ok(());
        }
        self.call(index, Some(handle), |instance, _| instance.close(handle.handle))
    }

    /// What a flow's handle is worth.
    #[must_use]
    pub fn standing(&self, index: usize, handle: Handle) -> Standing {
        self.running.get(index).map_or(Standing::Gone, |running| running.standing(handle))
    }

    /// The contract's `protap_parse` or `protap_resync`, with the answer read and checked.
    pub fn parse(
        &mut self,
        index: usize,
        kind: CallKind,
        call: &ParseArguments<'_>,
        (pairing, spares): (&mut Option<Box<Pairing>>, &mut Spares),
    ) -> Result<Answer, CallError> {
        let (room, replaced) = (&mut self.messages, &mut self.replaced);
        let Some(running) = self.running.get_mut(index) else { return Err(NO_PLUGIN) };
        let answer = running.call((&self.set, index), Some(call.handle), |instance, plugin| {
            if let Instance::DeepFlow(instance) = instance {
                return instance.answer(kind, call);
            }
            let arguments = Call {
                handle: call.handle.handle,
                flags: call.flags,
                offset: call.offset,
                gap: call.gap,
                now: call.now,
            };
            let address = match kind {
                CallKind::Parse => instance.parse(&arguments, call.window, pairing)?,
                CallKind::Resync => instance.resync(&arguments, call.window, pairing)?,
            };
            let memory = instance.memory();
            let result = memory.result(address)?;
            let mut messages = std::mem::take(room);
            messages.clear();
            let mut reader = ContentReader::new(memory, &plugin.identity, replaced, spares);
            reader.messages(&result, &mut messages)?;
            let facts = reader.facts(&result)?;
            Ok(Answer { result, messages, facts })
        });
        let count = std::mem::take(&mut replaced.count);
        if answer.is_ok() {
            running.stats.replaced_strings += count;
        }
        answer
    }

    /// Takes back the room for messages that an answer came with.
    pub fn keep_room(&mut self, messages: Vec<Message>) {
        self.messages = messages;
    }

    /// Gives up the instance that a handle belongs to: an answer of it made no sense.
    pub fn give_up(&mut self, index: usize, handle: Handle) {
        if let Some(running) = self.running.get_mut(index) {
            running.stop(Some(handle));
        }
    }

    /// Counts a call that failed, or whose answer broke the contract. The plugin may be left alone for a while.
    pub fn fault(&mut self, index: usize, error: &CallError, scene: &Scene) {
        let Some(running) = self.running.get_mut(index) else { return };
        let stats = &mut running.stats;
        *stats.faults.entry(error.kind()).or_default() += 1;
        if stats.examples.len() < MAX_EXAMPLES {
            let error = error.to_string().chars().take(MAX_ERROR).collect();
            stats.examples.push(FaultExample { at: scene.at, ends: scene.ends, error });
        }
        let verdict = running.quarantine.observe(scene);
        match verdict {
            Verdict::Flow => {}
            Verdict::Host => stats.host_quarantines += 1,
            Verdict::Plugin => stats.quarantines += 1,
        }
        if let Some(plugin) = self.set.get(index) {
            tracing::debug!(plugin = %plugin.identity.name, %error, closed = ?verdict, "plugin fault");
        }
    }

    /// Whether the plugin is left alone by flows between these ends.
    #[must_use]
    pub fn is_quarantined(&self, index: usize, ends: (Endpoint, Endpoint), now: Timestamp) -> bool {
        self.running.get(index).is_some_and(|running| running.quarantine.is_closed_to(ends, now))
    }

    /// Calls the instance that the handle belongs to; without one, the running one, which is made if need be.
    fn call<T>(
        &mut self,
        index: usize,
        handle: Option<Handle>,
        call: impl FnOnce(&mut Instance, &Plugin) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        match self.running.get_mut(index) {
            Some(running) => running.call((&self.set, index), handle, call),
            None => Err(NO_PLUGIN),
        }
    }
}

fn hooked(set: &PluginSet) -> Vec<usize> {
    let has_hooks = |slot: &usize| set.get(*slot).is_some_and(|plugin| plugin.hooks().has_message_hooks());
    set.in_order().iter().copied().filter(has_hooks).collect()
}

/// Arguments of [`RunningPlugins::parse`].
#[derive(Clone, Copy, Debug)]
pub struct ParseArguments<'a> {
    /// The flow.
    pub handle: Handle,
    /// Bits of [`protap_plugin::contract::flag`].
    pub flags: u32,
    /// Stream offset of the window.
    pub offset: u64,
    /// The window.
    pub window: &'a [u8],
    /// Bytes missing behind it.
    pub gap: u64,
    /// Capture time.
    pub now: Timestamp,
    /// Stream offset where the latest segment begins.
    pub piece_at: u64,
    /// What plugins of the contract are not told.
    pub flow: &'a FlowView<'a>,
}
