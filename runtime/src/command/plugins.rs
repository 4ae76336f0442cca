//! `protap plugins`, and where plugins are looked for.

mod list;

use std::ffi::OsString;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use protap::emit::visible;
use protap::plugin::cache::{self, ModuleCache};
use protap::plugin::module::inspect;
use protap::plugin::wasm::{Deadline, WasmEngine, WasmError};
use protap::plugin::watch::PluginWatch;
use protap::plugin::{LoadError, Plugin, PluginOptions, PluginSet, module, module_files};

use super::Failure;

/// Where distributions put plugins.
const SYSTEM_FOLDER: &str = "/usr/lib/protap/plugins";

#[derive(Debug, Args)]
pub(super) struct PluginArguments {
    /// Plugin file or folder of plugins, repeatable [default: PROTAP_PLUGIN_PATH (colon-separated), else
    /// ~/.local/share/protap/plugins and /usr/lib/protap/plugins]
    #[arg(short, long = "plugin", value_name = "PATH")]
    plugin: Vec<PathBuf>,
    /// Set an option of a plugin, repeatable
    #[arg(long, value_name = "PLUGIN.KEY=VALUE")]
    plugin_opt: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginsCommand {
    /// List the plugins that would be used
    List {
        #[command(flatten)]
        plugins: PluginArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a plugin file says of itself and what it needs
    Inspect {
        /// The .wasm file
        file: PathBuf,
    },
}

pub(super) fn run(command: &PluginsCommand) -> Result<ExitCode, Failure> {
    let told = match command {
        PluginsCommand::List { plugins, json } => list(plugins, *json),
        PluginsCommand::Inspect { file } => show(file),
    };
    let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match told {
        // Who reads it has read enough.
        Err(Failure::Run(error)) if error.downcast_ref().is_some_and(is_closed) => Ok(ExitCode::SUCCESS),
        told => told,
    }
}

impl PluginArguments {
    /// Loads the plugins that the arguments and the environment name.
    pub(super) fn load(&self, deadline: Deadline) -> Result<PluginSet, Failure> {
        self.load_into(&engine(deadline)?, false).map(|(set, _)| set)
    }

    /// The same, and watches where they came from. A folder may be empty: what is put into it later is loaded then.
    pub(super) fn load_and_watch(&self, deadline: Deadline) -> Result<(Arc<PluginSet>, PluginWatch), Failure> {
        let engine = engine(deadline)?;
        let (set, refused) = self.load_into(&engine, true)?;
        let set = Arc::new(set);
        Ok((set.clone(), PluginWatch::new(engine, self.paths(), set, refused)))
    }

    /// The plugins, and the files that are refused. Of a folder, the others are used; a file that is named must be one.
    fn load_into(&self, engine: &WasmEngine, may_be_empty: bool) -> Result<(PluginSet, Vec<PathBuf>), Failure> {
        let mut set = PluginSet::default();
        let mut refused = Vec::new();
        let files = self.files(may_be_empty)?;
        let named = self.paths();
        for (file, plugin) in files.iter().zip(load_all(engine, &files)) {
            let start = |plugin: Plugin| plugin.check().map(|()| plugin);
            let plugin = match plugin {
                plugin if named.contains(file) => plugin?,
                plugin => match plugin.and_then(start) {
                    Ok(plugin) => plugin,
                    Err(error) => {
                        eprintln!("protap: {}; it is not used", visible(&error.to_string()));
                        refused.push(file.clone());
                        continue;
                    }
                },
            };
            let name = plugin.identity.name.clone();
            if let Some(first) = set.add(plugin) {
                let (file, first) = (file.display(), first.path.display());
                tracing::warn!("{file} is not used: {first} is called {name} too and came first");
            }
        }
        for (plugin, options) in self.options()? {
            if !set.set_options(&plugin, options) {
                return Err(Failure::Usage(anyhow!("--plugin-opt names plugin {plugin}, which is not loaded")));
            }
        }
        set.check()?;
        for plugin in set.iter() {
            let others = list::protocols_beside(set.iter().map(AsRef::as_ref), &plugin.identity.name);
            if let Some(note) = list::note(plugin, &others) {
                tracing::warn!("plugin {}: {note}", plugin.identity.name);
            }
        }
        if set.is_empty() && !may_be_empty {
            return Err(Failure::Run(anyhow!("no plugin is left")));
        }
        Ok((set, refused))
    }

    /// Where plugins are looked for: files and folders.
    fn paths(&self) -> Vec<PathBuf> {
        if !self.plugin.is_empty() {
            return self.plugin.clone();
        }
        match plugin_path() {
            Some(paths) => std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect(),
            None => user_folder().into_iter().chain([PathBuf::from(SYSTEM_FOLDER)]).collect(),
        }
    }

    fn files(&self, may_be_empty: bool) -> Result<Vec<PathBuf>, Failure> {
        let paths = self.paths();
        let is_named = !self.plugin.is_empty() || plugin_path().is_some();
        let mut files = Vec::new();
        for path in &paths {
            match module_files(path) {
                Ok(found) => files.extend(found),
                // The usual folders need not be there, nor hold anything.
                Err(LoadError::EmptyFolder { .. }) if !is_named || may_be_empty => {}
                Err(_) if !is_named && !path.is_dir() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if files.is_empty() {
            let folders: Vec<String> = paths.iter().map(|folder| folder.display().to_string()).collect();
            let folders = folders.join(" or ");
            if may_be_empty && paths.iter().any(|path| path.is_dir()) {
                eprintln!("protap: no plugin in {folders} yet; put a .wasm file there");
                return Ok(files);
            }
            return Err(Failure::Usage(anyhow!("no plugin in {folders}; name a .wasm file or a folder with -p")));
        }
        Ok(files)
    }

    fn options(&self) -> Result<Vec<(String, PluginOptions)>, Failure> {
        let mut options: Vec<(String, PluginOptions)> = Vec::new();
        for text in &self.plugin_opt {
            let parsed = text.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
            let Some(((plugin, key), value)) = parsed else {
                return Err(Failure::Usage(anyhow!("--plugin-opt {text}: expected PLUGIN.KEY=VALUE")));
            };
            let option = (key.to_owned(), value.to_owned());
            match options.iter_mut().find(|(name, _)| name == plugin) {
                Some((_, of_plugin)) => of_plugin.push(option),
                None => options.push((plugin.to_owned(), vec![option])),
            }
        }
        Ok(options)
    }
}

fn plugin_path() -> Option<OsString> {
    std::env::var_os("PROTAP_PLUGIN_PATH").filter(|paths| !paths.is_empty())
}

/// An engine that keeps compiled modules in the user's cache folder.
fn engine(deadline: Deadline) -> Result<WasmEngine, WasmError> {
    let cache = cache::user_folder().and_then(|folder| ModuleCache::open(&folder));
    Ok(WasmEngine::new(deadline)?.with_cache(cache))
}

/// Loads modules, as many at a time as there are processors: compiling them is most of the time it takes to start.
fn load_all(engine: &WasmEngine, files: &[PathBuf]) -> Vec<Result<Plugin, LoadError>> {
    let at_a_time = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut loaded = Vec::new();
    for files in files.chunks(at_a_time) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = files.iter().map(|file| (file, scope.spawn(|| Plugin::load(engine, file)))).collect();
            loaded.extend(threads.into_iter().map(|(file, thread)| {
                thread.join().unwrap_or_else(|_| {
                    let source = WasmError::Compile("the compiler panicked".to_owned());
                    Err(LoadError::Wasm { path: file.clone(), source })
                })
            }));
        });
    }
    loaded
}

fn user_folder() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".local/share")))?;
    Some(data.join("protap/plugins"))
}

fn list(plugins: &PluginArguments, is_json: bool) -> Result<ExitCode, Failure> {
    let files = plugins.files(false)?;
    let loaded = load_all(&engine(Deadline::Fuel)?, &files);
    let start = |plugin: Plugin| plugin.check().map(|()| plugin);
    let loaded = files.into_iter().zip(loaded).map(|(file, plugin)| (file, plugin.and_then(start)));
    let rows = list::rows(loaded.collect());
    let mut out = std::io::stdout().lock();
    if is_json {
        writeln!(out, "{}", serde_json::to_string_pretty(&list::to_json(&rows))?)?;
    } else {
        list::write_text(&rows, &mut out)?;
    }
    Ok(if list::is_sound(&rows) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(file: &Path) -> Result<ExitCode, Failure> {
    let bytes = module::read(file).map_err(|source| LoadError::Read { path: file.to_owned(), source })?;
    let inspected = inspect(&bytes).map_err(|source| LoadError::Module { path: file.to_owned(), source })?;
    let plugin = Plugin::load(&WasmEngine::new(Deadline::Fuel)?, file)?;
    let manifest = &plugin.manifest;
    let mut out = std::io::stdout().lock();
    match plugin.deepflow() {
        None => writeln!(out, "{} {} (contract {})", manifest.name, manifest.version, manifest.contract)?,
        Some(module) => {
            writeln!(out, "{} (DeepFlow's ABI, era {})", manifest.name, module.era_hint())?;
            writeln!(out, "  {:<11} {}", "hooks", module.hooks())?;
        }
    }
    let ports: Vec<String> = manifest.ports.iter().map(ToString::to_string).collect();
    let imports: Vec<String> = inspected.imports.iter().map(|(module, field)| format!("{module}.{field}")).collect();
    let transports: Vec<String> = manifest.transports.iter().map(|t| format!("{t:?}").to_lowercase()).collect();
    for (title, text) in [
        ("protocols", manifest.protocols.join(", ")),
        ("transports", transports.join(", ")),
        ("ports", ports.join(", ")),
        ("window", format!("{} bytes", manifest.window)),
        ("facts", manifest.facts.join(", ")),
        ("imports", imports.join(", ")),
        ("module", format!("{} bytes, {} functions", inspected.bytes, inspected.functions)),
    ] {
        writeln!(out, "  {title:<11} {}", if text.is_empty() { "none" } else { &text })?;
    }
    for line in &manifest.decodes {
        writeln!(out, "  decodes     {line}")?;
    }
    for option in &manifest.options {
        writeln!(out, "  option      {}={}  {}", option.key, option.default, option.help)?;
    }
    for attribute in &manifest.attributes {
        writeln!(out, "  attribute   {} ({})", attribute.name, attribute.value_type)?;
    }
    Ok(ExitCode::SUCCESS)
}
