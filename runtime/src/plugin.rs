//! Plugins: from a path to checked, compiled modules, and from those to instances that parse. A plugin is described
//! by the manifest in its own file; the runtime knows no protocol.

pub mod cache;
pub mod content;
mod context;
pub mod deepflow;
pub mod imports;
pub mod instance;
pub mod manifest;
pub mod module;
pub mod native;
pub mod set;
pub mod wasm;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use self::deepflow::DeepFlowModule;
use self::deepflow::hooks::Hooks;
use self::manifest::{Manifest, ManifestError};
use self::module::{Abi, Inspected, ModuleError};
use self::native::NativeFactory;
pub use self::set::{PluginOptions, PluginSet};
use self::wasm::{CompiledModule, WasmEngine, WasmError};
use crate::record::PluginIdentity;

/// One loaded plugin, shared by all workers.
#[derive(Debug)]
pub struct Plugin {
    /// Names for records.
    pub identity: Arc<PluginIdentity>,
    /// What the plugin says of itself.
    pub manifest: Manifest,
    /// Where it was loaded from; empty for a plugin linked into this program.
    pub path: PathBuf,
    code: Code,
}

#[derive(Debug)]
enum Code {
    Wasm(CompiledModule),
    DeepFlow(Box<DeepFlowModule>),
    Native(NativeFactory),
}

/// Why a plugin was not loaded. One line each, for people.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file or folder cannot be read.
    #[error("cannot read {path}: {source}; check the path given with --plugin", path = .path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it could not.
        source: std::io::Error,
    },
    /// A folder holds no plugin.
    #[error("no .wasm file in {path}; build plugins into it, or name another with --plugin or PROTAP_PLUGIN_PATH", path = .path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The file is not a module that the contract allows.
    #[error("refused {path}: {source}", path = .path.display())]
    Module {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ModuleError,
    },
    /// The manifest is missing or wrong.
    #[error("refused {path}: {source}", path = .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// It does not compile, or its start fails.
    #[error("refused {path}: {source}", path = .path.display())]
    Wasm {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: WasmError,
    },
    /// An option was given that the plugin does not have or does not accept.
    #[error("plugin {plugin} refused option {key}={value}; `protap plugins inspect` lists its options")]
    Option {
        /// The plugin's name.
        plugin: String,
        /// Option key.
        key: String,
        /// Option value.
        value: String,
    },
}

impl Plugin {
    /// Loads one module file.
    pub fn load(engine: &WasmEngine, path: &Path) -> Result<Self, LoadError> {
        let path = path.to_owned();
        let bytes = module::read(&path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
        let inspected = module::inspect(&bytes).map_err(|source| LoadError::Module { path: path.clone(), source })?;
        if inspected.abi() == Abi::DeepFlow {
            return Self::load_deepflow(engine, path, &bytes, &inspected);
        }
        let manifest = Manifest::parse(&inspected.manifest)
            .map_err(|source| LoadError::Manifest { path: path.clone(), source })?;
        inspected.check().map_err(|source| LoadError::Module { path: path.clone(), source })?;
        let identity = Arc::new(manifest.identity());
        let compiled = engine
            .compile(&identity.name, &bytes, &inspected)
            .map_err(|source| LoadError::Wasm { path: path.clone(), source })?;
        Ok(Self { identity, manifest, path, code: Code::Wasm(compiled) })
    }

    /// A module that was built for DeepFlow.
    fn load_deepflow(
        engine: &WasmEngine,
        path: PathBuf,
        bytes: &[u8],
        inspected: &Inspected,
    ) -> Result<Self, LoadError> {
        inspected.check().map_err(|source| LoadError::Module { path: path.clone(), source })?;
        let refused = |source| LoadError::Wasm { path: path.clone(), source };
        let name = deepflow::name_of(&path);
        let compiled = engine.compile(&name, bytes, inspected).map_err(refused)?;
        let module = DeepFlowModule::new(name, inspected, compiled).map_err(refused)?;
        let manifest = module.manifest();
        Ok(Self { identity: Arc::new(manifest.identity()), manifest, path, code: Code::DeepFlow(Box::new(module)) })
    }

    /// The module, if the plugin was built for DeepFlow.
    #[must_use]
    pub fn deepflow(&self) -> Option<&DeepFlowModule> {
        if let Code::DeepFlow(module) = &self.code { Some(module) } else { None }
    }

    /// What the plugin keeps to, for people. `era` is that of a DeepFlow plugin's records, once known.
    #[must_use]
    pub fn abi(&self, era: Option<&str>) -> String {
        match (self.deepflow(), era) {
            (None, _) => format!("protap {}", self.manifest.contract),
            (Some(_), Some(era)) => format!("deepflow {era}"),
            (Some(_), None) => "deepflow".to_owned(),
        }
    }

    /// What it is called for of what others parsed.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.deepflow().map_or_else(Hooks::default, DeepFlowModule::hooks)
    }

    /// A plugin that is linked into this program: for tests and benches.
    pub fn native(factory: NativeFactory) -> Result<Self, ManifestError> {
        let manifest = Manifest::parse(&factory.manifest)?;
        let identity = Arc::new(manifest.identity());
        Ok(Self { identity, manifest, path: PathBuf::new(), code: Code::Native(factory) })
    }
}

/// The module files that a path names: itself, or the `.wasm` files of a folder, by name.
pub fn module_files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(read)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)? {
        let file = entry.map_err(read)?.path();
        let is_module = file.extension().is_some_and(|extension| extension == "wasm");
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_module && !is_hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(LoadError::EmptyFolder { path: path.to_owned() });
    }
    Ok(files)
}
