//! A running plugin, whatever it runs on: the contract's calls with checked results. What a guest answers is read by
//! [`content`](super::content); this file only makes the calls and names what can go wrong with them.

use protap_plugin::contract::memory::{Fault, Memory};
use thiserror::Error;

use super::deepflow::{Checked, DeepFlowInstance, FlowView, HookedMessage};
use super::native::NativeInstance;
use super::wasm::WasmInstance;
use crate::packet::Timestamp;
use crate::pair::Pairing;
use crate::record::Content;

/// A warm instance of a plugin.
#[derive(Debug)]
pub enum Instance {
    /// In the sandbox.
    Wasm(Box<WasmInstance>),
    /// Linked into this program.
    Native(NativeInstance),
    /// In the sandbox, built for DeepFlow.
    DeepFlow(Box<DeepFlowInstance>),
}

/// Arguments of `parse` and `resync`.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The guest's name for the flow.
    pub handle: u32,
    /// Bits of [`protap_plugin::contract::flag`].
    pub flags: u32,
    /// Stream offset of the window's first byte.
    pub offset: u64,
    /// Bytes missing behind the window.
    pub gap: u64,
    /// Capture time, for guests that ask for the time.
    pub now: Timestamp,
}

/// Arguments of `probe`.
#[derive(Clone, Copy, Debug)]
pub struct ProbeCall<'a> {
    /// First bytes of the end that opened or spoke first.
    pub a: &'a [u8],
    /// First bytes of the other end.
    pub b: &'a [u8],
    /// Bits of [`protap_plugin::contract::flag`].
    pub flags: u32,
    /// A's port, and B's port in the upper half.
    pub ports: u32,
}

/// Such a plugin has no result in its memory.
const NOT_OF_THE_CONTRACT: CallError = CallError::Violation("a DeepFlow plugin has no such call");

/// What went wrong with a plugin, for the counters.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// The guest trapped.
    #[error("trap: {0}")]
    Trap(String),
    /// The guest ran longer than a call may.
    #[error("deadline exceeded")]
    Deadline,
    /// The guest broke the contract.
    #[error("contract violated: {0}")]
    Violation(&'static str),
    /// The guest's result cannot be read.
    #[error("result cannot be read: {0}")]
    Result(#[from] Fault),
}

impl CallError {
    /// Short name, for counters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Deadline => "deadline",
            Self::Violation(_) => "violation",
            Self::Result(_) => "bad result",
        }
    }
}

impl Instance {
    /// Hands the options to the plugin; the index of the one that it refused.
    pub fn configure(&mut self, options: &[(String, String)]) -> Result<Option<usize>, CallError> {
        if options.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for text in options.iter().flat_map(|(key, value)| [key, value]) {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        let refused = match self {
            Self::Wasm(instance) => instance.configure(&bytes)?,
            Self::Native(instance) => instance.configure(&bytes),
            Self::DeepFlow(instance) => return Ok(instance.configure(options)),
        };
        Ok(refused.checked_sub(1).map(|index| index as usize))
    }

    /// The contract's `protap_probe`.
    pub fn probe(&mut self, call: &ProbeCall<'_>) -> Result<u64, CallError> {
        match self {
            Self::Wasm(instance) => instance.probe(call),
            Self::Native(instance) => Ok(instance.probe(call)),
            Self::DeepFlow(_) => Ok(u64::from(protap_plugin::contract::probe::NO)),
        }
    }

    /// Whether a payload is of the protocol of a plugin that is asked payload by payload.
    pub fn check(&mut self, payload: &[u8], view: &FlowView<'_>) -> Result<Option<Checked>, CallError> {
        match self {
            Self::DeepFlow(instance) => instance.check(payload, view),
            Self::Wasm(_) | Self::Native(_) => Ok(None),
        }
    }

    /// What the plugin adds to a message that another one parsed.
    pub fn on_message(
        &mut self,
        message: &HookedMessage<'_>,
        view: &FlowView<'_>,
    ) -> Result<Option<Content>, CallError> {
        match self {
            Self::DeepFlow(instance) => instance.on_message(message, view),
            Self::Wasm(_) | Self::Native(_) => Ok(None),
        }
    }

    /// The contract's `protap_open`; 0 is "no room".
    pub fn open(&mut self, flags: u32, ports: u32) -> Result<u32, CallError> {
        match self {
            Self::DeepFlow(instance) => Ok(instance.open(None)),
            Self::Wasm(instance) => instance.open(flags, ports),
            Self::Native(instance) => Ok(instance.open()),
        }
    }

    /// The contract's `protap_close`.
    pub fn close(&mut self, handle: u32) -> Result<(), CallError> {
        match self {
            Self::Wasm(instance) => instance.close(handle),
            Self::Native(instance) => {
                instance.close(handle);
                Ok(())
            }
            Self::DeepFlow(instance) => {
                instance.close(handle);
                Ok(())
            }
        }
    }

    /// The contract's `protap_parse`: address of the result. `pairing` answers `pending` while the call runs.
    pub fn parse(&mut self, call: &Call, window: &[u8], pairing: &mut Option<Box<Pairing>>) -> Result<u32, CallError> {
        match self {
            Self::Wasm(instance) => instance.parse(call, window, pairing),
            Self::Native(instance) => Ok(instance.parse(call, window, pairing)),
            Self::DeepFlow(_) => Err(NOT_OF_THE_CONTRACT),
        }
    }

    /// The contract's `protap_resync`: address of the result.
    pub fn resync(&mut self, call: &Call, window: &[u8], pairing: &mut Option<Box<Pairing>>) -> Result<u32, CallError> {
        match self {
            Self::Wasm(instance) => instance.resync(call, window, pairing),
            Self::Native(instance) => Ok(instance.resync(call, window, pairing)),
            Self::DeepFlow(_) => Err(NOT_OF_THE_CONTRACT),
        }
    }

    /// The guest's memory, to read results from.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        match self {
            Self::Wasm(instance) => Memory(instance.memory()),
            Self::Native(instance) => Memory(instance.memory()),
            Self::DeepFlow(_) => Memory(&[]),
        }
    }

    /// Log lines of the guest that were dropped because it wrote too many, since the last call.
    pub fn take_log_lines_dropped(&mut self) -> u64 {
        match self {
            Self::Wasm(instance) => instance.take_log_lines_dropped(),
            Self::Native(_) => 0,
            Self::DeepFlow(instance) => instance.take_log_lines_dropped(),
        }
    }

    /// Fuel that the last call burned; `None` where it is not counted.
    #[must_use]
    pub fn fuel_used(&self) -> Option<u64> {
        match self {
            Self::Wasm(instance) => instance.fuel_used(),
            Self::Native(_) => None,
            Self::DeepFlow(instance) => instance.fuel_used(),
        }
    }

    /// Bytes of memory that the guest has.
    #[must_use]
    pub fn memory_len(&self) -> u64 {
        match self {
            Self::DeepFlow(instance) => instance.memory_len(),
            _ => self.memory().0.len() as u64,
        }
    }
}
