//! A guest's answer in, owned messages out. Addresses were checked by [`Memory`]; here names are looked up in the
//! manifest, strings become UTF-8 (what is not is replaced and counted), and codes become enums. An index or code
//! that does not exist is the guest's fault, and the answer as a whole is refused. The strings of a message are copied
//! into one buffer, and checked there all at once.

use std::borrow::Cow;

use protap_plugin::contract::memory::{Fault, MAX_ANSWER, MAX_STR, Memory};
use protap_plugin::contract::{self, Attribute, Str, completeness, kind, message, status, tag};

pub use crate::plugin::context::Context;
use crate::plugin::instance::CallError;
use crate::reassembly::Heard;
use crate::record::{Completeness, Content, Kind, Place, PluginIdentity, Spares, Status, Text, Value};

/// One message of an answer.
#[derive(Clone, Debug)]
pub struct Message {
    /// Stream offset of its first byte.
    pub start: u64,
    /// Stream offset behind its last byte.
    pub end: u64,
    /// Its bytes: those between start and end or, if it came in parts, those of its parts.
    pub bytes: u64,
    /// What it is.
    pub kind: Kind,
    /// Index into the plugin's protocols.
    pub protocol: u16,
    /// What it says.
    pub content: Box<Content>,
    /// For its response.
    pub context: Context,
    /// More responses to the same request follow.
    pub has_more_replies: bool,
    /// Id of the next response.
    pub next_id: Option<u64>,
    /// Which part of a message it is.
    pub part: MessagePart,
    /// It is no message: it withdraws the request with its id.
    pub is_cancel: bool,
    /// What its sender had of the opposite stream when it began; looked up for responses without an id.
    pub heard: Heard,
}

impl Message {
    /// Bytes that it takes in memory.
    #[must_use]
    pub fn footprint(&self) -> usize {
        size_of::<Self>() + self.content.footprint()
    }
}

/// Whether a message came at once or over several calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagePart {
    /// At once.
    Whole,
    /// First part of the message with that handle.
    Begin(u32),
    /// A further part.
    Amend(u32),
    /// The last part.
    Finish(u32),
}

/// A fact of an answer.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Index into the plugin's facts.
    pub namespace: u32,
    /// Key and value, one behind the other.
    texts: String,
    value_at: usize,
}

impl Fact {
    /// What is named.
    #[must_use]
    pub fn key(&self) -> &str {
        self.texts.get(..self.value_at).unwrap_or_default()
    }

    /// Its name.
    #[must_use]
    pub fn value(&self) -> &str {
        self.texts.get(self.value_at..).unwrap_or_default()
    }
}

/// Room for the attributes of a message, at least, and for the bytes of its strings: it is used again for other messages.
const ATTRIBUTES: usize = 16;
const TEXTS: usize = 256;

/// What is kept from one answer to the next.
#[derive(Debug, Default)]
pub struct Replaced {
    /// Strings that were not UTF-8.
    pub count: u64,
    /// Where strings are put together of which one was not.
    spare: String,
}

/// Reads the parts of an answer.
#[derive(Debug)]
pub struct ContentReader<'a> {
    memory: Memory<'a>,
    identity: &'a PluginIdentity,
    replaced: &'a mut Replaced,
    spares: &'a mut Spares,
    /// Bytes that the answer may still come to.
    room: usize,
}

impl<'a> ContentReader<'a> {
    /// A reader of one answer of that plugin.
    #[must_use]
    pub fn new(
        memory: Memory<'a>,
        identity: &'a PluginIdentity,
        replaced: &'a mut Replaced,
        spares: &'a mut Spares,
    ) -> Self {
        Self { memory, identity, replaced, spares, room: MAX_ANSWER as usize }
    }

    /// Adds all messages of the answer.
    pub fn messages(&mut self, result: &contract::ParseResult, into: &mut Vec<Message>) -> Result<(), CallError> {
        for message in self.memory.messages(result)? {
            into.push(self.message(&message)?);
        }
        Ok(())
    }

    /// All facts of the answer.
    pub fn facts(&mut self, result: &contract::ParseResult) -> Result<Vec<Fact>, CallError> {
        if result.fact_count == 0 {
            return Ok(Vec::new());
        }
        let facts = self.memory.facts(result)?.map(|fact| {
            let namespace = self.namespace(fact.namespace)?;
            let mut texts = String::with_capacity((fact.key.len.saturating_add(fact.value.len)).min(MAX_STR) as usize);
            self.put_lossy("fact key", fact.key, &mut texts)?;
            let value_at = texts.len();
            self.put_lossy("fact value", fact.value, &mut texts)?;
            Ok(Fact { namespace, texts, value_at })
        });
        collect(result.fact_count, facts)
    }

    /// Appends a string of which an absent one is an empty one.
    fn put_lossy(&mut self, what: &'static str, string: Str, into: &mut String) -> Result<(), CallError> {
        let bytes = self.memory.string(what, string)?.unwrap_or_default();
        self.count(1, string.len)?;
        let text = String::from_utf8_lossy(bytes);
        self.replaced.count += u64::from(matches!(text, Cow::Owned(_)));
        into.push_str(&text);
        Ok(())
    }

    fn message(&mut self, message: &contract::Message) -> Result<Message, CallError> {
        let is = |bit| message.flags & bit != 0;
        if usize::from(message.protocol) >= self.identity.protocols.len() {
            return Err(CallError::Violation("a protocol that its manifest does not list"));
        }
        if message.end < message.start {
            return Err(CallError::Violation("a message that ends before it starts"));
        }
        if is(message::CANCEL) && !(message.kind == kind::REQUEST && is(message::HAS_ID)) {
            return Err(CallError::Violation("a cancel that names no request"));
        }
        Ok(Message {
            start: message.start,
            end: message.end,
            bytes: message.end - message.start,
            kind: kind_of(message.kind)?,
            protocol: message.protocol,
            content: self.content(message)?,
            context: self.context(message.context)?,
            has_more_replies: is(message::MORE_REPLIES),
            next_id: is(message::HAS_NEXT_ID).then_some(message.next_id),
            part: part_of(message.flags, message.handle)?,
            is_cancel: is(message::CANCEL),
            heard: Heard::ALL,
        })
    }

    fn content(&mut self, message: &contract::Message) -> Result<Box<Content>, CallError> {
        let is = |bit| message.flags & bit != 0;
        let mut content = self.spares.content();
        let mut texts = std::mem::take(&mut content.texts).into_bytes();
        texts.reserve(TEXTS);
        content.id = is(message::HAS_ID).then_some(message.id);
        content.type_name = self.said("type", message.type_name, &mut texts)?;
        content.version = self.said("version", message.version, &mut texts)?;
        content.domain = self.said("domain", message.domain, &mut texts)?;
        let facts = message.resource_facts;
        content.resource = self.resource("resource", (message.resource, facts), &mut texts)?;
        content.endpoint = self.resource("endpoint", (message.endpoint, facts), &mut texts)?;
        content.status = status_of(message.status)?;
        content.code = is(message::HAS_CODE).then_some(message.code);
        content.exception = self.said("exception", message.exception, &mut texts)?;
        content.result = self.said("result", message.result, &mut texts)?;
        content.completeness = completeness_of(message.completeness)?;
        content.reason = self.said("reason", message.reason, &mut texts)?;
        content.is_long_poll = is(message::LONG_POLL);
        self.put_attributes(message, &mut content, &mut texts)?;
        self.replaced.count += content.set_texts(texts, &mut self.replaced.spare);
        Ok(content)
    }

    fn context(&self, string: Str) -> Result<Context, CallError> {
        let bytes = self.memory.string("context", string)?.unwrap_or_default();
        Context::new(bytes).ok_or(CallError::Result(Fault::TooMany("context")))
    }

    /// Copies a string, if there is one.
    #[inline(always)]
    fn said(&mut self, what: &'static str, string: Str, texts: &mut Vec<u8>) -> Result<Option<Place>, Fault> {
        if string == Str::default() { Ok(None) } else { self.copy(what, string, texts).map(Some) }
    }

    /// Copies a string of which an absent one is an empty one.
    #[inline(always)]
    fn copy(&mut self, what: &'static str, string: Str, texts: &mut Vec<u8>) -> Result<Place, Fault> {
        let bytes = self.memory.string(what, string)?.unwrap_or_default();
        self.count(1, string.len)?;
        let place = Place::new(texts.len(), string.len);
        texts.extend_from_slice(bytes);
        Ok(place)
    }

    #[inline(always)]
    fn resource(
        &mut self,
        what: &'static str,
        (string, facts): (Str, u16),
        texts: &mut Vec<u8>,
    ) -> Result<Option<Text>, CallError> {
        let Some(place) = self.said(what, string, texts)? else { return Ok(None) };
        Ok(Some(match u32::from(facts).checked_sub(1) {
            None => Text::Plain(place),
            Some(namespace) => Text::Ref(self.namespace(namespace)?, place),
        }))
    }

    fn put_attributes(
        &mut self,
        message: &contract::Message,
        content: &mut Content,
        texts: &mut Vec<u8>,
    ) -> Result<(), CallError> {
        let attributes = self.memory.attributes(message)?;
        self.count(Attribute::SIZE, message.attributes.len)?;
        content.attributes.reserve((message.attributes.len as usize).max(ATTRIBUTES));
        let known = self.identity.attributes.len();
        for attribute in attributes {
            if usize::from(attribute.index) >= known {
                return Err(CallError::Violation("an attribute that its manifest does not list"));
            }
            let string = Str::from_value(attribute.value);
            let value = match attribute.tag {
                tag::STR => Value::Str(Text::Plain(self.copy("attribute", string, texts)?)),
                tag::I64 => Value::I64(attribute.value.cast_signed()),
                tag::F64 => Value::F64(f64::from_bits(attribute.value)),
                tag::BOOL => Value::Bool(attribute.value != 0),
                tag::LIST => self.list(string, None, content, texts)?,
                tag::REF => {
                    let namespace = self.namespace(attribute.aux)?;
                    Value::Str(Text::Ref(namespace, self.copy("attribute", string, texts)?))
                }
                tag::REF_LIST => {
                    let namespace = self.namespace(attribute.aux)?;
                    self.list(string, Some(namespace), content, texts)?
                }
                _ => return Err(CallError::Violation("an unknown attribute tag")),
            };
            content.attributes.push((attribute.index, value));
        }
        Ok(())
    }

    fn list(
        &mut self,
        list: Str,
        namespace: Option<u32>,
        content: &mut Content,
        texts: &mut Vec<u8>,
    ) -> Result<Value, CallError> {
        let elements = self.memory.list("list", list)?;
        self.count(Str::SIZE, list.len)?;
        let at = content.lists.len();
        for element in elements {
            let place = self.copy("list element", element, texts)?;
            content.lists.push(namespace.map_or(Text::Plain(place), |namespace| Text::Ref(namespace, place)));
        }
        Ok(Value::List(Place::new(at, list.len)))
    }

    /// What lies in the guest's memory once may be pointed to any number of times; it is bounded as it is copied.
    #[inline(always)]
    fn count(&mut self, size: usize, count: u32) -> Result<(), Fault> {
        let rest = size.checked_mul(count as usize).and_then(|size| self.room.checked_sub(size));
        self.room = rest.ok_or(Fault::TooMany("answer"))?;
        Ok(())
    }

    fn namespace(&self, namespace: u32) -> Result<u32, CallError> {
        if (namespace as usize) < self.identity.facts.len() {
            return Ok(namespace);
        }
        Err(CallError::Violation("a fact namespace that its manifest does not list"))
    }
}

/// Collects as many elements as were counted, and checked, before: a vector that grows as it goes is allocated several
/// times.
fn collect<T>(count: u32, elements: impl Iterator<Item = Result<T, CallError>>) -> Result<Vec<T>, CallError> {
    let mut collected = Vec::with_capacity(count as usize);
    for element in elements {
        collected.push(element?);
    }
    Ok(collected)
}

fn kind_of(code: u8) -> Result<Kind, CallError> {
    match code {
        kind::REQUEST => Ok(Kind::Request),
        kind::RESPONSE => Ok(Kind::Response),
        kind::ONE_WAY => Ok(Kind::OneWay),
        _ => Err(CallError::Violation("an unknown message kind")),
    }
}

fn status_of(code: u8) -> Result<Status, CallError> {
    match code {
        status::UNKNOWN => Ok(Status::Unknown),
        status::OK => Ok(Status::Ok),
        status::CLIENT_ERROR => Ok(Status::ClientError),
        status::SERVER_ERROR => Ok(Status::ServerError),
        status::TIMEOUT => Ok(Status::Timeout),
        _ => Err(CallError::Violation("an unknown status")),
    }
}

fn completeness_of(code: u8) -> Result<Completeness, CallError> {
    match code {
        completeness::FULL => Ok(Completeness::Full),
        completeness::PARTIAL => Ok(Completeness::Partial),
        completeness::HEADER => Ok(Completeness::Header),
        _ => Err(CallError::Violation("an unknown completeness")),
    }
}

fn part_of(flags: u32, handle: u32) -> Result<MessagePart, CallError> {
    match flags & (message::BEGIN | message::AMEND | message::FINISH) {
        0 => Ok(MessagePart::Whole),
        message::BEGIN => Ok(MessagePart::Begin(handle)),
        message::AMEND => Ok(MessagePart::Amend(handle)),
        message::FINISH => Ok(MessagePart::Finish(handle)),
        _ => Err(CallError::Violation("a message that is two parts at once")),
    }
}

#[cfg(test)]
mod tests;
