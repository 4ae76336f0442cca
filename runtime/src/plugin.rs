//! Plugins: from a path to checked, compiled modules, and from those to instances that parse. A plugin is described
//! by the manifest in its own file; the runtime knows no protocol.

pub mod content;
pub mod imports;
pub mod instance;
pub mod manifest;
pub mod module;
pub mod native;
pub mod wasm;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use self::instance::Instance;
use self::manifest::{Manifest, ManifestError};
use self::module::ModuleError;
use self::native::NativeFactory;
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
    #[error("no .wasm file in {path}; build plugins into it or name another with --plugin", path = .path.display())]
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

/// Options for a plugin: keys and values.
pub type PluginOptions = Vec<(String, String)>;

/// Plugins in use, sorted by name. The index into it is how the rest of the runtime names a plugin.
#[derive(Debug, Default)]
pub struct PluginSet {
    plugins: Vec<Arc<Plugin>>,
    options: Vec<PluginOptions>,
}

impl PluginSet {
    /// The plugins, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Adds a plugin; gives the one of the same name that was there first, in which case nothing is added.
    pub fn add(&mut self, plugin: Plugin) -> Option<Arc<Plugin>> {
        match self.plugins.binary_search_by(|p| p.identity.name.cmp(&plugin.identity.name)) {
            Ok(index) => self.plugins.get(index).cloned(),
            Err(index) => {
                self.plugins.insert(index, Arc::new(plugin));
                self.options.insert(index, PluginOptions::new());
                None
            }
        }
    }

    /// Sets the options of the plugin with that name; `false` if there is none.
    pub fn set_options(&mut self, name: &str, options: PluginOptions) -> bool {
        let index = self.plugins.iter().position(|plugin| plugin.identity.name == name);
        index.and_then(|index| self.options.get_mut(index)).map(|slot| *slot = options).is_some()
    }

    /// Makes and configures an instance of each plugin once, so that what is wrong with one shows before capture.
    pub fn check(&self) -> Result<(), LoadError> {
        for index in 0..self.plugins.len() {
            self.instantiate(index)?;
        }
        Ok(())
    }

    /// A new, configured instance of the plugin at `index`.
    pub fn instantiate(&self, index: usize) -> Result<Instance, LoadError> {
        let (Some(plugin), Some(options)) = (self.plugins.get(index), self.options.get(index)) else {
            return Err(LoadError::EmptyFolder { path: PathBuf::new() });
        };
        let mut instance = match &plugin.code {
            Code::Wasm(module) => module
                .instantiate(plugin.manifest.input_len())
                .map(|instance| Instance::Wasm(Box::new(instance)))
                .map_err(|source| LoadError::Wasm { path: plugin.path.clone(), source })?,
            Code::Native(factory) => Instance::Native(factory.instantiate()),
        };
        match instance.configure(options) {
            Ok(None) => Ok(instance),
            Ok(Some(refused)) => {
                let (key, value) = options.get(refused).cloned().unwrap_or_default();
                Err(LoadError::Option { plugin: plugin.identity.name.clone(), key, value })
            }
            Err(fault) => {
                Err(LoadError::Wasm { path: plugin.path.clone(), source: WasmError::Start(fault.to_string()) })
            }
        }
    }
}

impl Plugin {
    /// Loads one module file.
    pub fn load(engine: &WasmEngine, path: &Path) -> Result<Self, LoadError> {
        let path = path.to_owned();
        let bytes = module::read(&path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
        let inspected = module::inspect(&bytes).map_err(|source| LoadError::Module { path: path.clone(), source })?;
        let manifest = Manifest::parse(&inspected.manifest)
            .map_err(|source| LoadError::Manifest { path: path.clone(), source })?;
        inspected.check().map_err(|source| LoadError::Module { path: path.clone(), source })?;
        let compiled =
            engine.compile(&bytes, &inspected).map_err(|source| LoadError::Wasm { path: path.clone(), source })?;
        Ok(Self { identity: Arc::new(manifest.identity()), manifest, path, code: Code::Wasm(compiled) })
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
        if file.extension().is_some_and(|extension| extension == "wasm") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(LoadError::EmptyFolder { path: path.to_owned() });
    }
    Ok(files)
}
