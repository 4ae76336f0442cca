//! A plugin as the host sees it: the contract's calls over whatever level of the SDK the plugin is written at. The
//! exported functions of a module do nothing but call this; a native host calls it directly.

use crate::contract::{flag, verb};
use crate::manifest::Manifest;
use crate::output::Output;
use crate::plugin::{Call, Heads, Progress, Resync, Verdict};

/// What the three levels of the SDK come down to. Implemented by the SDK's adapters alone.
pub trait Parser: Default + 'static {
    /// The plugin's manifest.
    const MANIFEST: Manifest;
    /// What is kept for a flow.
    type Flow: 'static;
    /// Takes one option.
    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str>;
    /// Whose protocol is this?
    fn probe(&self, heads: &Heads<'_>) -> Verdict;
    /// A flow begins.
    fn open(&mut self) -> Self::Flow;
    #[doc(hidden)]
    fn parse(&mut self, flow: &mut Self::Flow, call: ParserCall<'_>) -> Progress;
    #[doc(hidden)]
    fn resync(&mut self, flow: &mut Self::Flow, call: ParserCall<'_>) -> Resync;
}

/// A call's arguments, window and answer, on their way through the SDK.
#[derive(Debug)]
pub struct ParserCall<'a> {
    pub(crate) call: Call,
    pub(crate) window: &'a mut Vec<u8>,
    /// Boxed, so that it is quickly lent to whoever writes it; there whenever a call begins.
    pub(crate) output: &'a mut Option<Box<Output>>,
}

/// Most flows that a plugin keeps open; the host bounds them much lower.
const MAX_FLOWS: usize = 1 << 20;

/// One instance of a plugin: the state behind the contract's calls.
#[derive(Debug)]
pub struct Guest<P: Parser> {
    plugin: P,
    window: Vec<u8>,
    output: Option<Box<Output>>,
    flows: Vec<Option<P::Flow>>,
    free: Vec<u32>,
}

impl<P: Parser> Default for Guest<P> {
    fn default() -> Self {
        Self {
            plugin: P::default(),
            window: Vec::new(),
            output: Some(Box::default()),
            flows: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<P: Parser> Guest<P> {
    /// The contract's `protap_input`: makes the input buffer at least `len` bytes long and returns it.
    pub fn input(&mut self, len: usize) -> &mut [u8] {
        if self.window.len() < len {
            self.window.resize(len, 0);
        }
        &mut self.window
    }

    /// The contract's `protap_configure`: the first `len` bytes of the input are keys and values, each ended by a
    /// zero byte. 0, or 1 + index of the option that was refused.
    pub fn configure(&mut self, len: usize) -> u32 {
        let options = self.window.get(..len).unwrap_or_default().to_vec();
        let mut texts = options.split(|byte| *byte == 0);
        let mut index = 1;
        while let (Some(key), Some(value)) = (texts.next(), texts.next()) {
            let accepted = match (core::str::from_utf8(key), core::str::from_utf8(value)) {
                (Ok(key), Ok(value)) => self.plugin.configure(key, value),
                _ => Err("not UTF-8"),
            };
            if let Err(why) = accepted {
                crate::host::log(crate::host::Level::Warn, why);
                return index;
            }
            index += 1;
        }
        0
    }

    /// The contract's `protap_probe`: the input holds head A, then head B.
    pub fn probe(&mut self, len_a: usize, len_b: usize, flags: u32, ports: u32) -> u64 {
        let heads = self.window.split_at_checked(len_a).and_then(|(a, rest)| Some((a, rest.get(..len_b)?)));
        let Some((a, b)) = heads else { return Verdict::No.to_contract() };
        self.plugin.probe(&Heads::new(a, b, flags, ports)).to_contract()
    }

    /// The contract's `protap_open`.
    pub fn open(&mut self) -> u32 {
        if let Some(handle) = self.free.pop()
            && let Some(slot) = self.flows.get_mut(handle as usize - 1)
        {
            *slot = Some(self.plugin.open());
            return handle;
        }
        if self.flows.len() >= MAX_FLOWS {
            return 0;
        }
        self.flows.push(Some(self.plugin.open()));
        self.flows.len() as u32
    }

    /// The contract's `protap_close`.
    pub fn close(&mut self, handle: u32) {
        if let Some(slot) = (handle as usize).checked_sub(1).and_then(|index| self.flows.get_mut(index))
            && slot.take().is_some()
        {
            self.free.push(handle);
        }
    }

    /// The contract's `protap_parse`; returns the address of the result.
    pub fn parse(&mut self, handle: u32, flags: u32, offset: u64, len: usize, gap: u64) -> u32 {
        self.output.get_or_insert_default().clear();
        let call = Call { flags, offset, len: len.min(self.window.len()), gap };
        let Some(flow) = flow(&mut self.flows, handle) else { return self.no_flow() };
        let progress = self.plugin.parse(flow, ParserCall { call, window: &mut self.window, output: &mut self.output });
        let (verb, consumed, amount, reason) = match progress {
            Progress::More(consumed) => (verb::MORE, consumed, 0, ""),
            Progress::Need { consumed, amount } => (verb::NEED, consumed, amount, ""),
            Progress::Skip { consumed, amount } => (verb::SKIP, consumed, amount, ""),
            Progress::Reject(reason) => (verb::REJECT, 0, 0, reason),
            Progress::Opaque(reason) => (verb::OPAQUE, 0, 0, reason),
            Progress::Handover(offset, reason) => (verb::HANDOVER, 0, offset, reason),
            Progress::Invalid { consumed, reason } => (verb::INVALID, consumed, 0, reason),
            Progress::Lost => (verb::LOST, 0, 0, ""),
        };
        self.output.get_or_insert_default().finish(verb, to_u32(consumed), amount, reason)
    }

    /// The contract's `protap_resync`; returns the address of the result.
    pub fn resync(&mut self, handle: u32, flags: u32, offset: u64, len: usize) -> u32 {
        self.output.get_or_insert_default().clear();
        let call = Call { flags: flags & !flag::GAP, offset, len: len.min(self.window.len()), gap: 0 };
        let Some(flow) = flow(&mut self.flows, handle) else { return self.no_flow() };
        let found = self.plugin.resync(flow, ParserCall { call, window: &mut self.window, output: &mut self.output });
        let window = P::MANIFEST.window_len() as usize;
        let (verb, consumed, amount) = match found {
            Resync::Found(at) => (verb::FOUND, at, 0),
            Resync::Candidate { at, next } => (verb::CANDIDATE, at, next),
            // No header takes half a window: what is undecided so far back would stay so.
            Resync::Need { consumed, .. } if call.len >= window && consumed < window / 2 => (verb::MORE, window / 2, 0),
            // As much is there already.
            Resync::Need { consumed, amount } if consumed > 0 && amount <= call.len.saturating_sub(consumed) => {
                (verb::MORE, consumed, 0)
            }
            Resync::Need { consumed, amount } => (verb::NEED, consumed, amount.min(window) as u64),
        };
        self.output.get_or_insert_default().finish(verb, to_u32(consumed), amount, "")
    }

    /// What takes the place of the guest's memory in a native build.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.output.as_deref().map_or(&[], Output::memory)
    }

    fn no_flow(&mut self) -> u32 {
        self.output.get_or_insert_default().finish(verb::REJECT, 0, 0, "no such flow")
    }
}

/// What a plugin claims to have consumed is for the host to judge; it only must not come to look right.
fn to_u32(consumed: usize) -> u32 {
    u32::try_from(consumed).unwrap_or(u32::MAX)
}

fn flow<F>(flows: &mut [Option<F>], handle: u32) -> Option<&mut F> {
    flows.get_mut((handle as usize).checked_sub(1)?)?.as_mut()
}
