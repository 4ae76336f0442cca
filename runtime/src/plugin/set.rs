//! The plugins in use. Each has a slot, and the slot's index is how the rest of the runtime names the plugin: it stays the
//! same as long as the run lasts, also when the plugin is replaced by a newer one or removed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::instance::Instance;
use super::manifest::TransportName;
use super::wasm::WasmError;
use super::{Code, LoadError, Plugin};

/// Options for a plugin: keys and values.
pub type PluginOptions = Vec<(String, String)>;

/// Plugins in use.
#[derive(Clone, Debug, Default)]
pub struct PluginSet {
    slots: Vec<Slot>,
    /// Slots of the plugins that are there, by name.
    order: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Slot {
    plugin: Arc<Plugin>,
    options: PluginOptions,
    is_present: bool,
}

/// What became of a plugin in a set.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is new.
    Added(Arc<Plugin>),
    /// The second one is in the place of the first.
    Replaced(Arc<Plugin>, Arc<Plugin>),
    /// It is gone.
    Removed(Arc<Plugin>),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = |plugin: &Plugin| format!("{} {}", plugin.identity.name, plugin.identity.version);
        match self {
            Self::Added(plugin) => write!(f, "plugin {} added from {}", title(plugin), plugin.path.display()),
            Self::Replaced(old, new) => {
                write!(f, "plugin {} replaced by {} from {}", title(old), title(new), new.path.display())
            }
            Self::Removed(plugin) => {
                write!(f, "plugin {} removed, as {} is gone", title(plugin), plugin.path.display())
            }
        }
    }
}

impl PluginSet {
    /// Number of slots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no slots.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The plugin in a slot, also if it was removed.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&Arc<Plugin>> {
        self.slots.get(slot).map(|slot| &slot.plugin)
    }

    /// Whether a slot's plugin is there.
    #[must_use]
    pub fn is_present(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|slot| slot.is_present)
    }

    /// Slots of the plugins that are there, in the order of their names.
    #[must_use]
    pub fn in_order(&self) -> &[usize] {
        &self.order
    }

    /// The plugins that are there, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.order.iter().filter_map(|slot| self.get(*slot))
    }

    /// Whether any of those that are there reads datagrams.
    #[must_use]
    pub fn reads_datagrams(&self) -> bool {
        self.iter().any(|plugin| plugin.manifest.transports.contains(&TransportName::Udp))
    }

    /// Slot of the plugin with that name, if it is there.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.order.iter().copied().find(|slot| self.get(*slot).is_some_and(|plugin| plugin.identity.name == name))
    }

    /// Adds a plugin; gives the one of the same name that was there first, in which case nothing is added.
    pub fn add(&mut self, plugin: Plugin) -> Option<Arc<Plugin>> {
        if let Some(twin) = self.position(&plugin.identity.name) {
            return self.get(twin).cloned();
        }
        self.put(Arc::new(plugin));
        self.sort();
        None
    }

    /// Sets the options of the plugin with that name; `false` if there is none.
    pub fn set_options(&mut self, name: &str, options: PluginOptions) -> bool {
        let slot = self.position(name).and_then(|slot| self.slots.get_mut(slot));
        slot.map(|slot| slot.options = options).is_some()
    }

    /// Makes and configures an instance of each plugin once, so that what is wrong with one shows before capture.
    pub fn check(&self) -> Result<(), LoadError> {
        self.order.iter().try_for_each(|slot| self.instantiate(*slot).map(drop))
    }

    /// A new, configured instance of the plugin in a slot.
    pub fn instantiate(&self, slot: usize) -> Result<Instance, LoadError> {
        match self.slots.get(slot) {
            Some(Slot { plugin, options, .. }) => plugin.instantiate(options),
            None => Err(LoadError::EmptyFolder { path: PathBuf::new() }),
        }
    }

    /// The options of the plugin with that name, whether it is there or not.
    #[must_use]
    pub fn options_of(&self, name: &str) -> &[(String, String)] {
        let slot = self.slots.iter().find(|slot| slot.plugin.identity.name == name);
        slot.map_or(&[], |slot| &slot.options)
    }

    /// The set with these plugins in place of its own, and what that changes. Of several with one name the first counts.
    #[must_use]
    pub fn updated(&self, plugins: &[Arc<Plugin>]) -> (Self, Vec<Change>) {
        let mut set = self.clone();
        let mut changes = Vec::new();
        let find = |name: &str| plugins.iter().find(|plugin| plugin.identity.name == name);
        for slot in &mut set.slots {
            let was_present = slot.is_present;
            let wanted = find(&slot.plugin.identity.name);
            slot.is_present = wanted.is_some();
            let old = match wanted {
                Some(plugin) => std::mem::replace(&mut slot.plugin, plugin.clone()),
                None => slot.plugin.clone(),
            };
            match (was_present, wanted) {
                (false, Some(plugin)) => changes.push(Change::Added(plugin.clone())),
                (true, Some(plugin)) if !Arc::ptr_eq(&old, plugin) => {
                    changes.push(Change::Replaced(old, plugin.clone()));
                }
                (true, None) => changes.push(Change::Removed(old)),
                (true, Some(_)) | (false, None) => {}
            }
        }
        for plugin in plugins {
            if !set.slots.iter().any(|slot| slot.plugin.identity.name == plugin.identity.name) {
                set.put(plugin.clone());
                changes.push(Change::Added(plugin.clone()));
            }
        }
        set.sort();
        (set, changes)
    }

    fn put(&mut self, plugin: Arc<Plugin>) {
        self.slots.push(Slot { plugin, options: PluginOptions::new(), is_present: true });
    }

    fn sort(&mut self) {
        let mut present: Vec<_> = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_present).collect();
        present.sort_by(|(_, a), (_, b)| a.plugin.identity.name.cmp(&b.plugin.identity.name));
        self.order = present.into_iter().map(|(slot, _)| slot).collect();
    }
}

impl Plugin {
    /// Makes an instance without options, so that what is wrong with the plugin shows.
    pub fn check(&self) -> Result<(), LoadError> {
        self.instantiate(&[]).map(drop)
    }

    /// A new instance with these options.
    pub(super) fn instantiate(&self, options: &[(String, String)]) -> Result<Instance, LoadError> {
        let refused = |source| LoadError::Wasm { path: self.path.clone(), source };
        let mut instance = match &self.code {
            Code::Wasm(module) => module
                .instantiate(self.manifest.input_len())
                .map(|instance| Instance::Wasm(Box::new(instance)))
                .map_err(refused)?,
            Code::DeepFlow(module) => {
                module.instantiate().map(|instance| Instance::DeepFlow(Box::new(instance))).map_err(refused)?
            }
            Code::Native(factory) => Instance::Native(factory.instantiate()),
        };
        match instance.configure(options) {
            Ok(None) => Ok(instance),
            Ok(Some(option)) => {
                let (key, value) = options.get(option).cloned().unwrap_or_default();
                Err(LoadError::Option { plugin: self.identity.name.clone(), key, value })
            }
            Err(fault) => Err(refused(WasmError::Start(fault.to_string()))),
        }
    }
}
