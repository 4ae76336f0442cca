//! What a DeepFlow plugin may call: nine functions of the module `deepflow`, and all of WASI preview 1, with nothing
//! behind it but what plugins of our own contract find there, too. All nine take a place in the guest's memory; each
//! place is checked before anything else is done, and what does not fit is an answer to the guest, never a fault here.

use wasmtime::{Caller, Linker};

use super::context::About;
use super::exchange::Exchange;
use crate::plugin::imports::{CALL_COST, Guest, HostState, WASI, charge, errno, memory, slice, slice_mut};

/// Module name of the ABI's own imports.
pub(super) const MODULE: &str = "deepflow";
/// Its functions.
const FUNCTIONS: [&str; 9] = [
    "wasm_log",
    "vm_read_ctx_base",
    "vm_read_payload",
    "vm_read_http_req_info",
    "vm_read_http_resp_info",
    "vm_read_custom_message_info",
    "host_read_l7_protocol_info",
    "host_read_str_result",
    HTTP_RESULT,
];
/// The import that only the first two eras had.
pub(super) const HTTP_RESULT: &str = "host_read_http_result";
/// Answers of functions that return a number of bytes.
const NOTHING: i32 = 0;
const TOO_SMALL: i32 = -1;
/// Bytes that the host reads or writes for about as much as an instruction costs.
const BYTES_PER_UNIT: usize = 8;

/// Whether a DeepFlow plugin may import this function.
pub(super) fn is_allowed(module: &str, field: &str) -> bool {
    match module {
        MODULE => FUNCTIONS.contains(&field),
        WASI => MORE_WASI.contains(&field) || crate::plugin::imports::is_allowed(module, field),
        _ => false,
    }
}

/// Defines every import in the linker.
pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    crate::plugin::imports::define_wasi(linker)?;
    define_more_wasi(linker)?;
    super::poll::define(linker)?;
    linker.func_wrap(MODULE, "wasm_log", |mut caller: Guest<'_>, ptr: i32, len: i32, level: i32| {
        charge(&mut caller, CALL_COST);
        let Some(memory) = memory(&mut caller) else { return };
        let (bytes, host) = memory.data_and_store_mut(&mut caller);
        let line = slice(bytes, ptr, len.cast_unsigned() as usize);
        let level = if level == 0 { 2 } else { 1 };
        host.log(level, line.unwrap_or(b"(a log line out of bounds)"));
    })?;
    define_reads(linker)?;
    define_results(linker)
}

/// What the guest reads of a call.
fn define_reads(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "vm_read_ctx_base", |caller: Guest<'_>, ptr: i32, len: i32| {
        read(caller, ptr, len, |exchange, _| Some(&exchange.base), NOTHING)
    })?;
    linker.func_wrap(MODULE, "vm_read_payload", |caller: Guest<'_>, ptr: i32, len: i32| {
        read(caller, ptr, len, |exchange, _| Some(&exchange.payload), TOO_SMALL)
    })?;
    linker.func_wrap(MODULE, "vm_read_http_req_info", |caller: Guest<'_>, ptr: i32, len: i32| {
        read(caller, ptr, len, http_request, NOTHING)
    })?;
    linker.func_wrap(MODULE, "vm_read_http_resp_info", |caller: Guest<'_>, ptr: i32, len: i32| {
        read(caller, ptr, len, http_response, NOTHING)
    })?;
    linker.func_wrap(MODULE, "vm_read_custom_message_info", |caller: Guest<'_>, ptr: i32, len: i32| {
        read(caller, ptr, len, custom_message, NOTHING)
    })?;
    Ok(())
}

fn http_request(exchange: &Exchange, _: usize) -> Option<&[u8]> {
    if let About::HttpRequest(request) = &exchange.about { Some(request) } else { None }
}

fn http_response(exchange: &Exchange, room: usize) -> Option<&[u8]> {
    if let About::HttpResponse(response) = &exchange.about { About::fitting(response, room) } else { None }
}

fn custom_message(exchange: &Exchange, _: usize) -> Option<&[u8]> {
    if let About::Custom(message) = &exchange.about { Some(message) } else { None }
}

/// What the guest gives back: 1 if it was understood.
fn define_results(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "host_read_l7_protocol_info", |caller: Guest<'_>, ptr: i32, len: i32| {
        take(caller, ptr, len, Exchange::take_records)
    })?;
    linker.func_wrap(MODULE, "host_read_str_result", |caller: Guest<'_>, ptr: i32, len: i32| {
        take(caller, ptr, len, Exchange::take_name)
    })?;
    linker.func_wrap(MODULE, HTTP_RESULT, |caller: Guest<'_>, ptr: i32, len: i32| {
        take(caller, ptr, len, Exchange::take_http_result)
    })?;
    Ok(())
}

/// Writes what `what` selects to the guest's memory: the number of bytes, or `otherwise` if it has too little room for
/// them. Outside of a call, and out of its memory, there is nothing.
fn read(
    mut caller: Caller<'_, HostState>,
    ptr: i32,
    len: i32,
    what: impl for<'a> Fn(&'a Exchange, usize) -> Option<&'a [u8]>,
    otherwise: i32,
) -> i32 {
    let room = len.cast_unsigned() as usize;
    let cost = caller.data().deepflow.as_deref().map_or(0, |exchange| exchange.payload.len() / BYTES_PER_UNIT);
    charge(&mut caller, CALL_COST + cost as u64);
    let Some(memory) = memory(&mut caller) else { return NOTHING };
    let (bytes, host) = memory.data_and_store_mut(&mut caller);
    let Some(target) = slice_mut(bytes, ptr, room) else { return NOTHING };
    let exchange = host.deepflow.as_deref().filter(|exchange| exchange.is_open());
    let Some(source) = exchange.and_then(|exchange| what(exchange, room)) else { return NOTHING };
    match target.get_mut(..source.len()) {
        Some(target) => {
            target.copy_from_slice(source);
            i32::try_from(source.len()).unwrap_or(NOTHING)
        }
        None => otherwise,
    }
}

fn take(mut caller: Caller<'_, HostState>, ptr: i32, len: i32, take: impl Fn(&mut Exchange, &[u8]) -> bool) -> i32 {
    let len = len.cast_unsigned() as usize;
    charge(&mut caller, CALL_COST + (len / BYTES_PER_UNIT) as u64);
    let Some(memory) = memory(&mut caller) else { return NOTHING };
    let (bytes, host) = memory.data_and_store_mut(&mut caller);
    let Some(bytes) = slice(bytes, ptr, len) else { return NOTHING };
    let Some(exchange) = host.deepflow.as_deref_mut().filter(|exchange| exchange.is_open()) else { return NOTHING };
    i32::from(take(exchange, bytes))
}

macro_rules! refused {
    ($($name:literal: ($($ty:ty),*) -> $errno:ident;)*) => {
        /// WASI functions that plugins of our contract do not get, as they have no use for them either.
        const MORE_WASI: &[&str] = &[$($name),*];

        /// The rest of WASI preview 1: there is no file, no folder and no socket.
        fn define_more_wasi(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
            $(linker.func_wrap(WASI, $name, |_: Guest<'_>, $(_: $ty),*| errno::$errno)?;)*
            Ok(())
        }
    };
}

refused! {
    "fd_advise": (i32, i64, i64, i32) -> BADF;
    "fd_allocate": (i32, i64, i64) -> BADF;
    "fd_datasync": (i32) -> BADF;
    "fd_fdstat_set_rights": (i32, i64, i64) -> BADF;
    "fd_filestat_get": (i32, i32) -> BADF;
    "fd_filestat_set_size": (i32, i64) -> BADF;
    "fd_filestat_set_times": (i32, i64, i64, i32) -> BADF;
    "fd_pread": (i32, i32, i32, i64, i32) -> BADF;
    "fd_pwrite": (i32, i32, i32, i64, i32) -> BADF;
    "fd_readdir": (i32, i32, i32, i64, i32) -> BADF;
    "fd_renumber": (i32, i32) -> BADF;
    "fd_sync": (i32) -> BADF;
    "fd_tell": (i32, i32) -> BADF;
    "path_create_directory": (i32, i32, i32) -> BADF;
    "path_filestat_get": (i32, i32, i32, i32, i32) -> BADF;
    "path_filestat_set_times": (i32, i32, i32, i32, i64, i64, i32) -> BADF;
    "path_link": (i32, i32, i32, i32, i32, i32, i32) -> BADF;
    "path_open": (i32, i32, i32, i32, i32, i64, i64, i32, i32) -> BADF;
    "path_readlink": (i32, i32, i32, i32, i32, i32) -> BADF;
    "path_remove_directory": (i32, i32, i32) -> BADF;
    "path_rename": (i32, i32, i32, i32, i32, i32) -> BADF;
    "path_symlink": (i32, i32, i32, i32, i32) -> BADF;
    "path_unlink_file": (i32, i32, i32) -> BADF;
    "proc_raise": (i32) -> NOSYS;
    "sock_accept": (i32, i32, i32) -> BADF;
    "sock_recv": (i32, i32, i32, i32, i32, i32) -> BADF;
    "sock_send": (i32, i32, i32, i32, i32) -> BADF;
    "sock_shutdown": (i32, i32) -> BADF;
}
