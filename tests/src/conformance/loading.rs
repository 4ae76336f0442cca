//! Before any byte is parsed: what the manifest says, whether the exports have the contract's signatures, options, and
//! flows that are opened and closed.

use std::collections::HashSet;

use super::Checked;
use super::subject::Subject;

/// Flows that are opened and closed to see whether memory stays.
const FLOWS: usize = 100_000;
/// Flows after which it may not grow any more.
const WARM: usize = 1_000;

/// What the loader does not look at: types and repetitions.
pub(super) fn manifest(subject: &Subject) -> Checked {
    let manifest = subject.manifest();
    let unknown = manifest
        .attributes
        .iter()
        .find(|entry| !["str", "i64", "f64", "bool", "list"].contains(&entry.value_type.as_str()));
    if let Some(entry) = unknown {
        return Err(format!("attribute {} is of type \"{}\", which does not exist", entry.name, entry.value_type));
    }
    let lists: [(&str, Vec<&str>); 4] = [
        ("attribute", manifest.attributes.iter().map(|entry| entry.name.as_str()).collect()),
        ("option", manifest.options.iter().map(|entry| entry.key.as_str()).collect()),
        ("protocol", manifest.protocols.iter().map(String::as_str).collect()),
        ("namespace of facts", manifest.facts.iter().map(String::as_str).collect()),
    ];
    for (what, names) in lists {
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| name.is_empty() || !seen.insert(**name)) {
            return Err(format!("{what} \"{twice}\" is empty or there twice"));
        }
    }
    if manifest.transports.is_empty() {
        return Err("no transport: it would never be asked".to_owned());
    }
    let (attributes, options) = (manifest.attributes.len(), manifest.options.len());
    Ok(format!("{attributes} attributes, {options} options, window {}", manifest.window))
}

/// Instantiation looks every export up with its signature, and asks for the input buffer, which must lie in the memory.
pub(super) fn signatures(subject: &Subject) -> Checked {
    let instance = subject.instance()?;
    Ok(format!("{} KiB of memory at first", instance.memory_len() / 1024))
}

/// Declared defaults are taken, and what is not declared is refused, by its index.
pub(super) fn options(subject: &Subject) -> Checked {
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let refused = |options: &[(String, String)]| {
        subject.instance()?.configure(options).map_err(|error| format!("configure: {error}"))
    };
    let declared: Vec<_> = subject.manifest().options.iter().map(|entry| option(&entry.key, &entry.default)).collect();
    for one in declared.chunks(1).chain([declared.as_slice()]) {
        if let Some(index) = refused(one)? {
            let (key, value) = one.get(index).cloned().unwrap_or_default();
            return Err(format!("it refuses a default that it declares: {key}={value} (index {index})"));
        }
    }
    for before in 0..=declared.len() {
        let mut options = declared.clone();
        options.insert(before, option("no-such-option", "1"));
        match refused(&options)? {
            Some(index) if index == before => {}
            Some(index) => return Err(format!("the option at index {before} is unknown, it refuses that at {index}")),
            None => return Err("it accepts an option that it does not declare".to_owned()),
        }
    }
    Ok(format!("{} declared", declared.len()))
}

/// Handles are not 0, and no two open flows share one.
pub(super) fn handles(subject: &Subject) -> Checked {
    let mut instance = subject.instance()?;
    let mut open: Vec<u32> = Vec::new();
    let mut used: HashSet<u32> = HashSet::new();
    for round in 0..4 {
        while open.len() < WARM {
            let handle = instance.open(subject.flow_flags(), subject.ports()).map_err(|error| error.to_string())?;
            if handle == 0 {
                return Err(format!("no room for flow {}", open.len() + 1));
            }
            if !used.insert(handle) {
                return Err(format!("handle {handle} is given while it is in use"));
            }
            open.push(handle);
        }
        // Every other one, from another end in each round.
        let closed: Vec<u32> = open.iter().copied().skip(round % 2).step_by(2).collect();
        for handle in closed {
            instance.close(handle).map_err(|error| format!("close: {error}"))?;
            open.retain(|other| *other != handle);
            used.remove(&handle);
        }
    }
    Ok(format!("{WARM} flows at once"))
}

/// Flows come and go, and the memory stays as it is.
pub(super) fn memory(subject: &Subject) -> Checked {
    let mut instance = subject.instance()?;
    let mut warm = 0;
    for flow in 0..FLOWS {
        if flow == WARM {
            warm = instance.memory_len();
        }
        let handle = instance.open(subject.flow_flags(), subject.ports()).map_err(|error| error.to_string())?;
        if handle == 0 {
            return Err(format!("no room for flow {flow}, though all before it were closed"));
        }
        instance.close(handle).map_err(|error| format!("close: {error}"))?;
    }
    let after = instance.memory_len();
    if after > warm {
        return Err(format!("{warm} bytes after {WARM} flows, {after} after {FLOWS}"));
    }
    Ok(format!("{} KiB after {FLOWS} flows", after / 1024))
}
