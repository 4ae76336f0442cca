//! What a plugin may ask of its host, beside what the host hands it. In a module these are the contract's two
//! imports; in native builds (tests, plugins linked into a host) whoever drives the plugin answers, by way of a
//! thread-local.

use crate::contract;

/// The bytes that a request left with the host for the sake of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    bytes: [u8; contract::MAX_CONTEXT],
    len: usize,
}

impl core::ops::Deref for Context {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Context of the peer's pending request with this id.
#[must_use]
pub fn pending(id: u64) -> Option<Context> {
    ask(contract::pending::BY_ID, id)
}

/// Context of the peer's `n`th oldest pending request that has no id. When one call parses several in-order
/// responses, the first asks for 0, the second for 1.
#[must_use]
pub fn pending_front(n: u16) -> Option<Context> {
    ask(contract::pending::FRONT.saturating_add(i32::from(n)), 0)
}

fn ask(select: i32, id: u64) -> Option<Context> {
    let mut context = Context { bytes: [0; contract::MAX_CONTEXT], len: 0 };
    let len = import::pending(select, id, &mut context.bytes);
    context.len = usize::try_from(len).ok()?;
    Some(context)
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The plugin or its input is in trouble.
    Warn = 1,
    /// Worth knowing.
    Info = 2,
    /// For the plugin's author.
    Debug = 3,
}

/// Sends a line to the host's log, which caps length and number of lines.
pub fn log(level: Level, line: &str) {
    import::log(level as i32, line);
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the contract's imports are foreign functions")]
mod import {
    use crate::contract;

    #[link(wasm_import_module = "protap")]
    unsafe extern "C" {
        #[link_name = "pending"]
        fn import_pending(select: i32, id: u64, out: *mut u8) -> i32;
        #[link_name = "log"]
        fn import_log(level: i32, ptr: *const u8, len: usize);
    }

    pub(super) fn pending(select: i32, id: u64, out: &mut [u8; contract::MAX_CONTEXT]) -> i32 {
        // SAFETY: the host writes at most MAX_CONTEXT bytes to `out`, which is that long.
        unsafe { import_pending(select, id, out.as_mut_ptr()) }
    }

    pub(super) fn log(level: i32, line: &str) {
        // SAFETY: the host reads `len` bytes from `ptr`, which are those of `line`.
        unsafe { import_log(level, line.as_ptr(), line.len()) }
    }
}

#[cfg(not(target_family = "wasm"))]
pub use native::{NativeHost, with_host};

#[cfg(not(target_family = "wasm"))]
use native as import;

#[cfg(not(target_family = "wasm"))]
mod native {
    use core::cell::RefCell;

    use crate::contract;

    /// Answers the contract's imports in a native build.
    pub trait NativeHost {
        /// See [`contract::pending`].
        fn pending(&mut self, select: i32, id: u64, out: &mut [u8; contract::MAX_CONTEXT]) -> i32;
        /// A line for the log.
        fn log(&mut self, level: i32, line: &str);
    }

    thread_local! {
        static HOST: RefCell<Option<Box<dyn NativeHost>>> = const { RefCell::new(None) };
    }

    /// Runs `call` with `host` answering the imports; gives the host back. Without one, nothing is pending.
    pub fn with_host<T>(host: Box<dyn NativeHost>, call: impl FnOnce() -> T) -> (T, Option<Box<dyn NativeHost>>) {
        let outer = HOST.replace(Some(host));
        let result = call();
        (result, HOST.replace(outer))
    }

    pub(super) fn pending(select: i32, id: u64, out: &mut [u8; contract::MAX_CONTEXT]) -> i32 {
        HOST.with_borrow_mut(|host| host.as_mut().map_or(-1, |host| host.pending(select, id, out)))
    }

    pub(super) fn log(level: i32, line: &str) {
        HOST.with_borrow_mut(|host| {
            if let Some(host) = host {
                host.log(level, line);
            }
        });
    }
}
