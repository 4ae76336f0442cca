//! Plugin files as they come, change and go while traffic flows. A file is loaded once it has been the same for two looks,
//! so that a copy in progress is left alone; one that is refused leaves what was there before in place, and says why
//! once. Nothing here runs on the data path: a new [`PluginSet`] is handed over whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::set::{Change, PluginSet};
use super::wasm::WasmEngine;
use super::{LoadError, Plugin, module_files};

/// Watches files and folders.
#[derive(Debug)]
pub struct PluginWatch {
    engine: WasmEngine,
    paths: Vec<PathBuf>,
    files: BTreeMap<PathBuf, File>,
    /// Paths that may not be looked at any more.
    hidden: BTreeSet<PathBuf>,
    set: Arc<PluginSet>,
}

/// What a look at the files came to.
#[derive(Debug, Default)]
pub struct News {
    /// The plugins from now on, if anything changed.
    pub set: Option<Arc<PluginSet>>,
    /// What changed.
    pub changes: Vec<Change>,
    /// What was not loaded, and why.
    pub refused: Vec<Refusal>,
}

/// A file or a folder that was not loaded.
#[derive(Debug)]
pub struct Refusal {
    /// Why not.
    pub error: LoadError,
    /// Whether what was loaded of it before goes on.
    pub goes_on: bool,
}

/// Tells a file's content from another one without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

#[derive(Debug)]
struct File {
    seen: Stamp,
    /// The content that was last tried.
    tried: Option<Stamp>,
    plugin: Option<Arc<Plugin>>,
}

impl PluginWatch {
    /// Watches the paths, as they were given, from which the plugins of `set` were loaded just now, and files refused.
    #[must_use]
    pub fn new(engine: WasmEngine, paths: Vec<PathBuf>, set: Arc<PluginSet>, refused: Vec<PathBuf>) -> Self {
        let mut files = BTreeMap::new();
        for path in refused {
            if let Some(seen) = stamp(&path) {
                files.insert(path, File { seen, tried: Some(seen), plugin: None });
            }
        }
        for plugin in set.iter() {
            if let Some(seen) = stamp(&plugin.path) {
                let file = File { seen, tried: Some(seen), plugin: Some(plugin.clone()) };
                files.insert(plugin.path.clone(), file);
            }
        }
        Self { engine, paths, files, hidden: BTreeSet::new(), set }
    }

    /// Looks at the files. To be called again and again.
    pub fn look(&mut self) -> News {
        let mut news = News::default();
        let mut paths = Vec::new();
        for path in &self.paths {
            match module_files(path) {
                Ok(found) => paths.extend(found),
                // What may not be looked at any more, as rights were given up, stays as it is.
                Err(LoadError::Read { path, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
                    let is_below = |file: &&PathBuf| **file == path || file.parent() == Some(path.as_path());
                    paths.extend(self.files.keys().filter(is_below).cloned());
                    if self.hidden.insert(path.clone()) {
                        news.refused.push(Refusal { error: LoadError::Read { path, source }, goes_on: true });
                    }
                }
                // That it is empty now, or gone, is no error.
                Err(_) => {}
            }
        }
        self.files.retain(|path, _| paths.contains(path));
        for path in &paths {
            let Some(now) = stamp(path) else { continue };
            let file = self.files.entry(path.clone()).or_insert(File { seen: now, tried: None, plugin: None });
            let is_settled = std::mem::replace(&mut file.seen, now) == now;
            if is_settled && file.tried != Some(now) {
                file.tried = Some(now);
                match load(&self.engine, path, &self.set) {
                    Ok(plugin) => file.plugin = Some(Arc::new(plugin)),
                    Err(error) => news.refused.push(Refusal { error, goes_on: file.plugin.is_some() }),
                }
            }
        }
        let plugins: Vec<Arc<Plugin>> = paths.iter().filter_map(|path| self.files.get(path)?.plugin.clone()).collect();
        let (set, changes) = self.set.updated(&plugins);
        if !changes.is_empty() {
            self.set = Arc::new(set);
            news.set = Some(self.set.clone());
            news.changes = changes;
        }
        news
    }
}

/// Loads a plugin, and sees that it starts with the options that one of its name was given.
fn load(engine: &WasmEngine, path: &Path, set: &PluginSet) -> Result<Plugin, LoadError> {
    let plugin = Plugin::load(engine, path)?;
    plugin.instantiate(set.options_of(&plugin.identity.name))?;
    Ok(plugin)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    let inode = std::os::unix::fs::MetadataExt::ino(&meta);
    Some(Stamp { modified: meta.modified().ok(), len: meta.len(), inode })
}
