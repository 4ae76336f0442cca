//! Where a plugin's answer is put together, in the contract's layout: one arena of a fixed size, written from the
//! front, so that it never moves or grows. What does not fit is left out, and the message says so.

use core::mem::offset_of;
use core::sync::atomic::{Ordering, compiler_fence};

use self::arena::Arena;
pub use self::message::MessageWriter;
pub(crate) use self::texts::part;
pub use self::texts::{Fixed, Read, Writable, Written};
use crate::contract::{Attribute, Fact, Message, ParseResult, Str, completeness, kind};
use crate::host;
use crate::manifest::Facts;

mod arena;
mod message;
mod pending;
mod texts;

/// Most messages in one answer.
const MESSAGES: usize = 64;
/// Most attributes in one answer.
const ATTRIBUTES: usize = 1024;
/// Most facts in one answer.
const FACTS: usize = 256;
/// Most elements of lists in one answer.
const LISTS: usize = 4096;
/// Bytes for strings in one answer.
const STRINGS: usize = 64 << 10;
/// Bytes beside them for reasons, which are to be said even where all else is full.
const REASONS: usize = 8 << 10;

const MESSAGES_AT: usize = ParseResult::SIZE;
/// Behind the messages there is a place for one that is put together though there is no room for it.
const ATTRIBUTES_AT: usize = MESSAGES_AT + (MESSAGES + 1) * Message::SIZE;
const FACTS_AT: usize = ATTRIBUTES_AT + ATTRIBUTES * Attribute::SIZE;
const LISTS_AT: usize = FACTS_AT + FACTS * Fact::SIZE;
const STRINGS_AT: usize = LISTS_AT + LISTS * Str::SIZE;
const ARENA: usize = STRINGS_AT + STRINGS + REASONS;

/// A third of the room for everything: what a message may count on when the parser is asked for one more.
const RESERVE: usize = 3;

/// Stands for the end of messages where only the parser's answer will tell it.
const END_OPEN: u64 = u64::MAX;

/// Takes the messages and facts of one call.
#[derive(Debug)]
pub struct Output {
    arena: Arena,
    messages: usize,
    attributes: usize,
    facts: usize,
    lists: usize,
    strings: usize,
    start: u64,
    end: u64,
    /// In-order responses in the answer that are the last to their requests.
    answered: u16,
    /// A bit for each id in the answer, by its lowest digits.
    ids: u64,
    /// Messages and facts that were left out.
    overflows: u64,
    /// What is emitted now is partial, because of this.
    cut: Option<&'static str>,
    draft: Draft,
}

/// What is not written at once of the message that is being put together, in the place behind those that are emitted.
#[derive(Clone, Copy, Debug, Default)]
struct Draft {
    flags: u32,
    kind: u8,
    completeness: u8,
    /// Number of the answer's attributes before its own.
    first_attribute: usize,
    /// There was no room for all of it.
    is_cut: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            arena: arena::new(),
            messages: 0,
            attributes: 0,
            facts: 0,
            lists: 0,
            strings: 0,
            start: 0,
            end: 0,
            answered: 0,
            ids: 0,
            overflows: 0,
            cut: None,
            draft: Draft::default(),
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing is known about it.
    #[default]
    Unknown,
    /// It succeeded.
    Ok,
    /// It failed, and the client is to blame.
    ClientError,
    /// It failed, and the server is to blame.
    ServerError,
    /// It failed for lack of time.
    Timeout,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks for an answer.
    Request,
    /// Answers a request of the peer.
    Response,
    /// Neither is an answer nor gets one.
    OneWay,
}

impl Output {
    /// Begins a message of that kind. The SDK fills in where it starts and ends; [`MessageWriter::span`] overrides.
    #[inline]
    pub fn message(&mut self, kind: Kind) -> MessageWriter<'_> {
        let kind = match kind {
            Kind::Request => kind::REQUEST,
            Kind::Response => kind::RESPONSE,
            Kind::OneWay => kind::ONE_WAY,
        };
        let (start, end) = (self.start, self.end);
        let attributes = Str { ptr: self.address(ATTRIBUTES_AT + self.attributes * Attribute::SIZE), len: 0 };
        if let Some(bytes) = self.message_bytes(self.messages) {
            clear(bytes);
        }
        self.set(offset_of!(Message, start), &start);
        self.set(offset_of!(Message, end), &end);
        self.set(offset_of!(Message, kind), &kind);
        self.set(offset_of!(Message, attributes), &attributes);
        self.set(offset_of!(Message, attribute_stride), &(Attribute::SIZE as u32));
        self.draft = Draft { kind, first_attribute: self.attributes, ..Draft::default() };
        MessageWriter { output: self }
    }

    /// Begins a request.
    pub fn request(&mut self, type_name: &str) -> MessageWriter<'_> {
        self.message(Kind::Request).type_name(type_name)
    }

    /// Begins a response.
    pub fn response(&mut self, status: Status) -> MessageWriter<'_> {
        self.message(Kind::Response).status(status)
    }

    /// Begins a one-way message.
    pub fn one_way(&mut self, type_name: &str) -> MessageWriter<'_> {
        self.message(Kind::OneWay).type_name(type_name)
    }

    /// Emits a fact: in namespace `facts`, `key` is called `value`.
    pub fn fact(&mut self, facts: Facts, key: &str, value: &str) {
        let (Some(key), Some(value)) = (self.string(key.as_bytes()), self.string(value.as_bytes())) else {
            self.overflows += 1;
            return;
        };
        let fact = Fact { namespace: u32::from(facts.0), reserved: 0, key, value };
        let bytes = self.entry::<{ FACTS_AT }, { LISTS_AT }, { Fact::SIZE }>(self.facts);
        match bytes.and_then(|bytes| fact.write(bytes)) {
            Some(()) => self.facts += 1,
            None => self.overflows += 1,
        }
    }

    /// Messages in the answer so far.
    #[must_use]
    pub fn message_count(&self) -> usize {
        self.messages
    }

    /// Whether one more message of ordinary size is sure to fit. Where a [`Raw`](crate::Raw) parser finds that it is not,
    /// it leaves the rest of the window: it is called again with that at once.
    #[must_use]
    #[inline]
    pub fn has_room(&self) -> bool {
        self.messages < MESSAGES
            && self.attributes <= ATTRIBUTES - ATTRIBUTES / RESERVE
            && self.facts <= FACTS - FACTS / RESERVE
            && self.lists <= LISTS - LISTS / RESERVE
            && self.strings <= STRINGS - STRINGS / RESERVE
    }

    /// Where the next messages start and end, in stream offsets.
    pub(crate) fn set_span(&mut self, start: u64, end: u64) {
        (self.start, self.end) = (start, end);
    }

    /// Where the next messages start; their end is where [`close_spans`](Self::close_spans) says.
    pub(crate) fn open_span(&mut self, start: u64) {
        self.set_span(start, END_OPEN);
    }

    /// Ends the messages that were emitted since [`open_span`](Self::open_span) and did not set their span.
    pub(crate) fn close_spans(&mut self, end: u64) {
        for index in 0..self.messages {
            self.update(index, |message| {
                if message.end == END_OPEN {
                    message.end = end.max(message.start);
                }
            });
        }
    }

    /// Messages emitted from now on are partial for that reason, if there is one.
    pub(crate) fn set_cut(&mut self, reason: Option<&'static str>) {
        self.cut = reason;
    }

    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        (self.messages, self.attributes, self.facts, self.lists, self.strings) = (0, 0, 0, 0, 0);
        (self.start, self.end) = (0, 0);
        (self.answered, self.ids, self.overflows, self.cut) = (0, 0, 0, None);
    }

    /// Writes the result's header; returns the address of the result.
    #[inline]
    pub(crate) fn finish(&mut self, verb: u32, consumed: u32, amount: u64, reason: &str) -> u32 {
        if self.overflows > 0 {
            self.admit_overflow();
        }
        let reason = if reason.is_empty() { Str::default() } else { self.reason(reason).unwrap_or_default() };
        let result = ParseResult {
            verb,
            consumed,
            amount,
            messages: self.address(MESSAGES_AT),
            message_count: self.messages as u32,
            message_stride: Message::SIZE as u32,
            facts: self.address(FACTS_AT),
            fact_count: self.facts as u32,
            fact_stride: Fact::SIZE as u32,
            reason,
        };
        result.write(self.arena.as_mut_slice());
        self.address(0)
    }

    /// The arena: what takes the place of the guest's memory where a plugin is linked natively; addresses count
    /// from its start.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.arena.as_slice()
    }

    /// A message of the answer or, behind them, the one that is being put together.
    #[inline]
    fn message_bytes(&mut self, index: usize) -> Option<&mut [u8; Message::SIZE]> {
        self.entry::<{ MESSAGES_AT }, { ATTRIBUTES_AT }, { Message::SIZE }>(index)
    }

    /// An entry of the array that lies from one place to another.
    #[inline]
    fn entry<const FROM: usize, const TO: usize, const SIZE: usize>(
        &mut self,
        index: usize,
    ) -> Option<&mut [u8; SIZE]> {
        self.arena.get_mut(FROM..TO)?.as_chunks_mut().0.get_mut(index)
    }

    #[cfg(target_family = "wasm")]
    fn address(&self, at: usize) -> u32 {
        (self.arena.as_ptr() as usize + at) as u32
    }

    #[cfg(not(target_family = "wasm"))]
    fn address(&self, at: usize) -> u32 {
        at as u32
    }

    fn update(&mut self, index: usize, change: impl FnOnce(&mut Message)) {
        let Some(bytes) = self.message_bytes(index) else { return };
        if let Some(mut message) = Message::read(bytes) {
            change(&mut message);
            message.write(bytes);
        }
    }

    /// What was left out cannot say so itself: the last message does, and the log.
    #[cold]
    fn admit_overflow(&mut self) {
        host::log(host::Level::Warn, "an answer was full: messages or facts were left out");
        let reason = self.reason("the answer was full, others were left out").unwrap_or_default();
        if let Some(last) = self.messages.checked_sub(1) {
            self.update(last, |message| {
                message.completeness = message.completeness.max(completeness::PARTIAL);
                message.reason = reason;
            });
        }
    }
}

/// Fills a message with zeros. As one piece they would be written by a call of the host, in Wasm, which costs more than they
/// do; the fences keep the compiler from making one piece of them.
#[inline]
fn clear(message: &mut [u8; Message::SIZE]) {
    const PIECE: usize = Message::SIZE / 3;
    for piece in message.as_chunks_mut::<PIECE>().0 {
        *piece = [0; PIECE];
        compiler_fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Output, Status};
    use crate::contract::memory::{MAX_ATTRIBUTES, MAX_LIST, Memory};
    use crate::contract::{Message, Str, completeness, verb};
    use crate::manifest::Key;

    fn messages(output: &mut Output) -> Vec<Message> {
        let address = output.finish(verb::MORE, 0, 0, "");
        let memory = Memory(output.memory());
        memory.messages(&memory.result(address).unwrap()).unwrap().collect()
    }

    #[test]
    fn attributes_and_lists_over_the_contracts_limits_are_left_out_and_admitted() {
        let mut output = Output::default();
        let message = output.message(Kind::OneWay).list(Key(0), (0..1000).map(|n| n.to_string()));
        (0..1000_i64).fold(message, |message, n| message.i64(Key(1), n)).emit();
        let message = messages(&mut output)[0];
        assert_eq!((message.attributes.len, message.completeness), (MAX_ATTRIBUTES, completeness::PARTIAL));
        let memory = Memory(output.memory());
        let list = memory.attributes(&message).unwrap().next().unwrap();
        assert_eq!(memory.list("list", Str::from_value(list.value)).unwrap().count(), MAX_LIST as usize);
    }

    #[test]
    fn a_reason_has_room_where_strings_have_none() {
        let mut output = Output::default();
        output.response(Status::Ok).exception([b'x'; 60_000]).emit();
        output.response(Status::Ok).exception([b'y'; 60_000]).header_only("compressed").emit();
        output.response(Status::Ok).exception("").emit();
        let messages = messages(&mut output);
        let memory = Memory(output.memory());
        let reason = |message: &Message| memory.string("reason", message.reason).unwrap();
        assert_eq!(messages.iter().map(reason).collect::<Vec<_>>(), [None, Some(&b"compressed"[..]), None]);
        assert_eq!(memory.string("exception", messages[1].exception), Ok(None));
        assert_eq!(memory.string("exception", messages[2].exception), Ok(Some(&[][..])));
    }
}
