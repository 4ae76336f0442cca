//! A module, loaded and called as the runtime calls one: as it is, if the input begins as a module file does, or else made
//! by wasm-smith, with the contract's exports and whatever bodies.
//!
//! ```text
//! any other input    calls: u8, then what wasm-smith makes a module of
//! ```

#![no_main]

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use protap::packet::{Endpoint, Transport};
use protap::plugin::deepflow::FlowView;
use protap::plugin::instance::ProbeCall;
use protap::plugin::wasm::{Deadline, MAX_MEMORY, WasmEngine};
use protap::plugin::{Plugin, PluginSet};
use protap::record::Spares;
use protap::running::{CallKind, ParseArguments, RunningPlugins, Standing};
use protap_plugin::contract::{MANIFEST_SECTION, VERSION};

/// What every module of wasm-smith's exports.
const EXPORTS: &str = r#"(module (memory (export "memory") 2)
    (func (export "protap_input") (param i32) (result i32) (unreachable))
    (func (export "protap_configure") (param i32) (result i32) (unreachable))
    (func (export "protap_probe") (param i32 i32 i32 i32) (result i64) (unreachable))
    (func (export "protap_open") (param i32 i32) (result i32) (unreachable))
    (func (export "protap_parse") (param i32 i32 i64 i32 i64) (result i32) (unreachable))
    (func (export "protap_resync") (param i32 i32 i64 i32) (result i32) (unreachable))
    (func (export "protap_close") (param i32)))"#;

/// Bytes that are probed and parsed.
const BYTES: &[u8] = b"*2\r\n$4\r\nLLEN\r\n$6\r\nmylist\r\n:42\r\n\x23\x00\x06\xec\0\0\0\0\0\0\0\0\0\0\0\0";

fn engine() -> &'static WasmEngine {
    static ENGINE: OnceLock<WasmEngine> = OnceLock::new();
    ENGINE.get_or_init(|| WasmEngine::new(Deadline::Fuel).expect("wasmtime starts"))
}

/// A module of wasm-smith's, with a manifest.
fn smith(data: &[u8]) -> Option<Vec<u8>> {
    static EXPORTED: OnceLock<Vec<u8>> = OnceLock::new();
    let mut data = Unstructured::new(data);
    let config = wasm_smith::Config {
        exports: Some(EXPORTED.get_or_init(|| wat::parse_str(EXPORTS).expect("it is well-formed")).clone()),
        allow_start_export: data.ratio(1, 8).ok()?,
        max_imports: 0,
        // Small: what takes its time here is the compiler.
        max_funcs: 10,
        max_instructions: 60,
        max_globals: 4,
        max_types: 12,
        max_element_segments: 2,
        max_data_segments: 2,
        max_memories: 1,
        max_memory32_bytes: 1 << 30,
        memory_max_size_required: false,
        memory64_enabled: false,
        shared_everything_threads_enabled: false,
        threads_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        ..wasm_smith::Config::default()
    };
    let mut module = wasm_smith::Module::new(config, &mut data).ok()?.to_bytes();
    let json = format!(r#"{{"contract":"{VERSION}","name":"x","version":"1","transports":["tcp","udp"],"window":64}}"#);
    let mut section = vec![u8::try_from(MANIFEST_SECTION.len()).ok()?];
    section.extend([MANIFEST_SECTION.as_bytes(), json.as_bytes()].concat());
    let len = u8::try_from(section.len()).ok()?;
    // An unsigned LEB128 of two bytes.
    module.extend([0, len | 128, len >> 7 & 1]);
    module.extend(section);
    Some(module)
}

/// Loads a module from a file, as the runtime does.
fn load(module: &[u8]) -> Option<PluginSet> {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::temp_dir().join(format!("protap-fuzz-{}.wasm", std::process::id())));
    std::fs::write(file, module).expect("a temporary file can be written");
    let mut plugins = PluginSet::default();
    let plugin = Plugin::load(engine(), file).map_err(|error| error.to_string()).ok()?;
    plugins.add(plugin);
    Some(plugins)
}

fn call(plugins: PluginSet) {
    let mut running = RunningPlugins::new(Arc::new(plugins));
    let window = running.plugin(0).map_or(0, |plugin| plugin.manifest.window as usize).min(BYTES.len());
    let end = |port| Endpoint { ip: Ipv4Addr::LOCALHOST.into(), port };
    let ends = (end(1), end(2));
    let (is_from_first, is_response) = (true, false);
    let flow = FlowView { id: 1, transport: Transport::Tcp, ends, processes: None, is_from_first, is_response, now: 1 };
    let mut spares = Spares::default();
    for round in 0..4_u32 {
        let (a, b) = BYTES.split_at((round as usize * 9).min(BYTES.len()));
        let _ = running.probe(0, &ProbeCall { a, b, flags: round * 64, ports: 1 | 2 << 16 });
        let Ok(handle) = running.open(0, 0, 1 | 2 << 16, 0) else { continue };
        for (kind, flags) in [(CallKind::Parse, 0), (CallKind::Parse, 9), (CallKind::Resync, 16), (CallKind::Parse, 5)]
        {
            let window = BYTES.get(..window).unwrap_or_default();
            let offset = u64::from(round) << 31;
            let arguments = ParseArguments { handle, flags, offset, window, gap: 7, now: 1, piece_at: offset, flow: &flow };
            // A rebuilt instance does not know the handle.
            if running.standing(0, handle) != Standing::Current {
                break;
            }
            let _ = running.parse(0, kind, &arguments, (&mut None, &mut spares));
        }
        let _ = running.close(0, handle);
    }
    assert!(running.stats().all(|stats| stats.memory_bytes <= MAX_MEMORY as u64));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let module = if data.starts_with(b"\0asm") { Some(data.to_vec()) } else { smith(data) };
    if let Some(plugins) = module.and_then(|module| load(&module)) {
        call(plugins);
    }
});
