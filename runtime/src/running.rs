//! The plugins of one shard as they run: an instance of each, made when it is first needed, rebuilt after a fault, and
//! measured. Whoever calls a plugin goes through here, so that a fault has one place where it is dealt with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use protap_plugin::contract::ParseResult;

use crate::packet::Timestamp;
use crate::pair::Pairing;
use crate::plugin::content::{ContentReader, Fact, Message};
use crate::plugin::instance::{Call, CallError, Instance, ProbeCall};
use crate::plugin::{Plugin, PluginSet};
use crate::summary::LatencyHistogram;

/// One call in so many is timed: reading the clock twice costs about as much as a short call.
const TIMED_CALLS: u64 = 16;

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
    /// Strings that were not UTF-8.
    pub replaced_strings: u64,
    /// Bytes of its memory, at the most.
    pub memory_bytes: u64,
    /// Log lines that were dropped.
    pub log_lines_dropped: u64,
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
        self.replaced_strings += other.replaced_strings;
        self.memory_bytes += other.memory_bytes;
        self.log_lines_dropped += other.log_lines_dropped;
    }
}

/// The plugins of a shard.
#[derive(Debug)]
pub struct RunningPlugins {
    set: Arc<PluginSet>,
    running: Vec<Running>,
}

#[derive(Debug, Default)]
struct Running {
    instance: Option<Instance>,
    /// Counts the instances: a flow's handle is good for one of them only.
    generation: u32,
    stats: PluginStats,
}

/// A flow's handle within an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    handle: u32,
    generation: u32,
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
        let running = set.as_slice().iter().map(|_| Running::default()).collect();
        Self { set, running }
    }

    /// Number of plugins.
    #[must_use]
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// The plugin at `index`.
    #[must_use]
    pub fn plugin(&self, index: usize) -> Option<&Arc<Plugin>> {
        self.set.as_slice().get(index)
    }

    /// What the plugins did, in the set's order.
    pub fn stats(&mut self) -> impl Iterator<Item = &PluginStats> {
        self.running.iter_mut().map(|running| {
            running.measure();
            &running.stats
        })
    }

    /// The contract's `protap_probe`.
    pub fn probe(&mut self, index: usize, call: &ProbeCall<'_>) -> Result<u64, CallError> {
        self.call(index, |instance, _| instance.probe(call))
    }

    /// The contract's `protap_open`.
    pub fn open(&mut self, index: usize, flags: u32, ports: u32) -> Result<Handle, CallError> {
        let handle = self.call(index, |instance, _| instance.open(flags, ports))?;
        if handle == 0 {
            return Err(CallError::Violation("no room for a flow"));
        }
        let generation = self.running.get(index).map_or(0, |running| running.generation);
        Ok(Handle { handle, generation })
    }

    /// Counts a claim.
    pub fn claimed(&mut self, index: usize) {
        if let Some(running) = self.running.get_mut(index) {
            running.stats.claims += 1;
        }
    }

    /// Counts a flow that is the plugin's no more.
    pub fn left(&mut self, index: usize) {
        if let Some(running) = self.running.get_mut(index) {
            running.stats.left += 1;
        }
    }

    /// The contract's `protap_close`. A fault there harms nobody: the flow has ended.
    pub fn close(&mut self, index: usize, handle: Handle) {
        if self.is_current(index, handle) {
            let _ = self.call(index, |instance, _| instance.close(handle.handle));
        }
    }

    /// Whether the handle is one of the running instance.
    #[must_use]
    pub fn is_current(&self, index: usize, handle: Handle) -> bool {
        self.running
            .get(index)
            .is_some_and(|running| running.generation == handle.generation && running.instance.is_some())
    }

    /// The contract's `protap_parse` or `protap_resync`, with the answer read and checked.
    pub fn parse(
        &mut self,
        index: usize,
        kind: CallKind,
        call: ParseArguments<'_>,
        pairing: &mut Option<Box<Pairing>>,
    ) -> Result<Answer, CallError> {
        let mut replaced = 0;
        let answer = self.call(index, |instance, plugin| {
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
            let mut reader = ContentReader::new(memory, &plugin.identity);
            let messages = reader.messages(&result)?;
            let facts = reader.facts(&result)?;
            replaced = reader.replaced_strings;
            Ok(Answer { result, messages, facts })
        });
        if let Some(running) = self.running.get_mut(index) {
            running.stats.replaced_strings += replaced;
        }
        answer
    }

    /// A plugin broke the contract with what it answered: treated as any other fault.
    pub fn fault(&mut self, index: usize, error: &CallError) {
        let Some(running) = self.running.get_mut(index) else { return };
        *running.stats.faults.entry(error.kind()).or_default() += 1;
        running.stop();
        if let Some(plugin) = self.set.as_slice().get(index) {
            tracing::debug!(plugin = %plugin.identity.name, %error, "plugin fault; its instance is rebuilt");
        }
    }

    fn call<T>(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut Instance, &Plugin) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let (Some(running), Some(plugin)) = (self.running.get_mut(index), self.set.as_slice().get(index)) else {
            return Err(CallError::Violation("no such plugin"));
        };
        let instance = match &mut running.instance {
            Some(instance) => instance,
            None => running
                .instance
                .insert(self.set.instantiate(index).map_err(|error| CallError::Trap(error.to_string()))?),
        };
        running.stats.calls += 1;
        let started = running.stats.calls.is_multiple_of(TIMED_CALLS).then(Instant::now);
        let answer = call(instance, plugin);
        if let Some(started) = started {
            running.stats.call_time.record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        if let Err(error) = &answer {
            self.fault(index, error);
        }
        answer
    }
}

impl Running {
    fn measure(&mut self) {
        if let Some(instance) = &mut self.instance {
            self.stats.memory_bytes = self.stats.memory_bytes.max(instance.memory_len());
            self.stats.log_lines_dropped += instance.take_log_lines_dropped();
        }
    }

    fn stop(&mut self) {
        self.measure();
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
}
