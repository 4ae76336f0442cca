//! The plugins of one shard as they run: an instance of each, made when it is first needed, rebuilt after a fault, and
//! measured. Whoever calls a plugin goes through here; whoever is told that a call failed says on whose bytes it did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use protap_plugin::contract::ParseResult;

use crate::packet::{Endpoint, Timestamp};
use crate::pair::Pairing;
use crate::plugin::content::{ContentReader, Fact, Message, Replaced};
use crate::plugin::deepflow::era::Era;
use crate::plugin::deepflow::{Checked, FlowView, HookedMessage};
use crate::plugin::instance::{Call, CallError, Instance, ProbeCall};
use crate::plugin::{Plugin, PluginSet};
use crate::quarantine::{Quarantine, Scene, Verdict};
use crate::record::{Content, Spares};
use crate::summary::LatencyHistogram;

/// One call in so many is timed: reading the clock twice costs about as much as a short call.
const TIMED_CALLS: u64 = 16;
/// Faults of a plugin that are told in full.
const MAX_EXAMPLES: usize = 8;
/// There is none in that slot.
const NO_PLUGIN: CallError = CallError::Violation("no such plugin");
/// Most characters of what went wrong.
const MAX_ERROR: usize = 200;

/// What a plugin did in this shard.
#[derive(Debug, Default)]
pub struct PluginStats {
    /// Calls into it.
    pub calls: u64,
    /// How long the timed ones took.
    pub call_time: LatencyHistogram,
    /// Flows that it claimed.
    pub claims: u64,
    /// Of them, those that are its own no more: it gave them up, handed them over or lost them.
    pub left: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The first faults, by time.
    pub examples: Vec<FaultExample>,
    /// Times that all flows of a shard were closed to it for a while.
    pub quarantines: u64,
    /// Times that a host's flows were.
    pub host_quarantines: u64,
    /// Records that made no sense and answers that there are not, which are no faults: of DeepFlow plugins.
    pub errors: u64,
    /// The era of a DeepFlow plugin's records, once one told.
    pub era: Option<&'static str>,
    /// Strings that were not UTF-8.
    pub replaced_strings: u64,
    /// Bytes of its memory, at the most.
    pub memory_bytes: u64,
    /// Log lines that were dropped.
    pub log_lines_dropped: u64,
    /// Places where streams of its flows miss bytes.
    pub gaps: u64,
    /// Bytes missing in parts of messages that it skipped anyway.
    pub truncated_bytes: u64,
    /// Times that a frame's start had to be looked for in its flows.
    pub resyncs: u64,
}

impl PluginStats {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.call_time.merge(&other.call_time);
        self.claims += other.claims;
        self.left += other.left;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.examples.extend(other.examples.iter().cloned());
        self.examples.sort();
        self.examples.truncate(MAX_EXAMPLES);
        self.quarantines += other.quarantines;
        self.host_quarantines += other.host_quarantines;
        self.errors += other.errors;
        self.era = self.era.max(other.era);
        self.replaced_strings += other.replaced_strings;
        self.memory_bytes += other.memory_bytes;
        self.log_lines_dropped += other.log_lines_dropped;
        self.gaps += other.gaps;
        self.truncated_bytes += other.truncated_bytes;
        self.resyncs += other.resyncs;
    }
}

/// A fault, for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultExample {
    /// When.
    pub at: Timestamp,
    /// Both ends of the flow; the first one opened it or spoke first.
    pub ends: (Endpoint, Endpoint),
    /// What went wrong.
    pub error: String,
}

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

#[derive(Debug, Default)]
struct Running {
    instance: Option<Instance>,
    /// Counts the instances: a flow's handle is good for one of them only.
    generation: u32,
    /// The instance before the plugin was replaced, for flows in the middle of a message.
    retiring: Option<Retiring>,
    quarantine: Quarantine,
    stats: PluginStats,
}

#[derive(Debug)]
struct Retiring {
    plugin: Arc<Plugin>,
    instance: Instance,
    generation: u32,
}

/// What a flow's handle is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is one of the running instance.
    Current,
    /// It is one of an instance that makes room for its successor.
    Retiring,
    /// The instance is no more.
    Gone,
}

/// A flow's handle within an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    handle: u32,
    generation: u32,
}

impl Handle {
    /// The instance's own number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.handle
    }
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
            running.measure();
            let generation = running.generation;
            let instance = running.instance.take();
            running.generation = generation.wrapping_add(1);
            running.quarantine = Quarantine::default();
            running.retiring = match (instance, old.get(index)) {
                (Some(instance), Some(plugin)) if is_present => {
                    Some(Retiring { plugin: plugin.clone(), instance, generation })
                }
                _ => None,
            };
        }
        changed
    }

    /// Ends the instances that were kept for flows in the middle of a message.
    pub fn retire(&mut self) {
        self.running.iter_mut().for_each(|running| running.retiring = None);
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
        let running = self.running.get(index)?;
        let retiring = running.retiring.as_ref().filter(|retiring| retiring.generation == handle.generation);
        retiring.map(|retiring| &retiring.plugin).or_else(|| self.set.get(index))
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
        let generation = self.running.get(index).map_or(0, |running| running.generation);
        Ok(Handle { handle, generation })
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
        let Some(running) = self.running.get(index) else { return Standing::Gone };
        let is_retiring = |retiring: &Retiring| retiring.generation == handle.generation;
        if running.generation == handle.generation && running.instance.is_some() {
            Standing::Current
        } else if running.retiring.as_ref().is_some_and(is_retiring) {
            Standing::Retiring
        } else {
            Standing::Gone
        }
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

impl Running {
    /// See [`RunningPlugins::call`].
    #[inline]
    fn call<T>(
        &mut self,
        (set, index): (&PluginSet, usize),
        handle: Option<Handle>,
        call: impl FnOnce(&mut Instance, &Plugin) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let Some(plugin) = set.get(index) else { return Err(NO_PLUGIN) };
        let is_retiring =
            |retiring: &&mut Retiring| Some(retiring.generation) == handle.map(|handle| handle.generation);
        let (instance, plugin) = match (self.retiring.as_mut().filter(is_retiring), &mut self.instance) {
            (Some(retiring), _) => (&mut retiring.instance, &retiring.plugin),
            (None, Some(instance)) => (instance, plugin),
            (None, empty) => {
                let instance = set.instantiate(index).map_err(|error| CallError::Trap(error.to_string()))?;
                (empty.insert(instance), plugin)
            }
        };
        self.stats.calls += 1;
        let started = self.stats.calls.is_multiple_of(TIMED_CALLS).then(Instant::now);
        let answer = call(instance, plugin);
        if let Some(started) = started {
            self.stats.call_time.record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        if answer.is_err() {
            self.stop(handle);
        }
        answer
    }

    fn measure(&mut self) {
        if let Some(instance) = &mut self.instance {
            self.stats.memory_bytes = self.stats.memory_bytes.max(instance.memory_len());
            self.stats.log_lines_dropped += instance.take_log_lines_dropped();
            if let Instance::DeepFlow(instance) = instance {
                self.stats.errors += instance.take_errors();
                self.stats.replaced_strings += instance.take_replaced_strings();
                self.stats.era = instance.era().map(Era::name).or(self.stats.era);
            }
        }
    }

    /// Gives up an instance: the one of that handle, or the running one.
    fn stop(&mut self, handle: Option<Handle>) {
        let generation = handle.map_or(self.generation, |handle| handle.generation);
        self.retiring.take_if(|retiring| retiring.generation == generation);
        if generation != self.generation {
            return;
        }
        self.measure();
        // A DeepFlow plugin's flows are not in its guest, which is made anew without them.
        if let Some(Instance::DeepFlow(instance)) = &mut self.instance {
            return instance.drop_guest();
        }
        self.instance = None;
        self.generation = self.generation.wrapping_add(1);
    }
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
