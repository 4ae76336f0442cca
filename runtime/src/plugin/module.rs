//! What a module file is, read from its bytes before anything is compiled: its manifest, its imports and exports, its
//! size. What the contract forbids is refused here, by name.

use std::io::Read;
use std::path::Path;

use protap_plugin::contract::{self, name};
use thiserror::Error;
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use super::deepflow::{self, is_deepflow};
use super::imports::is_allowed;

/// Largest module file, in bytes: a compiler's time and memory grow with it.
pub const MAX_MODULE: u64 = 16 << 20;
/// Most functions in a module.
pub const MAX_FUNCTIONS: u32 = 50_000;

/// Functions that every plugin exports.
const REQUIRED: [&str; 7] =
    [name::INPUT, name::CONFIGURE, name::PROBE, name::OPEN, name::CLOSE, name::PARSE, name::RESYNC];

/// What is wrong with a module file.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ModuleError {
    /// Not Wasm at all, or broken.
    #[error("not a WebAssembly module: {0}")]
    NotWasm(String),
    /// A component.
    #[error("a WebAssembly component, not a core module; build it for wasm32-unknown-unknown")]
    Component,
    /// No manifest.
    #[error("not a protap plugin: it has no custom section `{}`", contract::MANIFEST_SECTION)]
    NoManifest,
    /// An export is missing.
    #[error("it does not export `{0}`, which contract {version} requires", version = contract::VERSION)]
    MissingExport(String),
    /// An import is not of DeepFlow's ABI.
    #[error("a DeepFlow plugin, but it imports `{module}.{field}`, which neither that ABI nor WASI preview 1 has")]
    NotOffered {
        /// Module of the import.
        module: String,
        /// Name of the import.
        field: String,
    },
    /// An export of DeepFlow's ABI is missing.
    #[error("a DeepFlow plugin, but it does not export `{0}`")]
    NoDeepFlowExport(&'static str),
    /// An import is not of the contract.
    #[error("it imports `{module}.{field}`, which contract {} does not offer", contract::VERSION)]
    ForbiddenImport {
        /// Module of the import.
        module: String,
        /// Name of the import.
        field: String,
    },
    /// Too large.
    #[error("its {what} of {found} is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// What was read of a module.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The manifest's JSON.
    pub manifest: Vec<u8>,
    /// Imports, module and name.
    pub imports: Vec<(String, String)>,
    /// Exports by name; `true` for functions.
    pub exports: Vec<(String, bool)>,
    /// Number of functions with a body.
    pub functions: u32,
    /// Size of the file.
    pub bytes: u64,
    /// It has a manifest.
    pub has_manifest: bool,
}

/// What a module keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// Our contract.
    Protap,
    /// That of DeepFlow's agent.
    DeepFlow,
}

/// Reads a module file, but never more than a module may be long.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let len = file.metadata()?.len().min(MAX_MODULE);
    let mut bytes = Vec::with_capacity(usize::try_from(len + 1).unwrap_or(0));
    file.take(MAX_MODULE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the outline of a module.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, ModuleError> {
    let not_wasm = |error: wasmparser::BinaryReaderError| {
        ModuleError::NotWasm(error.message().lines().next().unwrap_or_default().to_owned())
    };
    let mut found = Inspected { bytes: bytes.len() as u64, ..Inspected::default() };
    if found.bytes > MAX_MODULE {
        return Err(ModuleError::TooLarge { what: "size", found: found.bytes, limit: MAX_MODULE });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(ModuleError::NotWasm("it does not begin with Wasm's magic number".to_owned()));
    }
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(not_wasm)? {
            Payload::Version { encoding: wasmparser::Encoding::Component, .. } => return Err(ModuleError::Component),
            Payload::CustomSection(section) if section.name() == contract::MANIFEST_SECTION => {
                // A linker may put several pieces into one section, never several sections of one name.
                found.manifest = section.data().to_vec();
                found.has_manifest = true;
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(not_wasm)?;
                    let is_function = matches!(import.ty, TypeRef::Func(_));
                    let field =
                        if is_function { import.name.to_owned() } else { format!("{} (not a function)", import.name) };
                    found.imports.push((import.module.to_owned(), field));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(not_wasm)?;
                    found.exports.push((export.name.to_owned(), export.kind == ExternalKind::Func));
                }
            }
            Payload::CodeSectionStart { count, .. } => found.functions = count,
            _ => {}
        }
    }
    if found.has_manifest || is_deepflow(&found) { Ok(found) } else { Err(ModuleError::NoManifest) }
}

impl Inspected {
    /// What the module keeps to: its manifest says so; without one, it was found to be DeepFlow's.
    #[must_use]
    pub fn abi(&self) -> Abi {
        if self.has_manifest { Abi::Protap } else { Abi::DeepFlow }
    }

    pub(super) fn check_size(&self) -> Result<(), ModuleError> {
        if self.functions > MAX_FUNCTIONS {
            let (found, limit) = (u64::from(self.functions), u64::from(MAX_FUNCTIONS));
            return Err(ModuleError::TooLarge { what: "number of functions", found, limit });
        }
        Ok(())
    }

    /// Checks imports, exports and size against the contract, or DeepFlow's ABI.
    pub fn check(&self) -> Result<(), ModuleError> {
        if self.abi() == Abi::DeepFlow {
            return deepflow::check(self);
        }
        self.check_size()?;
        if let Some((module, field)) = self.imports.iter().find(|(module, field)| !is_allowed(module, field)) {
            return Err(ModuleError::ForbiddenImport { module: module.clone(), field: field.clone() });
        }
        let exports = |name: &str, is_function: bool| {
            self.exports.iter().any(|(found, function)| found == name && *function == is_function)
        };
        if let Some(missing) = REQUIRED.into_iter().find(|name| !exports(name, true)) {
            return Err(ModuleError::MissingExport(missing.to_owned()));
        }
        if !exports("memory", false) {
            return Err(ModuleError::MissingExport("memory".to_owned()));
        }
        Ok(())
    }
}
