//! Plugins in the sandbox: one engine for all, one compile for each module, and warm instances with their functions
//! looked up once. A call is bounded by fuel (deterministic: the same input stops at the same instruction in every
//! run) or, for live traffic, by the CPU time of the thread that makes it.

use std::time::Duration;

use protap_plugin::contract::{self, flag, name};
use thiserror::Error;
use wasmtime::{
    Config, Engine, InstancePre, Linker, Memory, Module, OptLevel, Store, StoreLimitsBuilder, Trap, TypedFunc,
    UpdateDeadline,
};

use super::cache::ModuleCache;
use super::deepflow;
use super::imports::{self, HostState};
use super::instance::{Call, CallError, ProbeCall};
use super::module::{Abi, Inspected};
use crate::pair::Pairing;

/// Memory that a guest may have, in bytes.
pub const MAX_MEMORY: usize = 64 << 20;
/// Table elements that a guest may have.
const MAX_TABLE: usize = 100_000;
/// Stack that a guest may use, in bytes.
const MAX_STACK: usize = 512 << 10;
/// Fuel that one call may burn: about 10 ms of plain instructions, and no call of a sound plugin needs a tenth of it.
const CALL_FUEL: u64 = 20_000_000;
/// CPU time that one call may take.
pub const CALL_DEADLINE: Duration = Duration::from_millis(10);
/// CPU time that instantiation may take, in calls' worth: a garbage-collected guest sets up its heap here.
pub(super) const START_CALLS: u32 = 50;
/// How often a running guest's CPU time is looked at. To wake up for it costs a virtual machine some 20 µs.
const EPOCH: Duration = Duration::from_millis(5);

/// How a call's length is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// By instructions: for capture files and tests.
    Fuel,
    /// By the CPU time of the thread: for live traffic.
    CpuTime,
}

/// Compiles modules.
#[derive(Debug)]
pub struct WasmEngine {
    engine: Engine,
    deadline: Deadline,
    cache: Option<ModuleCache>,
}

/// A compiled module, ready to be instantiated by any worker.
#[derive(Clone)]
pub struct CompiledModule {
    pre: InstancePre<HostState>,
    deadline: Deadline,
    name: String,
}

impl std::fmt::Debug for CompiledModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledModule").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a module cannot be used.
#[derive(Debug, Error)]
pub enum WasmError {
    /// wasmtime refuses it.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// An export has not the contract's signature.
    #[error("its export `{0}` has not the signature of contract {version}", version = contract::VERSION)]
    Signature(&'static str),
    /// It fails before the first call.
    #[error("its start fails: {0}")]
    Start(String),
    /// An export is missing, or is not what DeepFlow's ABI has it to be.
    #[error("its export `{0}` is not that of DeepFlow's ABI")]
    Export(&'static str),
}

impl WasmEngine {
    /// An engine whose calls are bounded that way.
    pub fn new(deadline: Deadline) -> Result<Self, WasmError> {
        let mut config = Config::new();
        config.cranelift_opt_level(OptLevel::Speed);
        config.max_wasm_stack(MAX_STACK);
        config.wasm_backtrace_max_frames(None);
        match deadline {
            Deadline::Fuel => config.consume_fuel(true),
            Deadline::CpuTime => config.epoch_interruption(true),
        };
        let engine = Engine::new(&config).map_err(|error| WasmError::Compile(root_cause(&error)))?;
        if deadline == Deadline::CpuTime {
            tick(&engine).map_err(|error| WasmError::Start(error.to_string()))?;
        }
        Ok(Self { engine, deadline, cache: None })
    }

    /// The same, with compiled modules kept in a folder.
    #[must_use]
    pub fn with_cache(self, cache: Option<ModuleCache>) -> Self {
        Self { cache, ..self }
    }

    /// Compiles a module whose outline was checked.
    pub fn compile(&self, name: &str, bytes: &[u8], checked: &Inspected) -> Result<CompiledModule, WasmError> {
        let compile = |error: wasmtime::Error| WasmError::Compile(root_cause(&error));
        let cached = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, bytes));
        tracing::debug!(is_cached = cached.is_some(), bytes = bytes.len(), "module");
        let module = match cached {
            Some(module) => module,
            None => {
                let module = Module::new(&self.engine, bytes).map_err(compile)?;
                if let Some(cache) = &self.cache {
                    cache.store(&self.engine, bytes, &module);
                }
                module
            }
        };
        let mut linker = Linker::new(&self.engine);
        match checked.abi() {
            Abi::Protap => imports::define(&mut linker).map_err(compile)?,
            Abi::DeepFlow => deepflow::define(&mut linker).map_err(compile)?,
        }
        let pre = linker.instantiate_pre(&module).map_err(compile)?;
        Ok(CompiledModule { pre, deadline: self.deadline, name: name.to_owned() })
    }
}

/// Starts the thread that makes running guests look at their CPU time. It ends with the engine.
fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let run = move || {
        // It outlives what the program gives up later, and needs nothing.
        #[cfg(target_os = "linux")]
        let _ = crate::privilege::drop_all();
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH);
        }
    };
    std::thread::Builder::new().name("epoch".to_owned()).spawn(run).map(drop)
}

/// A running module.
pub struct WasmInstance {
    store: Store<HostState>,
    deadline: Deadline,
    memory: Memory,
    input_at: u32,
    input_len: usize,
    configure: TypedFunc<u32, u32>,
    probe: TypedFunc<(u32, u32, u32, u32), u64>,
    open: TypedFunc<(u32, u32), u32>,
    close: TypedFunc<u32, ()>,
    parse: TypedFunc<(u32, u32, u64, u32, u64), u32>,
    resync: TypedFunc<(u32, u32, u64, u32), u32>,
}

impl std::fmt::Debug for WasmInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmInstance").finish_non_exhaustive()
    }
}

impl CompiledModule {
    /// How long its calls may take.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// A store with the sandbox's limits, and the module instantiated in it, of which nothing was called.
    pub(super) fn start(&self) -> Result<(Store<HostState>, wasmtime::Instance), WasmError> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MAX_MEMORY)
            .table_elements(MAX_TABLE)
            .instances(1)
            .memories(1)
            .tables(4);
        let mut store = Store::new(self.pre.module().engine(), HostState::new(&self.name, limits.build()));
        store.limiter(|host| &mut host.limits);
        if self.deadline == Deadline::CpuTime {
            store.epoch_deadline_callback(|mut store| {
                let (now, host) = (thread_cpu_time(), store.data_mut());
                if host.deadline_cpu == Duration::MAX {
                    host.deadline_cpu = now.saturating_add(CALL_DEADLINE.saturating_mul(host.deadline_calls));
                }
                let is_over = now >= host.deadline_cpu;
                Ok(if is_over { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
            });
        }
        arm(&mut store, self.deadline, START_CALLS).map_err(|e| WasmError::Start(e.to_string()))?;
        let start = |error: wasmtime::Error| WasmError::Start(root_cause(&error));
        let instance = self.pre.instantiate(&mut store).map_err(start)?;
        Ok((store, instance))
    }

    /// A new instance whose input buffer holds `input_len` bytes.
    pub fn instantiate(&self, input_len: usize) -> Result<WasmInstance, WasmError> {
        let start = |error: wasmtime::Error| WasmError::Start(root_cause(&error));
        let (mut store, instance) = self.start()?;
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, "_initialize") {
            initialize.call(&mut store, ()).map_err(start)?;
        }
        let memory = instance.get_memory(&mut store, "memory").ok_or(WasmError::Signature("memory"))?;
        store.data_mut().memory = Some(memory);
        macro_rules! export {
            ($name:expr) => {
                instance.get_typed_func(&mut store, $name).map_err(|_| WasmError::Signature($name))?
            };
        }
        let input: TypedFunc<u32, u32> = export!(name::INPUT);
        let mut running = WasmInstance {
            deadline: self.deadline,
            memory,
            input_at: 0,
            input_len,
            configure: export!(name::CONFIGURE),
            probe: export!(name::PROBE),
            open: export!(name::OPEN),
            close: export!(name::CLOSE),
            parse: export!(name::PARSE),
            resync: export!(name::RESYNC),
            store,
        };
        let len = u32::try_from(input_len).unwrap_or(u32::MAX);
        running.input_at = input.call(&mut running.store, len).map_err(start)?;
        if running.input_at == 0 || running.input(0, input_len).is_none() {
            return Err(WasmError::Start("it has no memory for its input".to_owned()));
        }
        Ok(running)
    }
}

impl WasmInstance {
    pub(super) fn configure(&mut self, options: &[u8]) -> Result<u32, CallError> {
        let len = self.put(0, options)?;
        self.arm()?;
        self.configure.call(&mut self.store, len).map_err(|e| fault(&e))
    }

    pub(super) fn probe(&mut self, call: &ProbeCall<'_>) -> Result<u64, CallError> {
        let len_a = self.put(0, call.a)?;
        let len_b = self.put(call.a.len(), call.b)?;
        self.arm()?;
        self.probe.call(&mut self.store, (len_a, len_b, call.flags, call.ports)).map_err(|e| fault(&e))
    }

    pub(super) fn open(&mut self, flags: u32, ports: u32) -> Result<u32, CallError> {
        self.arm()?;
        self.open.call(&mut self.store, (flags, ports)).map_err(|e| fault(&e))
    }

    pub(super) fn close(&mut self, handle: u32) -> Result<(), CallError> {
        self.arm()?;
        self.close.call(&mut self.store, handle).map_err(|e| fault(&e))
    }

    pub(super) fn parse(
        &mut self,
        call: &Call,
        window: &[u8],
        pairing: &mut Option<Box<Pairing>>,
    ) -> Result<u32, CallError> {
        let len = self.enter(call, window, pairing)?;
        let arguments = (call.handle, call.flags, call.offset, len, call.gap);
        let result = self.parse.call(&mut self.store, arguments);
        self.leave(result, pairing)
    }

    pub(super) fn resync(
        &mut self,
        call: &Call,
        window: &[u8],
        pairing: &mut Option<Box<Pairing>>,
    ) -> Result<u32, CallError> {
        let len = self.enter(call, window, pairing)?;
        let result = self.resync.call(&mut self.store, (call.handle, call.flags, call.offset, len));
        self.leave(result, pairing)
    }

    pub(super) fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// Fuel that the last call burned; `None` where calls are bounded by time.
    pub(super) fn fuel_used(&self) -> Option<u64> {
        fuel_used(&self.store, 1)
    }

    pub(super) fn take_log_lines_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.store.data_mut().log_lines_dropped)
    }

    /// Hands over the window, and lends the guest what its imports work on; gives the window's length.
    fn enter(&mut self, call: &Call, window: &[u8], pairing: &mut Option<Box<Pairing>>) -> Result<u32, CallError> {
        let len = self.put(0, window)?;
        self.arm()?;
        let host = self.store.data_mut();
        host.now = call.now;
        host.asks_for_server_requests = call.flags & flag::TO_CLIENT == 0;
        host.pairing = pairing.take();
        Ok(len)
    }

    fn leave(&mut self, result: wasmtime::Result<u32>, pairing: &mut Option<Box<Pairing>>) -> Result<u32, CallError> {
        *pairing = self.store.data_mut().pairing.take();
        result.map_err(|error| fault(&error))
    }

    fn arm(&mut self) -> Result<(), CallError> {
        arm(&mut self.store, self.deadline, 1)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<u32, CallError> {
        let target = self.input(at, bytes.len()).ok_or(CallError::Violation("its input buffer is gone"))?;
        target.copy_from_slice(bytes);
        u32::try_from(bytes.len()).map_err(|_| CallError::Violation("input over 4 GiB"))
    }

    fn input(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        let end = at.checked_add(len).filter(|end| *end <= self.input_len)?;
        let input_at = self.input_at as usize;
        self.memory.data_mut(&mut self.store).get_mut(input_at.checked_add(at)?..input_at.checked_add(end)?)
    }
}

/// Gives the next call its fuel or its time.
pub(super) fn arm(store: &mut Store<HostState>, deadline: Deadline, calls: u32) -> Result<(), CallError> {
    match deadline {
        Deadline::Fuel => store
            .set_fuel(CALL_FUEL.saturating_mul(u64::from(calls)))
            .map_err(|_| CallError::Violation("the engine has no fuel"))?,
        Deadline::CpuTime => {
            // Reading the thread's CPU time costs a system call. A call that ends within an epoch never looks at it,
            // so it is read when the first epoch ends, which only lengthens the deadline by that much.
            store.data_mut().deadline_cpu = Duration::MAX;
            store.set_epoch_deadline(1);
            store.data_mut().deadline_calls = calls;
        }
    }
    Ok(())
}

/// Fuel burned since it was armed; `None` where calls are bounded by time.
pub(super) fn fuel_used(store: &Store<HostState>, calls: u32) -> Option<u64> {
    let left = store.get_fuel().ok()?;
    Some(CALL_FUEL.saturating_mul(u64::from(calls)).saturating_sub(left))
}

fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

pub(super) fn fault(error: &wasmtime::Error) -> CallError {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel | Trap::Interrupt) => CallError::Deadline,
        _ => CallError::Trap(root_cause(error)),
    }
}

pub(super) fn root_cause(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    cause.lines().next().unwrap_or("unknown").to_owned()
}
