//! One message on its way into the answer: setters for all that the contract lets a message say. What is set is written
//! into the answer at once, where the host will read it.

use core::mem::offset_of;

use super::{ATTRIBUTES_AT, FACTS_AT, LISTS_AT, MESSAGES, Output, STRINGS_AT, Status, Writable, Written};
use crate::contract::memory::{MAX_ATTRIBUTES, MAX_LIST};
use crate::contract::{self, Attribute, Field, Message, Str, completeness, kind, message, status, tag};
use crate::manifest::{Facts, Key};

/// The first half of an [`Attribute`].
pub(super) type AttributeHead = u64;
const _: () = assert!(offset_of!(Attribute, value) == size_of::<AttributeHead>());

/// Fills in one message. It is part of the answer once [`emit`](Self::emit) is called.
#[derive(Debug)]
#[must_use = "a message counts only once it is emitted"]
pub struct MessageWriter<'a> {
    pub(super) output: &'a mut Output,
}

macro_rules! text_setters {
    ($($name:ident, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[inline]
        pub fn $name(self, text: impl Writable) -> Self {
            self.set_text(offset_of!(Message, $name), text)
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
    #[inline]
    pub fn id(self, id: u64) -> Self {
        self.output.note_id(id);
        self.set(offset_of!(Message, id), id).flag(message::HAS_ID)
    }

    /// How the request ended.
    #[inline]
    pub fn status(self, status: Status) -> Self {
        let status = match status {
            Status::Unknown => status::UNKNOWN,
            Status::Ok => status::OK,
            Status::ClientError => status::CLIENT_ERROR,
            Status::ServerError => status::SERVER_ERROR,
            Status::Timeout => status::TIMEOUT,
        };
        self.set(offset_of!(Message, status), status)
    }

    /// The protocol's own status or error number.
    #[inline]
    pub fn code(self, code: i64) -> Self {
        self.set(offset_of!(Message, code), code).flag(message::HAS_CODE)
    }

    /// `resource` and `endpoint` are keys of facts in that namespace.
    pub fn resource_fact(mut self, facts: Facts, key: impl Writable) -> Self {
        let key = self.write(key).0;
        self.set(offset_of!(Message, resource), key)
            .set(offset_of!(Message, endpoint), key)
            .set(offset_of!(Message, resource_facts), facts.0.saturating_add(1))
    }

    /// Index into the manifest's protocols, if not 0.
    pub fn protocol(self, index: u16) -> Self {
        self.set(offset_of!(Message, protocol), index)
    }

    /// Bytes (at most 64) to be given back when the response is parsed.
    #[inline]
    pub fn context(mut self, context: impl Writable) -> Self {
        let context = self.write(context).part(0..contract::MAX_CONTEXT);
        self.set_text(offset_of!(Message, context), context)
    }

    /// Only part of the message was decoded; why.
    pub fn partial(mut self, reason: &str) -> Self {
        let completeness = self.output.draft.completeness.max(completeness::PARTIAL);
        self.incomplete(completeness, reason);
        self
    }

    /// Only the header of the message was decoded; why.
    pub fn header_only(mut self, reason: &str) -> Self {
        self.incomplete(completeness::HEADER, reason);
        self
    }

    /// More responses to the same request follow, under the same id.
    pub fn more_replies(self) -> Self {
        self.flag(message::MORE_REPLIES)
    }

    /// More responses to the same request follow; the next one may bear `id` instead.
    pub fn next_id(self, id: u64) -> Self {
        self.output.note_id(id);
        self.set(offset_of!(Message, next_id), id).flag(message::MORE_REPLIES | message::HAS_NEXT_ID)
    }

    /// The server may hold the request back on purpose.
    pub fn long_poll(self) -> Self {
        self.flag(message::LONG_POLL)
    }

    /// The message is built over several calls: its first part. Further parts bear the same handle.
    pub fn begin(self, handle: u32) -> Self {
        self.set(offset_of!(Message, handle), handle).flag(message::BEGIN)
    }

    /// A further part of the message with that handle.
    pub fn amend(self, handle: u32) -> Self {
        self.set(offset_of!(Message, handle), handle).flag(message::AMEND)
    }

    /// The last part of the message with that handle.
    pub fn finish(self, handle: u32) -> Self {
        self.set(offset_of!(Message, handle), handle).flag(message::FINISH)
    }

    /// No message: the side that sends this withdraws the request that bears its [`id`](Self::id).
    pub fn cancel(self) -> Self {
        self.flag(message::CANCEL)
    }

    /// Where the message lies in its stream.
    pub fn span(self, start: u64, end: u64) -> Self {
        self.set(offset_of!(Message, start), start).set(offset_of!(Message, end), end)
    }

    /// Writes a string that is told of in several places, to be set in each of them.
    #[inline]
    pub fn write(&mut self, text: impl Writable) -> Written {
        text.write_to(self.output)
    }

    /// Writes several, one behind the other, which is faster than each for itself.
    #[inline]
    pub fn write_all<const N: usize>(&mut self, texts: [&[u8]; N]) -> [Written; N] {
        self.output.write_all(texts)
    }

    /// Adds an attribute with a string value.
    #[inline]
    pub fn str(self, key: Key, value: impl Writable) -> Self {
        value.add_to(self.output, head(key, tag::STR, 0));
        self
    }

    /// Adds an attribute with an integer value.
    #[inline]
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
    pub fn list<S: Writable>(mut self, key: Key, values: impl IntoIterator<Item = S>) -> Self {
        let value = self.strings(values).to_value();
        self.attribute(key, tag::LIST, 0, value)
    }

    /// Adds an attribute whose value is the name that a fact gives to `fact_key`.
    pub fn fact(self, key: Key, facts: Facts, fact_key: impl Writable) -> Self {
        fact_key.add_to(self.output, head(key, tag::REF, u32::from(facts.0)));
        self
    }

    /// Adds an attribute whose value is the list of names that facts give to the keys.
    pub fn fact_list<S: Writable>(mut self, key: Key, facts: Facts, keys: impl IntoIterator<Item = S>) -> Self {
        let value = self.strings(keys).to_value();
        self.attribute(key, tag::REF_LIST, u32::from(facts.0), value)
    }

    /// Makes the message part of the answer.
    #[inline]
    pub fn emit(mut self) {
        if self.output.draft.attributes(self.output.attributes) > MAX_ATTRIBUTES {
            self.output.cut_attributes();
        }
        let cut = if self.output.draft.is_cut { Some("no room in the answer") } else { self.output.cut };
        if let Some(reason) = cut.filter(|_| self.output.draft.completeness == completeness::FULL) {
            self = self.partial(reason);
        }
        let draft = self.output.draft;
        let writer = self.set(offset_of!(Message, flags), draft.flags);
        let attributes = draft.attributes(writer.output.attributes);
        let Self { output } = writer.set(offset_of!(Message, attributes) + offset_of!(Str, len), attributes);
        if output.messages < MESSAGES {
            output.messages += 1;
            output.answered += u16::from(draft.is_last_in_order());
        } else {
            output.overflows += 1;
        }
    }

    #[inline]
    fn flag(self, bit: u32) -> Self {
        self.output.draft.flags |= bit;
        self
    }

    /// Writes one field.
    #[inline]
    fn set(self, offset: usize, value: impl Field) -> Self {
        self.output.set(offset, &value);
        self
    }

    #[inline]
    fn set_text(mut self, offset: usize, text: impl Writable) -> Self {
        let text = self.write(text).0;
        self.set(offset, text)
    }

    fn incomplete(&mut self, completeness: u8, reason: &str) {
        let reason = self.output.reason(reason).unwrap_or_default();
        self.output.draft.completeness = completeness;
        self.output.set(offset_of!(Message, completeness), &completeness);
        self.output.set(offset_of!(Message, reason), &reason);
    }

    fn strings<S: Writable>(&mut self, values: impl IntoIterator<Item = S>) -> Str {
        let first = self.output.lists;
        for value in values {
            if !value.add_element(self.output, first) {
                self.output.draft.is_cut = true;
                break;
            }
        }
        let len = self.output.lists.saturating_sub(first) as u32;
        Str { ptr: self.output.address(LISTS_AT + first * Str::SIZE), len }
    }

    #[inline]
    fn attribute(self, key: Key, tag: u8, aux: u32, value: u64) -> Self {
        self.output.add(head(key, tag, aux), value);
        self
    }
}

/// An attribute but for its value, as it stands in memory: known where the plugin is built, mostly.
#[inline(always)]
fn head(key: Key, tag: u8, aux: u32) -> AttributeHead {
    let mut bytes = [0; Attribute::SIZE];
    let is_written = Attribute { index: key.0, tag, reserved: 0, aux, value: 0 }.write(&mut bytes).is_some();
    bytes.first_chunk().filter(|_| is_written).copied().map(u64::from_le_bytes).unwrap_or_default()
}

impl Output {
    #[inline(always)]
    pub(super) fn add(&mut self, head: AttributeHead, value: u64) {
        match self.entry::<{ ATTRIBUTES_AT }, { FACTS_AT }, { Attribute::SIZE }>(self.attributes) {
            Some(bytes) => {
                *bytes = (u128::from(head) | u128::from(value) << 64).to_le_bytes();
                self.attributes += 1;
            }
            None => self.draft.is_cut = true,
        }
    }

    /// Takes back what a message has more of attributes than it may. Once for all of them, as there are many.
    #[cold]
    fn cut_attributes(&mut self) {
        self.attributes = self.draft.first_attribute + MAX_ATTRIBUTES as usize;
        self.draft.is_cut = true;
    }

    /// Adds an element to the list that began with `first`, if there is room. One function, as above.
    #[inline(never)]
    pub(super) fn text_element(&mut self, first: usize, text: &[u8]) -> bool {
        let text = self.has_element(first).then(|| self.string(text)).flatten();
        text.is_some_and(|text| self.element(first, text))
    }

    /// The same of a string that is in its place.
    #[inline]
    pub(super) fn element(&mut self, first: usize, text: Str) -> bool {
        let (index, has_room) = (self.lists, self.has_element(first));
        let slot = self.entry::<{ LISTS_AT }, { STRINGS_AT }, { Str::SIZE }>(index).filter(|_| has_room);
        let is_added = slot.and_then(|slot| text.write(slot)).is_some();
        self.lists += usize::from(is_added);
        is_added
    }

    /// Whether a list may have one more element.
    #[inline]
    fn has_element(&self, first: usize) -> bool {
        self.lists.saturating_sub(first) < MAX_LIST as usize
    }

    /// Writes one field of the message.
    #[inline]
    pub(super) fn set(&mut self, offset: usize, value: &impl Field) {
        if let Some(bytes) = self.message_bytes(self.messages).and_then(|bytes| bytes.get_mut(offset..)) {
            value.write(bytes);
        }
    }
}

impl super::Draft {
    /// How many attributes the message has, where the answer has so many.
    #[inline]
    fn attributes(self, all: usize) -> u32 {
        all.wrapping_sub(self.first_attribute) as u32
    }

    /// Whether the message takes the oldest in-order request from those that are pending.
    fn is_last_in_order(self) -> bool {
        let goes_on = message::HAS_ID | message::MORE_REPLIES | message::BEGIN | message::AMEND;
        self.kind == kind::RESPONSE && self.flags & goes_on == 0
    }
}
