//! Plugins for DeepFlow's ABI written in WebAssembly's text form: a sound one, and that one with any part of it replaced by
//! what no plugin should do. Each claims the flows whose clients begin with a certain byte, and makes a record of each
//! payload. Also traffic of the toy protocol that the guests of `tests/guests/deepflow` parse.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::conversation::dialogue;
use crate::segment::Segment;

/// The imports of the sound plugin, which every plugin here has.
const IMPORTS: &str = r#"
  (import "deepflow" "wasm_log" (func $log (param i32 i32 i32)))
  (import "deepflow" "vm_read_ctx_base" (func $context (param i32 i32) (result i32)))
  (import "deepflow" "vm_read_payload" (func $payload (param i32 i32) (result i32)))
  (import "deepflow" "vm_read_http_req_info" (func $http_req (param i32 i32) (result i32)))
  (import "deepflow" "vm_read_http_resp_info" (func $http_resp (param i32 i32) (result i32)))
  (import "deepflow" "vm_read_custom_message_info" (func $custom (param i32 i32) (result i32)))
  (import "deepflow" "host_read_l7_protocol_info" (func $records (param i32 i32) (result i32)))
  (import "deepflow" "host_read_str_result" (func $name (param i32 i32) (result i32)))
"#;
/// A request's record of the era L4 in which all but its type, "Tick", is absent.
const REQUEST: &str = r"\00\1b \00\00\00\00 \00\00\00\00 \00 \00\04Tick \00\00 \00\00 \00\00 \00\00 \00 \00 \00 \00";
/// A response's likewise, status 0.
const RESPONSE: &str = r"\00\15 \00\00\00\00 \00\00\00\00 \00 \00 \00 \00\00 \00\00 \00\00 \00 \00 \00 \00";

/// A plugin. Function bodies are WebAssembly text.
#[derive(Clone, Debug)]
pub struct WatGuest {
    /// The plugin's name, and its file's.
    pub name: String,
    /// First byte of what its clients send.
    pub mark: u8,
    /// Further imports.
    pub imports: String,
    /// `_start`.
    pub start: String,
    /// Name of that export.
    pub start_name: &'static str,
    /// `check_payload`, for flows of its own.
    pub check: String,
    /// `parse_payload`.
    pub parse: String,
    /// `on_http_req` and `on_http_resp`.
    pub http: String,
    /// `get_hook_bitmap`.
    pub bitmap: String,
    /// The bitmap's bytes, in text form.
    pub hooks: String,
    /// `get_custom_message_hook`.
    pub custom_hook: String,
    /// The records: of requests, at 4096, and of responses, at 8192, in text form.
    pub records: [String; 2],
}

impl WatGuest {
    /// A sound plugin for flows whose clients begin with that byte.
    #[must_use]
    pub fn sound(name: &str, mark: u8) -> Self {
        Self {
            name: name.to_owned(),
            mark,
            imports: String::new(),
            start: String::new(),
            start_name: "_start",
            check: "(i32.const 77)".to_owned(),
            parse: "
      (drop (call $context (i32.const 1024) (i32.const 256)))
      (if (result i32) (i32.load8_u (i32.add (i32.const 1024) (i32.const 24)))
        (then (call $records (i32.const 8192) (global.get $response_len)))
        (else (call $records (i32.const 4096) (global.get $request_len))))"
                .to_owned(),
            http: "(i32.const 0)".to_owned(),
            bitmap: "(i32.const 512)".to_owned(),
            hooks: format!("{}\\01", "\\00".repeat(15)),
            custom_hook: "(i32.const 0)".to_owned(),
            records: [REQUEST, RESPONSE].map(|text| text.replace(' ', "")),
        }
    }

    /// The plugin in WebAssembly's text form.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { imports, start, start_name, check, parse, http, bitmap, hooks, custom_hook, mark, .. } = self;
        let [request, response] = &self.records;
        let [request_len, response_len] = [request, response].map(|text| literal_len(text));
        format!(
            r#"(module
  {IMPORTS}
  {imports}
  (memory (export "memory") 4)
  (global $request_len i32 (i32.const {request_len}))
  (global $response_len i32 (i32.const {response_len}))
  (func (export "{start_name}") {start})
  (func (export "check_payload") (result i32)
    (drop (call $payload (i32.const 65536) (i32.const 65535)))
    (if (result i32) (i32.eq (i32.load8_u (i32.const 65536)) (i32.const {mark}))
      (then {check})
      (else (i32.const 0))))
  (func (export "parse_payload") (result i32) {parse})
  (func (export "on_http_req") (result i32) {http})
  (func (export "on_http_resp") (result i32) {http})
  (func (export "get_hook_bitmap") (result i32) {bitmap})
  (func (export "on_custom_message") (result i32) (i32.const 0))
  (func (export "get_custom_message_hook") (result i32) {custom_hook})
  (data (i32.const 512) "{hooks}")
  (data (i32.const 4096) "{request}")
  (data (i32.const 8192) "{response}"))"#
        )
    }

    /// The plugin as a module file in that folder.
    #[must_use]
    pub fn file(&self, folder: &Path) -> PathBuf {
        let text = self.text();
        let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", self.name));
        let path = folder.join(format!("{}.wasm", self.name));
        std::fs::write(&path, module).expect("the folder for temporary files can be written to");
        path
    }
}

/// Bytes of a string literal: an escape of three characters is one.
fn literal_len(text: &str) -> usize {
    text.len() - 2 * text.matches('\\').count()
}

/// Bytes as a string literal.
#[must_use]
pub fn literal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A golden buffer of `tests/goldens/deepflow`.
#[must_use]
pub fn golden(name: &str) -> Vec<u8> {
    let file = crate::artifacts::root().join("tests/goldens/deepflow").join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let digits: String = text.lines().map(|line| line.split('#').next().unwrap_or_default()).collect();
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal");
    digits.chunks(2).map(byte).collect()
}

/// A flow of the toy protocol, with its requests answered out of order now and then.
#[must_use]
pub fn toy_flow(client_port: u16, begin: u64) -> Vec<Segment> {
    let client = SocketAddr::from(([10, 0, 0, 3], client_port));
    let server = SocketAddr::from(([10, 0, 0, 4], 4242));
    let ask = |id: u32, what: &str| (true, format!("Q {id} {what}\n").into_bytes());
    let answer = |id: u32, what: &str| (false, format!("A {id} {what}\n").into_bytes());
    dialogue(
        (client, server),
        begin,
        [
            ask(1, "GET item/1"),
            answer(1, "200 found it"),
            ask(2, "PUT item/2"),
            ask(3, "GET item/3"),
            answer(3, "404 not here"),
            answer(2, "503 not now"),
            ask(4, "DELETE item/4"),
            answer(4, "204 gone"),
            ask(5, "GET item/5"),
        ],
    )
}
