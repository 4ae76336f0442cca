//! The imports. A guest always passes its own buffer; what the host has for it is copied there.

#[cfg(target_family = "wasm")]
mod imports {
    #[link(wasm_import_module = "deepflow")]
    unsafe extern "C" {
        pub(super) fn vm_read_ctx_base(ptr: *mut u8, len: usize) -> i32;
        pub(super) fn vm_read_payload(ptr: *mut u8, len: usize) -> i32;
        pub(super) fn vm_read_http_req_info(ptr: *mut u8, len: usize) -> i32;
        pub(super) fn vm_read_http_resp_info(ptr: *mut u8, len: usize) -> i32;
        pub(super) fn vm_read_custom_message_info(ptr: *mut u8, len: usize) -> i32;
        pub(super) fn host_read_l7_protocol_info(ptr: *const u8, len: usize) -> i32;
        pub(super) fn host_read_str_result(ptr: *const u8, len: usize) -> i32;
        pub(super) fn host_read_http_result(ptr: *const u8, len: usize) -> i32;
    }
}

/// Natively there is no host: nothing can be read, nobody takes anything.
#[cfg(not(target_family = "wasm"))]
mod imports {
    macro_rules! nothing {
        ($($name:ident($ptr:ty);)*) => { $(pub(super) unsafe fn $name(_: $ptr, _: usize) -> i32 { 0 })* };
    }
    nothing! {
        vm_read_ctx_base(*mut u8);
        vm_read_payload(*mut u8);
        vm_read_http_req_info(*mut u8);
        vm_read_http_resp_info(*mut u8);
        vm_read_custom_message_info(*mut u8);
        host_read_l7_protocol_info(*const u8);
        host_read_str_result(*const u8);
        host_read_http_result(*const u8);
    }
}

fn read(import: unsafe fn(*mut u8, usize) -> i32, room: usize) -> Vec<u8> {
    let mut buffer = vec![0; room];
    // SAFETY: the host writes at most `room` bytes to the buffer.
    let len = unsafe { import(buffer.as_mut_ptr(), room) };
    buffer.truncate(usize::try_from(len).unwrap_or(0));
    buffer
}

fn give(import: unsafe fn(*const u8, usize) -> i32, bytes: &[u8]) -> bool {
    // SAFETY: the host reads these bytes.
    unsafe { import(bytes.as_ptr(), bytes.len()) == 1 }
}

macro_rules! wrap {
    ($name:ident) => {{
        unsafe fn call(ptr: *mut u8, len: usize) -> i32 {
            // SAFETY: as the caller has it.
            unsafe { imports::$name(ptr, len) }
        }
        call
    }};
    (const $name:ident) => {{
        unsafe fn call(ptr: *const u8, len: usize) -> i32 {
            // SAFETY: as the caller has it.
            unsafe { imports::$name(ptr, len) }
        }
        call
    }};
}

/// The call context.
pub fn context() -> Vec<u8> {
    read(wrap!(vm_read_ctx_base), 1024)
}

/// The payload; old plugins have room for 8192 bytes.
pub fn payload() -> Vec<u8> {
    read(wrap!(vm_read_payload), 8192)
}

/// What `on_http_req` is about.
pub fn http_request() -> Vec<u8> {
    read(wrap!(vm_read_http_req_info), 65_536)
}

/// What `on_http_resp` is about.
pub fn http_response(room: usize) -> Vec<u8> {
    read(wrap!(vm_read_http_resp_info), room)
}

/// What `on_custom_message` is about.
pub fn custom_message() -> Vec<u8> {
    read(wrap!(vm_read_custom_message_info), 65_536)
}

/// Gives back records.
pub fn give_records(records: &[Vec<u8>]) -> bool {
    let frame = |record: &Vec<u8>| [&(record.len() as u16).to_be_bytes()[..], record].concat();
    let batch: Vec<u8> = records.iter().flat_map(frame).collect();
    give(wrap!(const host_read_l7_protocol_info), &batch)
}

/// Names the protocol.
pub fn set_protocol(name: &str) -> bool {
    let bytes = [&(name.len() as u16).to_be_bytes()[..], name.as_bytes()].concat();
    give(wrap!(const host_read_str_result), &bytes)
}

/// What HTTP hooks of the first eras gave back.
pub fn give_http_result(bytes: &[u8]) -> bool {
    give(wrap!(const host_read_http_result), bytes)
}
