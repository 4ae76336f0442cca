//! One message on its way into the answer: setters for all that the contract lets a message say.

use super::{ATTRIBUTES, ATTRIBUTES_AT, MESSAGES, MESSAGES_AT, Output, Status};
use crate::contract::memory::{MAX_ATTRIBUTES, MAX_LIST};
use crate::contract::{self, Attribute, Message, Str, completeness, kind, message, status, tag};
use crate::manifest::{Facts, Key};

/// Fills in one message. It is part of the answer once [`emit`](Self::emit) is called.
#[derive(Debug)]
#[must_use = "a message counts only once it is emitted"]
pub struct MessageWriter<'a> {
    pub(super) output: &'a mut Output,
    pub(super) message: Message,
    pub(super) is_cut: bool,
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
        self.message.reason = self.output.reason(reason).unwrap_or_default();
        self
    }

    /// Only the header of the message was decoded; why.
    pub fn header_only(mut self, reason: &str) -> Self {
        self.message.completeness = completeness::HEADER;
        self.message.reason = self.output.reason(reason).unwrap_or_default();
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

    /// No message: the side that sends this withdraws the request that bears its [`id`](Self::id).
    pub fn cancel(self) -> Self {
        self.flag(message::CANCEL)
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
        let cut = if self.is_cut { Some("no room in the answer") } else { self.output.cut };
        if let Some(reason) = cut.filter(|_| self.message.completeness == completeness::FULL) {
            self = self.partial(reason);
        }
        let at = MESSAGES_AT + self.output.messages * Message::SIZE;
        let message = self.message;
        if self.output.messages < MESSAGES && self.output.put(at, |bytes| message.write(bytes)) {
            self.output.messages += 1;
            self.output.answered += u16::from(self.is_last_in_order());
        } else {
            self.output.overflows += 1;
        }
    }

    /// Whether the message takes the oldest in-order request from those that are pending.
    fn is_last_in_order(&self) -> bool {
        let goes_on = message::HAS_ID | message::MORE_REPLIES | message::BEGIN | message::AMEND;
        self.message.kind == kind::RESPONSE && self.message.flags & goes_on == 0
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
        let mut block = [0; MAX_LIST as usize * Str::SIZE];
        let mut slots = block.chunks_exact_mut(Str::SIZE);
        let mut len = 0;
        for value in values {
            let Some(slot) = slots.next() else {
                self.is_cut = true;
                break;
            };
            if self.output.string(value.as_ref()).and_then(|text| text.write(slot)).is_none() {
                self.is_cut = true;
                break;
            }
            len += 1;
        }
        let array = self.text(block.get(..len * Str::SIZE).unwrap_or_default());
        Str { ptr: array.ptr, len: if array.ptr == 0 { 0 } else { len as u32 } }
    }

    fn attribute(mut self, key: Key, tag: u8, aux: u32, value: u64) -> Self {
        let attribute = Attribute { index: key.0, tag, reserved: 0, aux, value };
        let at = ATTRIBUTES_AT + self.output.attributes * Attribute::SIZE;
        let has_room = self.output.attributes < ATTRIBUTES && self.message.attributes.len < MAX_ATTRIBUTES;
        if has_room && self.output.put(at, |bytes| attribute.write(bytes)) {
            self.output.attributes += 1;
            self.message.attributes.len += 1;
        } else {
            self.is_cut = true;
        }
        self
    }
}
