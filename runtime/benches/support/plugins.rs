//! The plugins as `make plugins` left them, and the same crates linked natively.

use std::path::PathBuf;
use std::sync::Arc;

use protap::plugin::native::NativeFactory;
use protap::plugin::wasm::{Deadline, WasmEngine};
use protap::plugin::{Plugin, PluginSet};

/// Places in the set, which is sorted by name.
pub const KAFKA: usize = 0;
pub const MONGODB: usize = 1;

/// The modules in `PROTAP_PLUGIN_PATH`, or else in `target/plugins`.
pub fn wasm(deadline: Deadline) -> Arc<PluginSet> {
    let folder = folder();
    let files = ["kafka.wasm", "mongodb.wasm"].map(|name| folder.join(name));
    if !files.iter().all(|file| file.is_file()) {
        eprintln!("no kafka.wasm and mongodb.wasm in {}: run `make plugins` first", folder.display());
        std::process::exit(1);
    }
    let engine = WasmEngine::new(deadline).unwrap();
    set(files.map(|file| Plugin::load(&engine, &file).unwrap()))
}

/// The Redis plugin alone, which is in no comparison; in the sandbox if there is a deadline.
pub fn redis(deadline: Option<Deadline>) -> Arc<PluginSet> {
    let plugin = match deadline {
        Some(deadline) => Plugin::load(&WasmEngine::new(deadline).unwrap(), &folder().join("redis.wasm")).unwrap(),
        None => Plugin::native(NativeFactory::of::<redis::Plugin>()).unwrap(),
    };
    set([plugin])
}

/// Where the modules are.
pub fn folder() -> PathBuf {
    let usual = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins"));
    std::env::var_os("PROTAP_PLUGIN_PATH").map_or_else(usual, PathBuf::from)
}

/// The same plugins without the sandbox.
pub fn native() -> Arc<PluginSet> {
    let factories = [NativeFactory::of::<kafka::Plugin>(), NativeFactory::of::<mongodb::Plugin>()];
    set(factories.map(|factory| Plugin::native(factory).unwrap()))
}

fn set<const N: usize>(plugins: [Plugin; N]) -> Arc<PluginSet> {
    let mut set = PluginSet::default();
    for plugin in plugins {
        set.add(plugin);
    }
    Arc::new(set)
}
