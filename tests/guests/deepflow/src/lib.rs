//! Plugins as for DeepFlow's agent, written by us: one binary for each era of the ABI, all for the same toy protocol. The
//! eras differ in how a record is laid out, in what HTTP hooks give back and in what `check_payload` returns; the rest is
//! shared. Contexts and records are held against the golden buffers of `tests/goldens/deepflow`.
//!
//! The toy protocol has a line for each message: `Q 7 GET item/1` asks, `A 7 200 done` answers.

pub mod context;
#[cfg(test)]
mod golden;
pub mod host;
pub mod protobuf;
pub mod record;
pub mod toy;

use context::{Base, strings};
use record::{Era, Message};

/// The protocol's number: each plugin chooses its own.
pub const NUMBER: u8 = 127;

/// What HTTP hooks give back: a trace and attributes, or a record.
pub type GiveBack = fn(Era, &Message) -> bool;

/// `check_payload`: whether the payload is a line of the toy protocol.
pub fn check(era: Era) -> i32 {
    let payload = host::payload();
    let Some(message) = toy::parse(&payload) else { return 0 };
    host::set_protocol("toy");
    let direction = if message.is_response { 2 } else { 1 };
    if era == Era::Pb { direction << 8 | i32::from(NUMBER) } else { i32::from(NUMBER) }
}

/// `parse_payload`: a record for each line.
pub fn parse(era: Era) -> i32 {
    let Some(base) = Base::decode(&host::context(), era) else { return 0 };
    if base.l7 != NUMBER {
        return 0;
    }
    let payload = host::payload();
    let records = toy::lines(&payload).map(|message| message.encode(era)).collect::<Vec<_>>();
    if records.is_empty() {
        return 0;
    }
    i32::from(host::give_records(&records))
}

/// `on_http_req`: says what it was told.
pub fn http_request(era: Era, give_back: GiveBack) -> i32 {
    let Some(base) = Base::decode(&host::context(), era) else { return 0 };
    let info = host::http_request();
    let Some([path, host, agent, referer]) = strings(&info) else { return 0 };
    let mut message = Message { is_response: false, ..Message::default() };
    let payload = host::payload();
    let line = payload.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
    for (key, value) in [
        ("seen.path", path),
        ("seen.host", host),
        ("seen.agent", agent),
        ("seen.referer", referer),
        ("seen.l7", base.l7.to_string()),
        ("seen.line", String::from_utf8_lossy(line).into_owned()),
    ] {
        message.attributes.push((key.to_owned(), value));
    }
    message.trace_id = "trace-of-request".to_owned();
    i32::from(give_back(era, &message))
}

/// `on_http_resp`, with as much room for what it is told as its era has.
pub fn http_response(era: Era, give_back: GiveBack) -> i32 {
    let room = match era {
        Era::L0 | Era::L1 => 2,
        Era::L2 | Era::L3 | Era::L4 => 3,
        Era::Pb => 65_536,
    };
    let info = host::http_response(room);
    let Some((code, rest)) = info.split_first_chunk() else { return 0 };
    let mut message = Message { is_response: true, status: 5, ..Message::default() };
    message.attributes.push(("seen.code".to_owned(), u16::from_be_bytes(*code).to_string()));
    if let Some((status, rest)) = rest.split_first() {
        message.attributes.push(("seen.status".to_owned(), status.to_string()));
        message.status = *status;
        if let Some((_, endpoint)) = rest.split_first_chunk::<2>() {
            message.attributes.push(("seen.endpoint".to_owned(), String::from_utf8_lossy(endpoint).into_owned()));
        }
    }
    i32::from(give_back(era, &message))
}

/// `on_custom_message`: says of which type the message was.
pub fn custom_message(era: Era) -> i32 {
    let info = host::custom_message();
    let Some((_point, rest)) = info.split_first_chunk::<2>() else { return 0 };
    let Some((code, _)) = rest.split_first_chunk() else { return 0 };
    let is_response = Base::decode(&host::context(), era).is_some_and(|base| base.is_response);
    let mut message = Message { is_response, status: 5, ..Message::default() };
    message.attributes.push(("seen.custom".to_owned(), u32::from_be_bytes(*code).to_string()));
    i32::from(give_record(era, &message))
}

/// Gives back a record.
pub fn give_record(era: Era, message: &Message) -> bool {
    host::give_records(&[message.encode(era)])
}

/// Gives back what the first eras did.
pub fn give_http_result(_: Era, message: &Message) -> bool {
    host::give_http_result(&message.http_result())
}

/// The exports that all eras have. `HOOKS` is what the plugin wants to be called for.
#[macro_export]
macro_rules! exports {
    ($era:ident, $give_back:expr) => {
        use $crate::record::Era;

        static HOOKS: [u8; 16] = (1_u128 << 127 | 1 << 126 | 1 << 125 | 1).to_be_bytes();

        #[unsafe(no_mangle)]
        extern "C" fn check_payload() -> i32 {
            $crate::check(Era::$era)
        }
        #[unsafe(no_mangle)]
        extern "C" fn parse_payload() -> i32 {
            $crate::parse(Era::$era)
        }
        #[unsafe(no_mangle)]
        extern "C" fn on_http_req() -> i32 {
            $crate::http_request(Era::$era, $give_back)
        }
        #[unsafe(no_mangle)]
        extern "C" fn on_http_resp() -> i32 {
            $crate::http_response(Era::$era, $give_back)
        }
        #[unsafe(no_mangle)]
        extern "C" fn get_hook_bitmap() -> *const u8 {
            HOOKS.as_ptr()
        }
        /// Where there is no WASI, nobody makes a `_start` of `main`.
        #[cfg(all(target_family = "wasm", not(target_os = "wasi")))]
        #[unsafe(no_mangle)]
        extern "C" fn _start() {
            main();
        }
    };
}

/// The exports of the eras with custom messages.
#[macro_export]
macro_rules! custom_exports {
    ($era:ident) => {
        static CUSTOM_HOOK: [u8; 8] = 40_u64.to_be_bytes();

        #[unsafe(no_mangle)]
        extern "C" fn on_custom_message() -> i32 {
            $crate::custom_message(Era::$era)
        }
        #[unsafe(no_mangle)]
        extern "C" fn get_custom_message_hook() -> *const u8 {
            CUSTOM_HOOK.as_ptr()
        }
    };
}
