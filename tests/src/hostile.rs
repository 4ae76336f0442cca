//! Plugins written by hand in WebAssembly's text form: a sound one that reports every window as a one-way message, and
//! that one with any part of it replaced by something that no plugin should do. Each claims the flows of one port.

use std::path::{Path, PathBuf};

use protap_plugin::contract::{Attribute, Fact, MANIFEST_SECTION, Message, ParseResult, Str, VERSION, kind, verb};

/// Where the guest's result lies in its memory.
pub const RESULT: u32 = 1024;
/// Where its message lies.
pub const MESSAGE: u32 = 2048;
/// Where its attribute lies.
pub const ATTRIBUTE: u32 = 4096;
/// Where its fact lies.
pub const FACT: u32 = 4352;
/// A string of 4 bytes in its memory.
pub const TEXT: Str = Str { ptr: 512, len: 4 };
/// Where its input buffer lies.
pub const INPUT: u32 = 65_536;
/// Bytes of its memory.
pub const MEMORY: u32 = 4 * 65_536;

/// Instructions that never end.
pub const FOREVER: &str = "(loop $forever (br $forever)) (unreachable)";
/// Gives the flow to whoever asks.
const CLAIM: &str = "(i64.const 0x103)";
/// Not mine.
const NO: &str = "(i64.const 0)";
/// Consumes the window, and reports it as a one-way message if it has any bytes.
const REPORT: &str = "
    (i32.store (i32.const 1028) (local.get $len))
    (i32.store (i32.const 1044) (i32.ne (local.get $len) (i32.const 0)))
    (i64.store (i32.const 2048) (local.get $offset))
    (i64.store (i32.const 2056) (i64.add (local.get $offset) (i64.extend_i32_u (local.get $len))))
    (i32.const 1024)";

/// The next frame starts right here.
const FOUND: &str = "
    (i32.store (i32.const 1216) (i32.const 8))
    (i32.store (i32.const 1240) (i32.const 144))
    (i32.store (i32.const 1252) (i32.const 24))
    (i32.const 1216)";

/// A plugin. Function bodies are WebAssembly text; parameters are called as the contract calls them.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The plugin's name.
    pub name: String,
    /// Server port of the flows that it claims.
    pub port: u16,
    /// Imports.
    pub imports: String,
    /// Further functions, globals, a start.
    pub more: String,
    /// Pages of 64 KiB that its memory has at first.
    pub pages: u32,
    /// `protap_input`, without its export.
    pub input: String,
    /// `protap_configure`.
    pub configure: String,
    /// `protap_probe`, for flows of its port.
    pub probe: String,
    /// `protap_probe`, for all others.
    pub probe_others: String,
    /// `protap_open`.
    pub open: String,
    /// `protap_close`.
    pub close: String,
    /// `protap_parse`.
    pub parse: String,
    /// `protap_resync`.
    pub resync: String,
    /// What its result is before `parse` fills in what it knows.
    pub result: ParseResult,
    /// Its message, likewise.
    pub message: Message,
    /// Its message's attribute.
    pub attribute: Attribute,
    /// Its result's fact.
    pub fact: Fact,
    /// Names of the functions that it does not export.
    pub unexported: Vec<&'static str>,
    /// Fields of its manifest.
    pub manifest: serde_json::Value,
}

impl Guest {
    /// A sound plugin for the flows of a port.
    #[must_use]
    pub fn sound(name: &str, port: u16) -> Self {
        let result = ParseResult {
            verb: verb::MORE,
            messages: MESSAGE,
            message_count: 1,
            message_stride: size(Message::SIZE),
            facts: FACT,
            fact_stride: size(Fact::SIZE),
            ..ParseResult::default()
        };
        let message = Message {
            kind: kind::ONE_WAY,
            type_name: TEXT,
            attributes: Str { ptr: ATTRIBUTE, len: 1 },
            attribute_stride: size(Attribute::SIZE),
            ..Message::default()
        };
        let manifest = serde_json::json!({
            "contract": VERSION, "name": name, "version": "1", "ports": [port], "facts": ["names"],
            "attributes": [{"name": "number", "type": "i64"}],
        });
        Self {
            name: name.to_owned(),
            port,
            imports: String::new(),
            more: String::new(),
            pages: MEMORY / 65_536,
            input: format!("(i32.const {INPUT})"),
            configure: "(i32.const 0)".to_owned(),
            probe: CLAIM.to_owned(),
            probe_others: NO.to_owned(),
            open: "(global.set $flows (i32.add (global.get $flows) (i32.const 1))) (global.get $flows)".to_owned(),
            close: String::new(),
            parse: REPORT.to_owned(),
            resync: FOUND.to_owned(),
            result,
            message,
            attribute: Attribute { tag: protap_plugin::contract::tag::I64, value: 7, ..Attribute::default() },
            fact: Fact { key: TEXT, value: TEXT, ..Fact::default() },
            unexported: Vec::new(),
            manifest,
        }
    }

    /// The plugin in WebAssembly's text form.
    #[must_use]
    pub fn text(&self) -> String {
        let export = |name: &str| {
            if self.unexported.contains(&name) { String::new() } else { format!("(export \"{name}\")") }
        };
        let Self {
            imports, more, pages, input, configure, probe, probe_others, open, close, parse, resync, port, ..
        } = self;
        let manifest = escape(self.manifest.to_string().as_bytes());
        let [input_name, configure_name, probe_name] = ["protap_input", "protap_configure", "protap_probe"].map(export);
        let [open_name, close_name, parse_name, resync_name] =
            ["protap_open", "protap_close", "protap_parse", "protap_resync"].map(export);
        let memory_name = export("memory");
        let data = self.data();
        format!(
            r#"(module
  {imports}
  (@custom "{MANIFEST_SECTION}" "{manifest}")
  (memory {memory_name} {pages})
  (global $flows (mut i32) (i32.const 0))
  (func {input_name} (param $len i32) (result i32) {input})
  (func {configure_name} (param $len i32) (result i32) {configure})
  (func {probe_name} (param $len_a i32) (param $len_b i32) (param $flags i32) (param $ports i32) (result i64)
    (if (result i64)
      (i32.or
        (i32.eq (i32.and (local.get $ports) (i32.const 0xffff)) (i32.const {port}))
        (i32.eq (i32.shr_u (local.get $ports) (i32.const 16)) (i32.const {port})))
      (then {probe})
      (else {probe_others})))
  (func {open_name} (param $flags i32) (param $ports i32) (result i32) {open})
  (func {close_name} (param $handle i32) {close})
  (func {parse_name} (param $handle i32) (param $flags i32) (param $offset i64) (param $len i32) (param $gap i64)
    (result i32) {parse})
  (func {resync_name} (param $handle i32) (param $flags i32) (param $offset i64) (param $len i32) (result i32) {resync})
  {more}
  {data})"#
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

    fn data(&self) -> String {
        let bytes = |write: &dyn Fn(&mut [u8]) -> Option<()>| {
            let mut bytes = [0; Message::SIZE];
            write(&mut bytes).expect("the largest struct fits");
            escape(&bytes)
        };
        let [result, message] = [bytes(&|b| self.result.write(b)), bytes(&|b| self.message.write(b))];
        let [attribute, fact] = [bytes(&|b| self.attribute.write(b)), bytes(&|b| self.fact.write(b))];
        format!(
            r#"(data (i32.const {}) "Tick")
  (data (i32.const {RESULT}) "{result}")
  (data (i32.const {MESSAGE}) "{message}")
  (data (i32.const {ATTRIBUTE}) "{attribute}")
  (data (i32.const {FACT}) "{fact}")"#,
            TEXT.ptr
        )
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a struct is small")
}
