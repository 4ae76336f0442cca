//! What a guest may call: the contract's two imports, and for toolchains that insist on it a WASI preview 1 with
//! nothing behind it: no file, no argument, no network, random numbers from a fixed seed, clocks that show capture
//! time. Written here rather than taken from wasmtime-wasi, which brings an async executor, files and sockets that a
//! plugin must not have, and whose `poll_oneoff` really sleeps.

use protap_plugin::contract::{self, name};
use thiserror::Error;
use wasmtime::{Caller, Extern, Linker, Memory};

use crate::packet::Timestamp;
use crate::pair::Pairing;

/// Module name of WASI preview 1.
pub(super) const WASI: &str = "wasi_snapshot_preview1";
/// Functions of WASI preview 1 that are offered.
const WASI_FUNCTIONS: [&str; 18] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];
/// Longest log line, in bytes; the rest is cut.
const MAX_LOG_LINE: usize = 512;
/// Most log lines of one instance; the rest is counted.
const MAX_LOG_LINES: u64 = 100;
/// Most bytes that one `random_get` fills.
const MAX_RANDOM: u32 = 64 << 10;

/// Fuel that a call which writes or asks costs, beside the instruction itself: about what it takes the host.
pub(super) const CALL_COST: u64 = 100;

/// WASI error numbers.
pub(super) mod errno {
    pub(in crate::plugin) const SUCCESS: i32 = 0;
    pub(in crate::plugin) const BADF: i32 = 8;
    pub(in crate::plugin) const FAULT: i32 = 21;
    pub(in crate::plugin) const INVAL: i32 = 28;
    pub(in crate::plugin) const NOSYS: i32 = 52;
}

/// Whether a plugin may import this function.
#[must_use]
pub fn is_allowed(module: &str, field: &str) -> bool {
    match module {
        contract::IMPORT_MODULE => [name::PENDING, name::LOG].contains(&field),
        WASI => WASI_FUNCTIONS.contains(&field),
        _ => false,
    }
}

/// What the imports of one instance work on.
#[derive(Debug)]
pub struct HostState {
    /// The flow's pending requests, while a call about that flow runs.
    pub pairing: Option<Box<Pairing>>,
    /// Whose answer is being parsed: `true` if requests of the server end are asked for.
    pub asks_for_server_requests: bool,
    /// Capture time.
    pub now: Timestamp,
    /// Plugin name, for the log.
    pub plugin: String,
    /// The guest's memory, once it is known.
    pub memory: Option<Memory>,
    /// Cap on memories and tables.
    pub limits: wasmtime::StoreLimits,
    /// Lines that the log did not take any more.
    pub log_lines_dropped: u64,
    /// CPU time of this thread at which the running call is over its deadline; epoch mode only.
    pub deadline_cpu: std::time::Duration,
    /// How many calls' worth of CPU time the running call has.
    pub deadline_calls: u32,
    /// What the imports of a DeepFlow plugin work on.
    pub(super) deepflow: Option<Box<super::deepflow::Exchange>>,
    log_lines: u64,
    random: u64,
}

impl HostState {
    /// State for a new instance.
    #[must_use]
    pub fn new(plugin: &str, limits: wasmtime::StoreLimits) -> Self {
        Self {
            pairing: None,
            asks_for_server_requests: false,
            now: 0,
            plugin: plugin.to_owned(),
            memory: None,
            limits,
            log_lines_dropped: 0,
            deadline_cpu: std::time::Duration::MAX,
            deadline_calls: 1,
            deepflow: None,
            log_lines: 0,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// The context that `pending` asks for.
    #[must_use]
    pub fn pending(&self, select: i32, id: u64) -> Option<&[u8]> {
        self.pairing.as_deref()?.context(self.asks_for_server_requests, select, id)
    }

    /// Takes a line for the log.
    pub fn log(&mut self, level: i32, line: &[u8]) {
        if self.log_lines >= MAX_LOG_LINES {
            self.log_lines_dropped = self.log_lines_dropped.saturating_add(1);
            return;
        }
        self.log_lines += 1;
        let line = String::from_utf8_lossy(line.get(..MAX_LOG_LINE).unwrap_or(line));
        let line: String = line.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match level {
            ..=1 => tracing::warn!(plugin = %self.plugin, "{line}"),
            2 => tracing::info!(plugin = %self.plugin, "{line}"),
            _ => tracing::debug!(plugin = %self.plugin, "{line}"),
        }
    }

    /// splitmix64: the same numbers in every run.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Defines every import in the linker.
pub fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(
        contract::IMPORT_MODULE,
        name::PENDING,
        |mut caller: Guest<'_>, select: i32, id: i64, out: i32| {
            charge(&mut caller, CALL_COST);
            let Some(memory) = memory(&mut caller) else { return -1 };
            let (bytes, host) = memory.data_and_store_mut(&mut caller);
            let Some(context) = host.pending(select, id.cast_unsigned()) else { return -1 };
            let target = slice_mut(bytes, out, context.len());
            target.map_or(-1, |target| {
                target.copy_from_slice(context);
                i32::try_from(context.len()).unwrap_or(-1)
            })
        },
    )?;
    linker.func_wrap(contract::IMPORT_MODULE, name::LOG, |mut caller: Guest<'_>, level: i32, ptr: i32, len: i32| {
        charge(&mut caller, CALL_COST);
        let Some(memory) = memory(&mut caller) else { return };
        let (bytes, host) = memory.data_and_store_mut(&mut caller);
        let line = slice(bytes, ptr, len.cast_unsigned().min(MAX_LOG_LINE as u32) as usize);
        host.log(level, line.unwrap_or(b"(a log line out of bounds)"));
    })?;
    define_wasi(linker)
}

/// Defines what there is of WASI preview 1.
pub(super) fn define_wasi(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    define_wasi_data(linker)?;
    define_wasi_refusals(linker)
}

/// How a guest's `proc_exit` ends its call.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the guest called proc_exit({0})")]
pub(super) struct Exit(pub(super) i32);

pub(super) type Guest<'a> = Caller<'a, HostState>;

/// WASI functions that give something: time, random numbers, the log.
fn define_wasi_data(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    for function in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(WASI, function, |mut caller: Guest<'_>, count: i32, size: i32| {
            write(&mut caller, count, &[0; 4])
                .and_then(|()| write(&mut caller, size, &[0; 4]))
                .map_or(errno::FAULT, |()| errno::SUCCESS)
        })?;
    }
    for function in ["args_get", "environ_get"] {
        linker.func_wrap(WASI, function, |_: Guest<'_>, _: i32, _: i32| errno::SUCCESS)?;
    }
    linker.func_wrap(WASI, "clock_time_get", |mut caller: Guest<'_>, _: i32, _: i64, out: i32| {
        let now = caller.data().now.to_le_bytes();
        write(&mut caller, out, &now).map_or(errno::FAULT, |()| errno::SUCCESS)
    })?;
    linker.func_wrap(WASI, "clock_res_get", |mut caller: Guest<'_>, _: i32, out: i32| {
        write(&mut caller, out, &1_000_u64.to_le_bytes()).map_or(errno::FAULT, |()| errno::SUCCESS)
    })?;
    linker.func_wrap(WASI, "random_get", |mut caller: Guest<'_>, ptr: i32, len: i32| {
        if len.cast_unsigned() > MAX_RANDOM {
            return errno::INVAL;
        }
        charge(&mut caller, u64::from(len.cast_unsigned()));
        let Some(memory) = memory(&mut caller) else { return errno::FAULT };
        let (bytes, host) = memory.data_and_store_mut(&mut caller);
        let Some(target) = slice_mut(bytes, ptr, len.cast_unsigned() as usize) else { return errno::FAULT };
        for chunk in target.chunks_mut(8) {
            let random = host.random().to_le_bytes();
            chunk.copy_from_slice(random.get(..chunk.len()).unwrap_or_default());
        }
        errno::SUCCESS
    })?;
    linker.func_wrap(WASI, "fd_write", |mut caller: Guest<'_>, fd: i32, iovs: i32, count: i32, out: i32| {
        if !(1..=2).contains(&fd) {
            return errno::BADF;
        }
        charge(&mut caller, CALL_COST);
        let Some(memory) = memory(&mut caller) else { return errno::FAULT };
        let (bytes, host) = memory.data_and_store_mut(&mut caller);
        let Some(written) = write_to_log(bytes, host, iovs, count) else { return errno::FAULT };
        write(&mut caller, out, &written.to_le_bytes()).map_or(errno::FAULT, |()| errno::SUCCESS)
    })?;
    Ok(())
}

/// WASI functions that there is nothing behind.
fn define_wasi_refusals(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(WASI, "fd_close", |_: Guest<'_>, _: i32| errno::BADF)?;
    for function in ["fd_fdstat_get", "fd_fdstat_set_flags", "fd_prestat_get"] {
        linker.func_wrap(WASI, function, |_: Guest<'_>, _: i32, _: i32| errno::BADF)?;
    }
    linker.func_wrap(WASI, "fd_prestat_dir_name", |_: Guest<'_>, _: i32, _: i32, _: i32| errno::BADF)?;
    linker.func_wrap(WASI, "fd_read", |_: Guest<'_>, _: i32, _: i32, _: i32, _: i32| errno::BADF)?;
    linker.func_wrap(WASI, "fd_seek", |_: Guest<'_>, _: i32, _: i64, _: i32, _: i32| errno::BADF)?;
    linker.func_wrap(WASI, "poll_oneoff", |_: Guest<'_>, _: i32, _: i32, _: i32, _: i32| errno::NOSYS)?;
    linker.func_wrap(WASI, "sched_yield", |_: Guest<'_>| errno::SUCCESS)?;
    linker.func_wrap(WASI, "proc_exit", |_: Guest<'_>, code: i32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Exit(code)))
    })?;
    Ok(())
}

fn write_to_log(bytes: &[u8], host: &mut HostState, iovs: i32, count: i32) -> Option<u32> {
    const MAX_IOVS: u32 = 16;
    let mut written = 0_u32;
    for index in 0..count.cast_unsigned().min(MAX_IOVS) {
        let iov = slice(bytes, iovs.checked_add(i32::try_from(index * 8).ok()?)?, 8)?;
        let (ptr, len) = iov.split_first_chunk::<4>()?;
        let ptr = i32::from_le_bytes(*ptr);
        let len = u32::from_le_bytes(*len.first_chunk::<4>()?);
        host.log(2, slice(bytes, ptr, len.min(MAX_LOG_LINE as u32) as usize)?);
        written = written.checked_add(len)?;
    }
    Some(written)
}

/// Takes fuel for work that the host does for the guest, which would be free otherwise. Where calls are bounded by time
/// there is no fuel, and nothing to do: the host's work is in the thread's time.
pub(super) fn charge(caller: &mut Guest<'_>, units: u64) {
    if let Ok(fuel) = caller.get_fuel() {
        let _ = caller.set_fuel(fuel.saturating_sub(units));
    }
}

pub(super) fn memory(caller: &mut Guest<'_>) -> Option<Memory> {
    if let Some(memory) = caller.data().memory {
        return Some(memory);
    }
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    caller.data_mut().memory = memory;
    memory
}

fn write(caller: &mut Guest<'_>, ptr: i32, bytes: &[u8]) -> Option<()> {
    let memory = memory(caller)?;
    slice_mut(memory.data_mut(caller), ptr, bytes.len())?.copy_from_slice(bytes);
    Some(())
}

pub(super) fn slice(bytes: &[u8], ptr: i32, len: usize) -> Option<&[u8]> {
    let start = ptr.cast_unsigned() as usize;
    bytes.get(start..start.checked_add(len)?)
}

pub(super) fn slice_mut(bytes: &mut [u8], ptr: i32, len: usize) -> Option<&mut [u8]> {
    let start = ptr.cast_unsigned() as usize;
    bytes.get_mut(start..start.checked_add(len)?)
}
