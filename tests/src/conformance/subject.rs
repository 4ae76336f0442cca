//! What is checked: a module file that was loaded as the runtime loads it, the instances that are made of it, and the
//! capture that came with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use protap::plugin::instance::Instance;
use protap::plugin::manifest::{Manifest, TransportName};
use protap::plugin::{Plugin, PluginSet};
use protap_plugin::contract::flag;

use crate::artifacts::guest_file;
use crate::engine::wasm_engine;

/// A loaded module and a capture.
#[derive(Debug)]
pub(super) struct Subject {
    plugins: Arc<PluginSet>,
    pub(super) capture: Option<PathBuf>,
}

impl Subject {
    pub(super) fn load(module: &Path, capture: Option<&Path>) -> Result<Self, String> {
        let mut plugins = PluginSet::default();
        plugins.add(Plugin::load(wasm_engine(), &guest_file(module)?).map_err(|error| error.to_string())?);
        let bytes = capture.map(std::fs::metadata).transpose();
        bytes.map_err(|error| format!("cannot read the capture: {error}"))?;
        Ok(Self { plugins: Arc::new(plugins), capture: capture.map(Path::to_owned) })
    }

    pub(super) fn plugin(&self) -> &Plugin {
        self.plugins.get(0).expect("one plugin was loaded")
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.plugin().manifest
    }

    /// The plugin as a set that the engine runs.
    pub(super) fn plugins(&self) -> &Arc<PluginSet> {
        &self.plugins
    }

    pub(super) fn describe(&self) -> String {
        let Manifest { name, version, contract, .. } = self.manifest();
        format!("{name} {version}, contract {contract}")
    }

    /// A fresh instance without options.
    pub(super) fn instance(&self) -> Result<Instance, String> {
        self.plugins.instantiate(0).map_err(|error| error.to_string())
    }

    pub(super) fn window(&self) -> usize {
        self.manifest().window as usize
    }

    pub(super) fn takes(&self, transport: TransportName) -> bool {
        self.manifest().transports.contains(&transport)
    }

    /// Flags of all calls about a flow of its first transport.
    pub(super) fn flow_flags(&self) -> u32 {
        if self.takes(TransportName::Tcp) { 0 } else { flag::DATAGRAM }
    }

    /// Ports of client and server, packed: the server's is the plugin's own.
    pub(super) fn ports(&self) -> u32 {
        50_000 | u32::from(self.manifest().ports.first().copied().unwrap_or(50_001)) << 16
    }
}
