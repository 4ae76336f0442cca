//! One plugin as it runs: its instance, the one before it while flows hold on to that, and what is known of its faults.

use std::sync::Arc;
use std::time::Instant;

use super::NO_PLUGIN;
use super::stats::PluginStats;
use crate::plugin::deepflow::era::Era;
use crate::plugin::instance::{CallError, Instance};
use crate::plugin::{Plugin, PluginSet};
use crate::quarantine::Quarantine;

/// One call in so many is timed: reading the clock twice costs about as much as a short call.
const TIMED_CALLS: u64 = 16;

/// A slot for a plugin.
#[derive(Debug, Default)]
pub(super) struct Running {
    instance: Option<Instance>,
    /// Counts the instances: a flow's handle is good for one of them only.
    generation: u32,
    /// The instance before the plugin was replaced, for flows in the middle of a message.
    retiring: Option<Retiring>,
    pub(super) quarantine: Quarantine,
    pub(super) stats: PluginStats,
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
    pub(super) handle: u32,
    generation: u32,
}

impl Handle {
    /// The instance's own number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.handle
    }
}

impl Running {
    /// The instance's name for a flow that it opened.
    pub(super) fn name(&self, handle: u32) -> Handle {
        Handle { handle, generation: self.generation }
    }

    pub(super) fn standing(&self, handle: Handle) -> Standing {
        if self.generation == handle.generation && self.instance.is_some() {
            Standing::Current
        } else if self.retiring(handle).is_some() {
            Standing::Retiring
        } else {
            Standing::Gone
        }
    }

    /// The plugin before the one in the slot, if the handle belongs to it.
    pub(super) fn plugin_before(&self, handle: Handle) -> Option<&Arc<Plugin>> {
        self.retiring(handle).map(|retiring| &retiring.plugin)
    }

    fn retiring(&self, handle: Handle) -> Option<&Retiring> {
        self.retiring.as_ref().filter(|retiring| retiring.generation == handle.generation)
    }

    /// Another plugin is in the slot now, or none. The instance of the one `before` is kept until it is
    /// [retired](Self::retire), if it has a successor.
    pub(super) fn replace(&mut self, before: Option<&Arc<Plugin>>, has_successor: bool) {
        self.measure();
        let generation = self.generation;
        let instance = self.instance.take();
        self.generation = generation.wrapping_add(1);
        self.quarantine = Quarantine::default();
        self.retiring = match (instance, before) {
            (Some(instance), Some(plugin)) if has_successor => {
                Some(Retiring { plugin: plugin.clone(), instance, generation })
            }
            _ => None,
        };
    }

    /// Ends the instance that was kept for flows in the middle of a message.
    pub(super) fn retire(&mut self) {
        self.retiring = None;
    }

    /// Calls the instance that the handle belongs to; without one, the running one, which is made if need be.
    #[inline]
    pub(super) fn call<T>(
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

    /// Takes what the instance counted itself.
    pub(super) fn measure(&mut self) {
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
    pub(super) fn stop(&mut self, handle: Option<Handle>) {
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
