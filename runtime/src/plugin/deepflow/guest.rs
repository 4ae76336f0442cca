//! A running DeepFlow plugin: its exports, looked up once, and the five calls. A call is given what its imports may
//! read, and gives back what they were given. One that failed is not called again: whoever holds it makes a new one.

use wasmtime::{Memory, Store, TypedFunc};

use super::exchange::Exchange;
use super::hooks::{BITMAP, CUSTOM_HOOK, Hooks};
use crate::packet::Timestamp;
use crate::plugin::imports::{Exit, HostState};
use crate::plugin::instance::CallError;
use crate::plugin::wasm::{CompiledModule, Deadline, START_CALLS, WasmError, arm, fault, fuel_used, root_cause};

/// How many times as long as a call of our own contract a call may take: a collection of a guest's garbage takes tens of
/// milliseconds, and it comes when it comes.
const CALLS: u32 = 10;

/// What clocks show while a plugin starts, in nanoseconds: Go takes 0 for a broken one.
const START_TIME: Timestamp = 1_000_000_000;

/// A running plugin.
pub(super) struct Guest {
    store: Store<HostState>,
    deadline: Deadline,
    memory: Memory,
    check: TypedFunc<(), i32>,
    parse: TypedFunc<(), i32>,
    http_request: TypedFunc<(), i32>,
    http_response: TypedFunc<(), i32>,
    custom: Option<TypedFunc<(), i32>>,
    hooks: Hooks,
}

/// Which export is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Check,
    Parse,
    HttpRequest,
    HttpResponse,
    Custom,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

impl Guest {
    /// Starts a plugin, and asks what it wants to be called for.
    pub(super) fn start(module: &CompiledModule, name: &str, exchange: Exchange) -> Result<Self, WasmError> {
        let start = |error: wasmtime::Error| WasmError::Start(root_cause(&error));
        let (mut store, instance) = module.start()?;
        store.data_mut().deepflow = Some(Box::new(exchange));
        store.data_mut().now = START_TIME;
        name.clone_into(&mut store.data_mut().plugin);
        let memory = instance.get_memory(&mut store, "memory").ok_or(WasmError::Export("memory"))?;
        store.data_mut().memory = Some(memory);
        let mut export = |name: &'static str| {
            instance.get_typed_func::<(), i32>(&mut store, name).map_err(|_| WasmError::Export(name))
        };
        let (check, parse) = (export("check_payload")?, export("parse_payload")?);
        let (http_request, http_response) = (export("on_http_req")?, export("on_http_resp")?);
        let bitmap = export("get_hook_bitmap")?;
        let (custom, custom_hook) = (export("on_custom_message").ok(), export("get_custom_message_hook").ok());
        let begin = ["_start", "_initialize"].map(|name| instance.get_typed_func::<(), ()>(&mut store, name).ok());
        let begin = begin.into_iter().flatten().next().ok_or(WasmError::Export("_start"))?;
        match begin.call(&mut store, ()) {
            Err(error) if error.downcast_ref::<Exit>() != Some(&Exit(0)) => return Err(start(error)),
            _ => {}
        }
        let mut guest = Self {
            deadline: module.deadline(),
            store,
            memory,
            check,
            parse,
            http_request,
            http_response,
            custom,
            hooks: Hooks::default(),
        };
        let bitmap = guest.bytes_of::<BITMAP>(&bitmap)?.unwrap_or_default();
        let custom = match custom_hook {
            Some(hook) if guest.custom.is_some() => guest.bytes_of::<CUSTOM_HOOK>(&hook)?,
            _ => None,
        };
        guest.hooks = Hooks::new(bitmap, custom);
        Ok(guest)
    }

    /// The bytes that an export's pointer points to; none if it is 0. They are read before the guest is called again.
    fn bytes_of<const N: usize>(&mut self, export: &TypedFunc<(), i32>) -> Result<Option<[u8; N]>, WasmError> {
        let start = |error: wasmtime::Error| WasmError::Start(root_cause(&error));
        arm(&mut self.store, self.deadline, START_CALLS).map_err(|error| WasmError::Start(error.to_string()))?;
        let ptr = export.call(&mut self.store, ()).map_err(start)?.cast_unsigned() as usize;
        let memory = self.memory.data(&self.store);
        let bytes = memory.get(ptr..).and_then(|rest| rest.first_chunk::<N>());
        match (ptr, bytes) {
            (0, _) => Ok(None),
            (_, Some(bytes)) => Ok(Some(*bytes)),
            (_, None) => Err(WasmError::Start("its hooks are out of its memory".to_owned())),
        }
    }

    pub(super) fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// What the next call's imports work on.
    pub(super) fn exchange(&mut self) -> Option<&mut Exchange> {
        self.store.data_mut().deepflow.as_deref_mut()
    }

    /// Knows the era of its records.
    pub(super) fn decoder(&self) -> Option<&super::era::Decoder> {
        self.store.data().deepflow.as_deref().map(|exchange| &exchange.decoder)
    }

    /// Takes out what outlives the guest.
    pub(super) fn into_exchange(mut self) -> Option<Exchange> {
        self.store.data_mut().deepflow.take().map(|exchange| *exchange)
    }

    /// Calls an export, and gives what it returned.
    pub(super) fn call(&mut self, entry: Entry) -> Result<i32, CallError> {
        arm(&mut self.store, self.deadline, CALLS)?;
        let function = match entry {
            Entry::Check => &self.check,
            Entry::Parse => &self.parse,
            Entry::HttpRequest => &self.http_request,
            Entry::HttpResponse => &self.http_response,
            Entry::Custom => self.custom.as_ref().ok_or(CallError::Violation("it has no on_custom_message"))?,
        };
        function.call(&mut self.store, ()).map_err(|error| fault(&error))
    }

    /// What clocks show from now on; they never go back.
    pub(super) fn set_now(&mut self, now: Timestamp) {
        let clock = &mut self.store.data_mut().now;
        *clock = (*clock).max(now);
    }

    pub(super) fn memory_len(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    pub(super) fn take_log_lines_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.store.data_mut().log_lines_dropped)
    }

    /// Fuel that the last call burned; `None` where calls are bounded by time.
    pub(super) fn fuel_used(&self) -> Option<u64> {
        fuel_used(&self.store, CALLS)
    }
}
