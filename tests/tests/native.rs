//! The plugins in the sandbox and the same crates linked into this program give the same bytes of output, for every capture.

use std::sync::{Arc, OnceLock};

use protap::plugin::native::NativeFactory;
use protap::plugin::{Plugin, PluginSet};
use protap_e2e::artifacts::{Fixture, fixtures, further_captures};
use protap_e2e::engine::{read, read_with};

/// HTTP, Kafka, MongoDB and Redis, without the sandbox.
fn native_plugins() -> &'static Arc<PluginSet> {
    static PLUGINS: OnceLock<Arc<PluginSet>> = OnceLock::new();
    PLUGINS.get_or_init(|| {
        let mut set = PluginSet::default();
        for factory in [
            NativeFactory::of::<http::Plugin>(),
            NativeFactory::of::<kafka::Plugin>(),
            NativeFactory::of::<mongodb::Plugin>(),
            NativeFactory::of::<redis::Plugin>(),
        ] {
            set.add(Plugin::native(factory).expect("a manifest"));
        }
        Arc::new(set)
    })
}

fn differing(captures: &[Fixture]) -> Vec<String> {
    let differs = |fixture: &&Fixture| {
        let (wasm, native) = (read(fixture.bytes()), read_with(native_plugins(), fixture.bytes(), 1));
        let summaries = ["flows", "records", "losses"].map(|part| (&wasm.summary[part], &native.summary[part]));
        wasm.records != native.records || summaries.iter().any(|(wasm, native)| wasm != native)
    };
    captures.iter().filter(differs).map(|fixture| format!("{}/{}", fixture.protocol, fixture.name)).collect()
}

#[test]
fn native_plugins_and_sandboxed_ones_give_the_same_bytes() {
    let protocols =
        ["http", "kafka", "mongodb", "redis", "variants", "mysql", "dns", "http2", "mqtt", "matrix", "guests"];
    let captures: Vec<Fixture> = protocols.iter().flat_map(|protocol| fixtures(protocol)).collect();
    println!("{} captures", captures.len());
    assert_eq!(differing(&captures), Vec::<String>::new());
}

#[test]
fn they_do_so_for_further_captures_too() {
    for protocol in ["kafka", "mongodb"] {
        let captures = further_captures(protocol);
        if captures.is_empty() {
            println!("skipped: no further {protocol} captures in ../shared/captures");
        }
        assert_eq!(differing(&captures), Vec::<String>::new());
    }
}
