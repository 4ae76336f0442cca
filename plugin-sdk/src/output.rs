//! Where a plugin's answer is put together, in the contract's layout: one arena of a fixed size, written from the
//! front, so that it never moves or grows. What does not fit is left out, and the message says so.

use crate::contract::{self, Attribute, Fact, Message, ParseResult, Str, completeness, kind, message, status, tag};
use crate::manifest::{Facts, Key};

/// Most messages in one answer.
const MESSAGES: usize = 64;
/// Most attributes in one answer.
const ATTRIBUTES: usize = 1024;
/// Most facts in one answer.
const FACTS: usize = 256;
/// Bytes for strings in one answer.
const STRINGS: usize = 64 << 10;

const MESSAGES_AT: usize = ParseResult::SIZE;
const ATTRIBUTES_AT: usize = MESSAGES_AT + MESSAGES * Message::SIZE;
const FACTS_AT: usize = ATTRIBUTES_AT + ATTRIBUTES * Attribute::SIZE;
const STRINGS_AT: usize = FACTS_AT + FACTS * Fact::SIZE;
const ARENA: usize = STRINGS_AT + STRINGS;

/// A third of the room for everything: what a message may count on when the parser is asked for one more.
const RESERVE: usize = 3;

/// Takes the messages and facts of one call.
#[derive(Debug)]
pub struct Output {
    arena: Vec<u8>,
    messages: usize,
    attributes: usize,
    facts: usize,
    strings: usize,
    start: u64,
    end: u64,
    overflows: u64,
}

impl Default for Output {
    fn default() -> Self {
        Self { arena: vec![0; ARENA], messages: 0, attributes: 0, facts: 0, strings: 0, start: 0, end: 0, overflows: 0 }
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
    pub fn message(&mut self, kind: Kind) -> MessageWriter<'_> {
        let message = Message {
            start: self.start,
            end: self.end,
            kind: match kind {
                Kind::Request => kind::REQUEST,
                Kind::Response => kind::RESPONSE,
                Kind::OneWay => kind::ONE_WAY,
            },
            attributes: Str { ptr: self.address(ATTRIBUTES_AT + self.attributes * Attribute::SIZE), len: 0 },
            attribute_stride: Attribute::SIZE as u32,
            ..Message::default()
        };
        MessageWriter { output: self, message, is_cut: false }
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
        let at = FACTS_AT + self.facts * Fact::SIZE;
        let (Some(key), Some(value)) = (self.string(key.as_bytes()), self.string(value.as_bytes())) else {
            self.overflows += 1;
            return;
        };
        let fact = Fact { namespace: u32::from(facts.0), reserved: 0, key, value };
        if self.facts < FACTS && self.put(at, |bytes| fact.write(bytes)) {
            self.facts += 1;
        } else {
            self.overflows += 1;
        }
    }

    /// Messages in the answer so far.
    #[must_use]
    pub fn message_count(&self) -> usize {
        self.messages
    }

    /// Whether one more message of ordinary size is sure to fit.
    pub(crate) fn has_room(&self) -> bool {
        self.messages < MESSAGES
            && self.attributes <= ATTRIBUTES - ATTRIBUTES / RESERVE
            && self.facts <= FACTS - FACTS / RESERVE
            && self.strings <= STRINGS - STRINGS / RESERVE
    }

    /// Where the next messages start and end, in stream offsets.
    pub(crate) fn set_span(&mut self, start: u64, end: u64) {
        (self.start, self.end) = (start, end);
    }

    /// Stands in for an output that is lent out; takes nothing.
    pub(crate) fn empty() -> Self {
        Self { arena: Vec::new(), messages: 0, attributes: 0, facts: 0, strings: 0, start: 0, end: 0, overflows: 0 }
    }

    pub(crate) fn clear(&mut self) {
        (self.messages, self.attributes, self.facts, self.strings) = (0, 0, 0, 0);
    }

    /// Writes the result's header; returns the address of the result.
    pub(crate) fn finish(&mut self, verb: u32, consumed: u32, amount: u64, reason: &str) -> u32 {
        let reason = self.string(reason.as_bytes()).unwrap_or_default();
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
        self.put(0, |bytes| result.write(bytes));
        self.address(0)
    }

    /// The arena: what takes the place of the guest's memory where a plugin is linked natively; addresses count
    /// from its start.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        &self.arena
    }

    fn put(&mut self, at: usize, write: impl FnOnce(&mut [u8]) -> Option<()>) -> bool {
        self.arena.get_mut(at..).and_then(write).is_some()
    }

    #[cfg(target_family = "wasm")]
    fn address(&self, at: usize) -> u32 {
        (self.arena.as_ptr() as usize + at) as u32
    }

    #[cfg(not(target_family = "wasm"))]
    fn address(&self, at: usize) -> u32 {
        at as u32
    }

    /// Copies a string into the arena; `None` if there is no room. An empty string is present, not absent.
    fn string(&mut self, text: &[u8]) -> Option<Str> {
        let at = STRINGS_AT + self.strings;
        let target = self.arena.get_mut(at..at.checked_add(text.len())?)?;
        target.copy_from_slice(text);
        self.strings += text.len();
        Some(Str { ptr: self.address(at), len: text.len() as u32 })
    }
}

/// Fills in one message. It is part of the answer once [`emit`](Self::emit) is called.
#[derive(Debug)]
#[must_use = "a message counts only once it is emitted"]
pub struct MessageWriter<'a> {
    output: &'a mut Output,
    message: Message,
    is_cut: bool,
}

macro_rules! text_setters {
    ($($name:ident, $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name(mut self, text: impl AsRef<[u8]>) -> Self {
            self.message.$name = self.text(text.as_ref());
            self
        }
    )*};
}

impl MessageWriter<'_> {
    text_setters! {
        type_name, "Command or API.";
        version, "Version of the protocol or of the API.";
        domain, "Where the resource lives: database, virtual host.";
        resource, "What is asked for or acted upon: topic, collection.";
        endpoint, "What to group by.";
        exception, "Name of the error.";
        result, "Outcome in words.";
    }

    /// Correlation id; without one, pairing is in order.
    pub fn id(mut self, id: u64) -> Self {
        self.message.id = id;
        self.flag(message::HAS_ID)
    }

    /// How the request ended.
    pub fn status(mut self, status: Status) -> Self {
        self.message.status = match status {
            Status::Unknown => status::UNKNOWN,
            Status::Ok => status::OK,
            Status::ClientError => status::CLIENT_ERROR,
            Status::ServerError => status::SERVER_ERROR,
            Status::Timeout => status::TIMEOUT,
        };
        self
    }

    /// The protocol's own status or error number.
    pub fn code(mut self, code: i64) -> Self {
        self.message.code = code;
        self.flag(message::HAS_CODE)
    }

    /// `resource` and `endpoint` are keys of facts in that namespace.
    pub fn resource_fact(mut self, facts: Facts, key: impl AsRef<[u8]>) -> Self {
        self.message.resource = self.text(key.as_ref());
        self.message.endpoint = self.message.resource;
        self.message.resource_facts = facts.0.saturating_add(1);
        self
    }

    /// Index into the manifest's protocols, if not 0.
    pub fn protocol(mut self, index: u16) -> Self {
        self.message.protocol = index;
        self
    }

    /// Bytes (at most 64) to be given back when the response is parsed.
    pub fn context(mut self, context: &[u8]) -> Self {
        let context = context.get(..contract::MAX_CONTEXT).unwrap_or(context);
        self.message.context = self.text(context);
        self
    }

    /// Only part of the message was decoded; why.
    pub fn partial(mut self, reason: &str) -> Self {
        self.message.completeness = self.message.completeness.max(completeness::PARTIAL);
        self.message.reason = self.text(reason.as_bytes());
        self
    }

    /// Only the header of the message was decoded; why.
    pub fn header_only(mut self, reason: &str) -> Self {
        self.message.completeness = completeness::HEADER;
        self.message.reason = self.text(reason.as_bytes());
        self
    }

    /// More responses to the same request follow, under the same id.
    pub fn more_replies(self) -> Self {
        self.flag(message::MORE_REPLIES)
    }

    /// More responses to the same request follow; the next one may bear `id` instead.
    pub fn next_id(mut self, id: u64) -> Self {
        self.message.next_id = id;
        self.flag(message::MORE_REPLIES | message::HAS_NEXT_ID)
    }

    /// The server may hold the request back on purpose.
    pub fn long_poll(self) -> Self {
        self.flag(message::LONG_POLL)
    }

    /// The message is built over several calls: its first part. Further parts bear the same handle.
    pub fn begin(mut self, handle: u32) -> Self {
        self.message.handle = handle;
        self.flag(message::BEGIN)
    }

    /// A further part of the message with that handle.
    pub fn amend(mut self, handle: u32) -> Self {
        self.message.handle = handle;
        self.flag(message::AMEND)
    }

    /// The last part of the message with that handle.
    pub fn finish(mut self, handle: u32) -> Self {
        self.message.handle = handle;
        self.flag(message::FINISH)
    }

    /// Where the message lies in its stream.
    pub fn span(mut self, start: u64, end: u64) -> Self {
        (self.message.start, self.message.end) = (start, end);
        self
    }

    /// Adds an attribute with a string value.
    pub fn str(mut self, key: Key, value: impl AsRef<[u8]>) -> Self {
        let value = self.text(value.as_ref()).to_value();
        self.attribute(key, tag::STR, 0, value)
    }

    /// Adds an attribute with an integer value.
    pub fn i64(self, key: Key, value: impl Into<i64>) -> Self {
        let value: i64 = value.into();
        self.attribute(key, tag::I64, 0, value.cast_unsigned())
    }

    /// Adds an attribute with a float value.
    pub fn f64(self, key: Key, value: f64) -> Self {
        self.attribute(key, tag::F64, 0, value.to_bits())
    }

    /// Adds an attribute with a boolean value.
    pub fn bool(self, key: Key, value: bool) -> Self {
        self.attribute(key, tag::BOOL, 0, u64::from(value))
    }

    /// Adds an attribute with a list of strings.
    pub fn list<S: AsRef<[u8]>>(mut self, key: Key, values: impl IntoIterator<Item = S>) -> Self {
        let value = self.strings(values).to_value();
        self.attribute(key, tag::LIST, 0, value)
    }

    /// Adds an attribute whose value is the name that a fact gives to `fact_key`.
    pub fn fact(mut self, key: Key, facts: Facts, fact_key: impl AsRef<[u8]>) -> Self {
        let value = self.text(fact_key.as_ref()).to_value();
        self.attribute(key, tag::REF, u32::from(facts.0), value)
    }

    /// Adds an attribute whose value is the list of names that facts give to the keys.
    pub fn fact_list<S: AsRef<[u8]>>(mut self, key: Key, facts: Facts, keys: impl IntoIterator<Item = S>) -> Self {
        let value = self.strings(keys).to_value();
        self.attribute(key, tag::REF_LIST, u32::from(facts.0), value)
    }

    /// Makes the message part of the answer.
    pub fn emit(mut self) {
        if self.is_cut {
            self = self.partial("no room in the answer");
        }
        let at = MESSAGES_AT + self.output.messages * Message::SIZE;
        let message = self.message;
        if self.output.messages < MESSAGES && self.output.put(at, |bytes| message.write(bytes)) {
            self.output.messages += 1;
        } else {
            self.output.overflows += 1;
        }
    }

    fn flag(mut self, bit: u32) -> Self {
        self.message.flags |= bit;
        self
    }

    fn text(&mut self, text: &[u8]) -> Str {
        self.output.string(text).unwrap_or_else(|| {
            self.is_cut = true;
            Str::default()
        })
    }

    fn strings<S: AsRef<[u8]>>(&mut self, values: impl IntoIterator<Item = S>) -> Str {
        // The array must be contiguous: the strings are copied first and their addresses kept aside in a block of
        // fixed size, then the addresses are copied behind them.
        const BLOCK: usize = 64;
        let mut block = [0; BLOCK * Str::SIZE];
        let mut len = 0;
        for (value, slot) in values.into_iter().zip(block.chunks_exact_mut(Str::SIZE)) {
            let text = self.text(value.as_ref());
            if text.write(slot).is_some() {
                len += 1;
            }
        }
        let array = self.text(block.get(..len * Str::SIZE).unwrap_or_default());
        Str { ptr: array.ptr, len: if array.ptr == 0 { 0 } else { len as u32 } }
    }

    fn attribute(mut self, key: Key, tag: u8, aux: u32, value: u64) -> Self {
        let attribute = Attribute { index: key.0, tag, reserved: 0, aux, value };
        let at = ATTRIBUTES_AT + self.output.attributes * Attribute::SIZE;
        if self.output.attributes < ATTRIBUTES && self.output.put(at, |bytes| attribute.write(bytes)) {
            self.output.attributes += 1;
            self.message.attributes.len += 1;
        } else {
            self.is_cut = true;
        }
        self
    }
}
