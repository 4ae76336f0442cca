//! Plugins built for DeepFlow's agent, run as they are: another ABI behind the runtime's own calls. Such a module pulls
//! what it wants to know through imports and pushes records back through others; [`DeepFlowInstance`] makes probes and
//! parses of that, and nothing after it knows the difference. docs/deepflow.md says what is supported.

mod adapter;
pub mod context;
mod cut;
pub mod era;
mod exchange;
mod flow;
#[cfg(test)]
mod golden;
mod guest;
pub mod hooks;
mod imports;
mod message;
pub mod messages;
mod poll;
mod protobuf;
pub mod record;
mod settings;
mod view;

use std::path::Path;

use protap_plugin::contract;
use wasmtime::Linker;

pub use self::adapter::DeepFlowInstance;
pub(super) use self::exchange::Exchange;
use self::guest::Guest;
use self::hooks::Hooks;
pub use self::messages::HookedMessage;
pub use self::view::FlowView;
use super::imports::HostState;
use super::manifest::{Manifest, TransportName};
use super::module::{Inspected, ModuleError};
use super::wasm::{CompiledModule, WasmError};

/// What stands in a manifest's `contract` for plugins that keep to DeepFlow's.
pub const CONTRACT: &str = "deepflow";
/// Exports that every plugin has, whatever it is called for.
const REQUIRED: [&str; 5] = ["check_payload", "parse_payload", "on_http_req", "on_http_resp", "get_hook_bitmap"];
/// Bytes of a window: the most that a buffer can be set to.
const WINDOW: u32 = 65_536;
/// Longest name of a plugin.
const MAX_NAME: usize = 64;

/// A compiled module, with what is known of it.
#[derive(Clone, Debug)]
pub struct DeepFlowModule {
    name: String,
    compiled: CompiledModule,
    hooks: Hooks,
    has_http_result: bool,
    has_custom_export: bool,
}

/// What a plugin said when it claimed a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The plugin's own number of the protocol.
    pub number: u8,
    /// Where the protocol's name is kept.
    pub(super) name: usize,
    /// Whether the payload is a response, if the plugin said so.
    pub is_response: Option<bool>,
}

impl Checked {
    /// In one number, for whoever keeps it.
    #[must_use]
    pub fn tag(self) -> u32 {
        let name = u32::try_from(self.name).unwrap_or(u32::MAX).min(0xffff);
        u32::from(self.number) | name << 8
    }

    /// From that number; 0 is none.
    #[must_use]
    pub fn from_tag(tag: u32) -> Option<Self> {
        let [number, ..] = tag.to_le_bytes();
        let name = usize::try_from(tag >> 8).unwrap_or(usize::MAX);
        (number != 0).then_some(Self { number, name, is_response: None })
    }
}

/// Whether a module without a manifest of ours is one for DeepFlow: by what it exports or imports.
#[must_use]
pub fn is_deepflow(module: &Inspected) -> bool {
    let exports = |name: &&str| module.exports.iter().any(|(export, is_function)| export == name && *is_function);
    REQUIRED.iter().filter(|name| exports(name)).count() > 1
        || module.imports.iter().any(|(module, _)| module == imports::MODULE)
}

/// Checks imports and exports.
pub(super) fn check(module: &Inspected) -> Result<(), ModuleError> {
    module.check_size()?;
    let foreign = module.imports.iter().find(|(module, field)| !imports::is_allowed(module, field));
    if let Some((module, field)) = foreign {
        return Err(ModuleError::NotOffered { module: module.clone(), field: field.clone() });
    }
    let exports = |name: &str, is_function: bool| module.exports.contains(&(name.to_owned(), is_function));
    let begins = exports("_start", true) || exports("_initialize", true);
    let missing = REQUIRED.into_iter().find(|name| !exports(name, true));
    let missing = missing.or((!exports("memory", false)).then_some("memory")).or((!begins).then_some("_start"));
    missing.map_or(Ok(()), |name| Err(ModuleError::NoDeepFlowExport(name)))
}

/// Defines what such a module may import.
pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    imports::define(linker)
}

impl DeepFlowModule {
    /// Starts the module once, to learn what it wants to be called for.
    pub(super) fn new(name: String, inspected: &Inspected, compiled: CompiledModule) -> Result<Self, WasmError> {
        let imports = |field: &str| inspected.imports.iter().any(|(_, import)| import == field);
        let has_custom_export = inspected.exports.iter().any(|(name, _)| name == "get_custom_message_hook");
        let has_http_result = imports(imports::HTTP_RESULT);
        let mut module = Self { name, compiled, hooks: Hooks::default(), has_http_result, has_custom_export };
        module.hooks = Guest::start(&module.compiled, &module.name, module.exchange())?.hooks();
        Ok(module)
    }

    /// What it wants to be called for.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// What its imports and exports say of its era, before any record does.
    #[must_use]
    pub fn era_hint(&self) -> &'static str {
        match (self.has_http_result, self.has_custom_export) {
            (true, _) => "L0 or L1",
            (false, true) => "L3 or later",
            (false, false) => "L0 to L3",
        }
    }

    /// An instance.
    pub(super) fn instantiate(&self) -> Result<DeepFlowInstance, WasmError> {
        let guest = Guest::start(&self.compiled, &self.name, self.exchange())?;
        Ok(DeepFlowInstance::new(self.clone(), guest))
    }

    fn exchange(&self) -> Exchange {
        Exchange::new(self.has_http_result)
    }

    /// What stands in for the manifest that such a module has not. One that does not want payloads claims no flow.
    pub(super) fn manifest(&self) -> Manifest {
        let transports = [TransportName::Tcp, TransportName::Udp];
        Manifest {
            contract: CONTRACT.to_owned(),
            name: self.name.clone(),
            version: CONTRACT.to_owned(),
            protocols: vec![self.name.clone()],
            transports: if self.hooks.payload { transports.to_vec() } else { Vec::new() },
            ports: Vec::new(),
            window: WINDOW.min(contract::MAX_WINDOW),
            attributes: Vec::new(),
            facts: Vec::new(),
            options: settings::options(),
            decodes: Vec::new(),
        }
    }
}

/// A plugin is called as its file is.
pub(super) fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-+/".contains(c);
    let name: String = stem.chars().map(|c| if is_name(c) { c } else { '_' }).take(MAX_NAME).collect();
    if name.is_empty() { CONTRACT.to_owned() } else { name }
}
