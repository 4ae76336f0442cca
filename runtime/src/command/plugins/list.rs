//! `protap plugins list`: every module file that would be looked at, what it is, and whether it would be used.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use protap::emit::visible;
use protap::plugin::{LoadError, Plugin};
use serde_json::{Value, json};

/// A file, with the plugin in it or why there is none.
pub(super) struct Row {
    file: PathBuf,
    plugin: Result<Plugin, LoadError>,
    /// What else is to be said, and whether it keeps the plugin from being used.
    state: Result<(), String>,
    note: Option<String>,
}

/// Why nothing calls a DeepFlow plugin's hook.
pub(super) fn note(plugin: &Plugin, others: &[&str]) -> Option<String> {
    let (hooks, others) = (plugin.hooks(), || others.iter().copied());
    let lacking = match (hooks.has_custom_source(others()), hooks.has_http_source(others())) {
        (true, true) => return None,
        (false, true) => "custom-message hook is not called: nothing here parses what it is for",
        (true, false) => "HTTP hooks are not called: no plugin that parses http is loaded",
        (false, false) => "HTTP and custom-message hooks are not called: nothing here parses what they are for",
    };
    Some(format!("its {lacking}"))
}

/// The protocols of all plugins but that one.
pub(super) fn protocols_beside<'a>(plugins: impl Iterator<Item = &'a Plugin>, name: &str) -> Vec<&'a str> {
    let others = plugins.filter(|other| other.identity.name != name);
    others.flat_map(|other| other.identity.protocols.iter().map(String::as_str)).collect()
}

/// The rows of these files, in their order. Of two plugins of one name the first one is used.
pub(super) fn rows(loaded: Vec<(PathBuf, Result<Plugin, LoadError>)>) -> Vec<Row> {
    let mut first: HashMap<String, PathBuf> = HashMap::new();
    let mut rows = Vec::new();
    for (file, plugin) in loaded {
        let state = match &plugin {
            Err(error) => Err(why(error)),
            Ok(plugin) => match first.get(&plugin.identity.name) {
                Some(first) => Err(format!("not used: {} has that name and comes first", first.display())),
                None => {
                    first.insert(plugin.identity.name.clone(), file.clone());
                    Ok(())
                }
            },
        };
        rows.push(Row { file, plugin, state, note: None });
    }
    let notes: Vec<Option<String>> = rows.iter().map(|row| note_of(row, &rows)).collect();
    for (row, note) in rows.iter_mut().zip(notes) {
        row.note = note;
    }
    rows
}

/// Whether all files hold a plugin.
pub(super) fn is_sound(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.plugin.is_ok())
}

pub(super) fn write_text(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    for row in rows {
        let Row { file, plugin, .. } = row;
        let [name, version, abi, hooks] = match plugin {
            Ok(plugin) => {
                let manifest = &plugin.manifest;
                [manifest.name.clone(), manifest.version.clone(), plugin.abi(hint(plugin)), hooks(plugin)]
            }
            Err(_) => [stem(file), "-".to_owned(), "-".to_owned(), "-".to_owned()],
        };
        let row = format!("{name:<16} {version:<8} {abi:<20} {hooks:<18} {}: {}", file.display(), state(row));
        writeln!(out, "{}", visible(&row))?;
    }
    Ok(())
}

pub(super) fn to_json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let plugin = row.plugin.as_ref().ok();
        let hooks = plugin.map(|plugin| hooks(plugin).split(',').map(str::to_owned).collect::<Vec<_>>());
        json!({
            "name": plugin.map_or_else(|| stem(&row.file), |plugin| plugin.identity.name.clone()),
            "file": row.file,
            "abi": plugin.map(|plugin| plugin.abi(None)),
            "era": plugin.and_then(hint),
            "hooks": hooks,
            "state": state(row),
            "manifest": plugin.map(|plugin| &plugin.manifest),
        })
    };
    rows.iter().map(row).collect()
}

/// What is known of a DeepFlow plugin's era before any record told it.
fn hint(plugin: &Plugin) -> Option<&'static str> {
    plugin.deepflow().map(|module| module.era_hint())
}

fn hooks(plugin: &Plugin) -> String {
    if plugin.deepflow().is_some() { plugin.hooks().to_string() } else { "payload".to_owned() }
}

fn state(row: &Row) -> String {
    match (&row.state, &row.note) {
        (Err(why), _) => why.clone(),
        (Ok(()), Some(note)) => format!("ready, but {note}"),
        (Ok(()), None) => "ready".to_owned(),
    }
}

/// The reason without the file's name, which stands beside it.
fn why(error: &LoadError) -> String {
    match error {
        LoadError::Module { source, .. } => format!("refused: {source}"),
        LoadError::Manifest { source, .. } => format!("refused: {source}"),
        LoadError::Wasm { source, .. } => format!("refused: {source}"),
        error => format!("refused: {error}"),
    }
}

fn note_of(row: &Row, rows: &[Row]) -> Option<String> {
    let plugin = row.plugin.as_ref().ok().filter(|_| row.state.is_ok())?;
    let used = rows.iter().filter(|row| row.state.is_ok()).filter_map(|row| row.plugin.as_ref().ok());
    note(plugin, &protocols_beside(used, &plugin.identity.name))
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
