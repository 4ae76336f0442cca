//! A DeepFlow plugin behind the calls of the runtime's own contract: a probe is `check_payload`, parsing is
//! `parse_payload`. It lives as long as the plugin runs; the guest inside is thrown away after a fault and made anew at
//! the next call, with nothing lost but what the guest itself remembered.

use std::collections::HashMap;

use super::cut::{Cut, Cutter};
use super::era::Era;
use super::exchange::Exchange;
use super::flow::Flow;
use super::guest::{Entry, Guest};
use super::message::Payload;
use super::messages::HookedMessage;
use super::record::AppRecord;
use super::settings::Settings;
use super::view::FlowView;
use super::{Checked, DeepFlowModule};
use crate::plugin::content::{Message, MessagePart};
use crate::plugin::instance::CallError;
use crate::record::{Content, Kind};
use crate::running::{Answer, CallKind, ParseArguments};
use protap_plugin::contract::{ParseResult, flag, verb};

/// Names of protocols that a plugin may give.
const MAX_NAMES: usize = 256;
/// Least bytes of a payload that is checked, as DeepFlow has it.
const MIN_CHECKED: usize = 2;

/// A DeepFlow plugin that runs.
#[derive(Debug)]
pub struct DeepFlowInstance {
    module: DeepFlowModule,
    settings: Settings,
    guest: Option<Guest>,
    /// What outlived the last guest.
    exchange: Option<Exchange>,
    flows: HashMap<u32, Flow>,
    last_handle: u32,
    names: Vec<String>,
    /// Calls that returned something else than they may.
    bad_returns: u64,
    replaced_strings: u64,
}

impl DeepFlowInstance {
    pub(super) fn new(module: DeepFlowModule, guest: Guest) -> Self {
        Self {
            module,
            settings: Settings::default(),
            guest: Some(guest),
            exchange: None,
            flows: HashMap::new(),
            last_handle: 0,
            names: Vec::new(),
            bad_returns: 0,
            replaced_strings: 0,
        }
    }

    /// Sets the plugin's options; gives the index of the first that is refused.
    pub fn configure(&mut self, options: &[(String, String)]) -> Option<usize> {
        options.iter().position(|(key, value)| self.settings.set(key, value).is_none())
    }

    /// Whether the payload is of the plugin's protocol. `is_response` as far as is known.
    pub fn check(&mut self, payload: &[u8], view: &FlowView<'_>) -> Result<Option<Checked>, CallError> {
        if payload.len() < MIN_CHECKED {
            return Ok(None);
        }
        self.prepare(view, 0, payload)?;
        let answer = self.run(Entry::Check)?;
        let [number, direction, rest @ ..] = answer.to_le_bytes();
        if number == 0 && answer != 0 || direction > 2 || rest != [0, 0] {
            self.bad_returns += 1;
            return Ok(None);
        }
        if number == 0 {
            return Ok(None);
        }
        let name = self.exchange().and_then(|exchange| exchange.name.take()).unwrap_or_default();
        let is_response = [None, Some(false), Some(true)].get(usize::from(direction)).copied().flatten();
        Ok(Some(Checked { number, name: self.name_index(name), is_response }))
    }

    /// A flow is the plugin's; `claimed` is what it said when it claimed it.
    pub fn open(&mut self, claimed: Option<Checked>) -> u32 {
        self.last_handle = self.last_handle.wrapping_add(1).max(1);
        self.flows.insert(self.last_handle, Flow::new(claimed));
        self.last_handle
    }

    /// A flow is the plugin's no more.
    pub fn close(&mut self, handle: u32) {
        self.flows.remove(&handle);
    }

    /// The answer to `parse` and `resync`.
    pub fn answer(&mut self, kind: CallKind, call: &ParseArguments<'_>) -> Result<Answer, CallError> {
        if kind == CallKind::Resync {
            // A payload is whole in itself: any is a frame's start.
            return Ok(done(verb::FOUND, 0, 0, Vec::new()));
        }
        let Some(mut flow) = self.flows.remove(&call.handle.number()) else {
            return Err(CallError::Violation("a flow that was not opened"));
        };
        let answer = self.parse(&mut flow, call);
        self.flows.insert(call.handle.number(), flow);
        answer
    }

    fn parse(&mut self, flow: &mut Flow, call: &ParseArguments<'_>) -> Result<Answer, CallError> {
        let is_response = call.flags & flag::TO_CLIENT != 0;
        let is_last = call.flags & (flag::END | flag::GAP | flag::DATAGRAM) != 0;
        let cutter = Cutter { settings: self.settings, window: call.window, offset: call.offset, is_last };
        let payload = match cutter.cut(flow.lane(is_response), call.piece_at) {
            Cut::Pass(len) => return Ok(done(verb::MORE, len, 0, Vec::new())),
            Cut::Payload(payload) => payload,
        };
        let messages = self.payload(flow, payload, call, is_response)?;
        let lane = flow.lane(is_response);
        if cutter.wants_more(&messages) {
            lane.shown = call.window.len();
            return Ok(done(verb::NEED, 0, call.window.len() as u64 + 1, messages));
        }
        lane.shown = 0;
        Ok(done(verb::MORE, call.window.len(), 0, messages))
    }

    /// Hands a payload over, and makes messages of what comes back.
    fn payload(
        &mut self,
        flow: &mut Flow,
        payload: &[u8],
        call: &ParseArguments<'_>,
        is_response: bool,
    ) -> Result<Vec<Message>, CallError> {
        let view = FlowView { is_response, ..*call.flow };
        if flow.claimed.is_none() {
            flow.claimed = self.check(payload, &view)?;
        }
        let Some(claimed) = flow.claimed else { return Ok(Vec::new()) };
        self.prepare(&view, claimed.number, payload)?;
        let records = self.records(Entry::Parse)?;
        let name = self.names.get(claimed.name).map(String::as_str);
        let end = call.offset.saturating_add(call.window.len() as u64);
        let payload = Payload { start: call.offset, end, is_response };
        let mut messages = Vec::with_capacity(records.len());
        for record in records {
            self.replaced_strings += u64::from(record.replaced_strings);
            let part = match record.part_handle() {
                Some(handle) => flow.part(record.is_response(payload), handle, record.merge),
                None => MessagePart::Whole,
            };
            messages.push(record.into_message(payload, part, name));
        }
        Ok(messages)
    }

    /// A message that another plugin parsed: what this one adds to it. `None` if it is not called for it, or passes.
    pub fn on_message(
        &mut self,
        message: &HookedMessage<'_>,
        view: &FlowView<'_>,
    ) -> Result<Option<Content>, CallError> {
        let Some((entry, about, l7)) = self.module.hooks.of(message) else { return Ok(None) };
        // Plugins of the eras that had no custom messages were told 0, and may not survive anything else.
        let l7 = if self.module.has_custom_export { l7 } else { 0 };
        self.prepare(view, l7, message.bytes)?;
        if let Some(exchange) = self.exchange() {
            exchange.about = about;
        }
        let Some(record) = self.records(entry)?.pop() else { return Ok(None) };
        self.replaced_strings += u64::from(record.replaced_strings);
        let mut content = record.into_content(message.kind == Kind::Response, None);
        content.id = None;
        if let Some(extra) = &mut content.extra {
            extra.protocol = None;
        }
        Ok(Some(content))
    }

    /// Lays out what the next call may read: of the payload as much as the buffer takes. Nothing of the last one is left.
    fn prepare(&mut self, view: &FlowView<'_>, l7: u8, payload: &[u8]) -> Result<(), CallError> {
        let buf_size = self.settings.buf_size;
        let payload = payload.get(..usize::from(buf_size)).unwrap_or(payload);
        let guest = self.guest()?;
        guest.set_now(view.now);
        if let Some(exchange) = guest.exchange() {
            exchange.clear();
            exchange.is_response = view.is_response;
            view.base(l7, buf_size).encode(&mut exchange.base);
            exchange.payload.extend_from_slice(payload);
        }
        Ok(())
    }

    /// The records of a call that returns 1 if it has some, and 0 if not.
    fn records(&mut self, entry: Entry) -> Result<Vec<AppRecord>, CallError> {
        match self.run(entry)? {
            0 => Ok(Vec::new()),
            1 => Ok(self.exchange().and_then(|exchange| exchange.records.take()).unwrap_or_default()),
            _ => {
                self.bad_returns += 1;
                Ok(Vec::new())
            }
        }
    }

    fn run(&mut self, entry: Entry) -> Result<i32, CallError> {
        let before = self.era();
        let answer = self.guest()?.call(entry);
        match answer {
            Err(_) => self.drop_guest(),
            Ok(_) => {
                let era = self.era();
                if let Some(era) = era.filter(|_| era != before) {
                    tracing::info!(plugin = self.module.name, %era, "era of a DeepFlow plugin");
                }
            }
        }
        answer
    }

    /// The guest, which is made anew if the last one failed.
    fn guest(&mut self) -> Result<&mut Guest, CallError> {
        if self.guest.is_none() {
            let exchange = self.exchange.take().unwrap_or_else(|| self.module.exchange());
            let guest = Guest::start(&self.module.compiled, &self.module.name, exchange);
            self.guest = Some(guest.map_err(|error| CallError::Trap(error.to_string()))?);
        }
        self.guest.as_mut().ok_or(CallError::Violation("no instance"))
    }

    /// A guest that failed is never called again.
    pub fn drop_guest(&mut self) {
        if let Some(mut exchange) = self.guest.take().and_then(Guest::into_exchange) {
            exchange.clear();
            self.exchange = Some(exchange);
        }
    }

    fn exchange(&mut self) -> Option<&mut Exchange> {
        self.guest.as_mut().and_then(Guest::exchange)
    }

    fn name_index(&mut self, name: String) -> usize {
        match self.names.iter().position(|known| *known == name) {
            Some(index) => index,
            None if self.names.len() < MAX_NAMES => {
                self.names.push(name);
                self.names.len() - 1
            }
            None => usize::MAX,
        }
    }

    /// The era of the plugin's records, once one has told it.
    #[must_use]
    pub fn era(&self) -> Option<Era> {
        let running = self.guest.as_ref().and_then(Guest::decoder).and_then(super::era::Decoder::era);
        running.or_else(|| self.exchange.as_ref()?.decoder.era())
    }

    /// Records that made no sense and answers that there are not, since the last call.
    pub fn take_errors(&mut self) -> u64 {
        let bad = self.exchange().map_or(0, |exchange| std::mem::take(&mut exchange.bad_records));
        let kept = self.exchange.as_mut().map_or(0, |exchange| std::mem::take(&mut exchange.bad_records));
        bad + kept + std::mem::take(&mut self.bad_returns)
    }

    /// Strings that were not UTF-8, since the last call.
    pub fn take_replaced_strings(&mut self) -> u64 {
        std::mem::take(&mut self.replaced_strings)
    }

    /// Log lines that were dropped, since the last call.
    pub fn take_log_lines_dropped(&mut self) -> u64 {
        self.guest.as_mut().map_or(0, Guest::take_log_lines_dropped)
    }

    /// Bytes of memory that the guest has.
    #[must_use]
    pub fn memory_len(&self) -> u64 {
        self.guest.as_ref().map_or(0, |guest| guest.memory_len() as u64)
    }

    /// Fuel that the last call burned; `None` where it is not counted.
    #[must_use]
    pub fn fuel_used(&self) -> Option<u64> {
        self.guest.as_ref()?.fuel_used()
    }
}

fn done(verb: u32, consumed: usize, amount: u64, messages: Vec<Message>) -> Answer {
    let consumed = u32::try_from(consumed).unwrap_or(u32::MAX);
    Answer { result: ParseResult { verb, consumed, amount, ..ParseResult::default() }, messages, facts: Vec::new() }
}
