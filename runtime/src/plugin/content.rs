//! A guest's answer in, owned messages out. Addresses were checked by [`Memory`]; here names are looked up in the
//! manifest, strings become UTF-8 (what is not is replaced and counted), and codes become enums. An index or code
//! that does not exist is the guest's fault, and the answer as a whole is refused.

use protap_plugin::contract::memory::{Fault, MAX_ANSWER, Memory};
use protap_plugin::contract::{self, Attribute, Str, completeness, kind, message, status, tag};

pub use crate::plugin::context::Context;
use crate::plugin::instance::CallError;
use crate::plugin::words::Words;
use crate::reassembly::Heard;
use crate::record::{Completeness, Content, Kind, PluginIdentity, SmolStr, Spares, Status, Text, Value};

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

/// A fact of an answer: namespace, key, value.
pub type Fact = (u32, SmolStr, SmolStr);

/// An attribute to be filled in place: what is put together elsewhere, field by field, cannot be moved at once.
const BLANK: (u16, Value) = (0, Value::Bool(false));

/// Reads the parts of an answer.
#[derive(Debug)]
pub struct ContentReader<'a> {
    memory: Memory<'a>,
    identity: &'a PluginIdentity,
    words: &'a mut Words,
    spares: &'a mut Spares,
    /// Bytes that the answer may still come to.
    room: usize,
}

impl<'a> ContentReader<'a> {
    /// A reader of one answer of that plugin.
    #[must_use]
    pub fn new(memory: Memory<'a>, identity: &'a PluginIdentity, words: &'a mut Words, spares: &'a mut Spares) -> Self {
        Self { memory, identity, words, spares, room: MAX_ANSWER as usize }
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
            self.namespace(fact.namespace)?;
            let key = self.word("fact key", fact.key)?;
            let value = self.word("fact value", fact.value)?;
            Ok((fact.namespace, key, value))
        });
        collect(result.fact_count, facts)
    }

    /// A string for people: a reason.
    pub fn text(&mut self, what: &'static str, string: Str) -> Result<Option<SmolStr>, CallError> {
        let mut text = None;
        self.put_text(what, string, &mut text)?;
        Ok(text)
    }

    /// Reads a string to where it belongs, if there is one. To hand it on as a result would cost more than to read it.
    #[inline]
    fn put_text(&mut self, what: &'static str, string: Str, into: &mut Option<SmolStr>) -> Result<(), CallError> {
        if let Some(bytes) = self.memory.string(what, string)? {
            self.count(bytes.len(), 1)?;
            *into = Some(self.words.word(bytes));
        }
        Ok(())
    }

    /// A string of which an absent one is an empty one.
    fn word(&mut self, what: &'static str, string: Str) -> Result<SmolStr, CallError> {
        let bytes = self.memory.string(what, string)?.unwrap_or_default();
        self.count(bytes.len(), 1)?;
        Ok(self.words.word(bytes))
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
        content.id = is(message::HAS_ID).then_some(message.id);
        self.put_text("type", message.type_name, &mut content.type_name)?;
        self.put_text("version", message.version, &mut content.version)?;
        self.put_text("domain", message.domain, &mut content.domain)?;
        let facts = message.resource_facts;
        self.put_resource("resource", (message.resource, facts), &mut content.resource)?;
        self.put_resource("endpoint", (message.endpoint, facts), &mut content.endpoint)?;
        content.status = status_of(message.status)?;
        content.code = is(message::HAS_CODE).then_some(message.code);
        self.put_text("exception", message.exception, &mut content.exception)?;
        self.put_text("result", message.result, &mut content.result)?;
        content.completeness = completeness_of(message.completeness)?;
        self.put_text("reason", message.reason, &mut content.reason)?;
        content.is_long_poll = is(message::LONG_POLL);
        self.put_attributes(message, &mut content.attributes)?;
        Ok(content)
    }

    fn context(&self, string: Str) -> Result<Context, CallError> {
        let bytes = self.memory.string("context", string)?.unwrap_or_default();
        Context::new(bytes).ok_or(CallError::Result(Fault::TooMany("context")))
    }

    fn put_resource(
        &mut self,
        what: &'static str,
        (string, facts): (Str, u16),
        into: &mut Option<Text>,
    ) -> Result<(), CallError> {
        let Some(bytes) = self.memory.string(what, string)? else { return Ok(()) };
        self.count(bytes.len(), 1)?;
        *into = Some(match u32::from(facts).checked_sub(1) {
            None => Text::Plain(self.words.word(bytes)),
            Some(namespace) => {
                self.namespace(namespace)?;
                Text::Ref(namespace, self.words.word(bytes))
            }
        });
        Ok(())
    }

    fn put_attributes(&mut self, message: &contract::Message, into: &mut Vec<(u16, Value)>) -> Result<(), CallError> {
        let attributes = self.memory.attributes(message)?;
        self.count(Attribute::SIZE, message.attributes.len)?;
        if into.capacity() < message.attributes.len as usize {
            // Rounded up: it is used again for other messages.
            into.reserve_exact((message.attributes.len as usize).next_multiple_of(8));
        }
        for attribute in attributes {
            if usize::from(attribute.index) >= self.identity.attributes.len() {
                return Err(CallError::Violation("an attribute that its manifest does not list"));
            }
            into.push(BLANK);
            if let Some((index, value)) = into.last_mut() {
                *index = attribute.index;
                self.put_value(&attribute, value)?;
            }
        }
        Ok(())
    }

    fn put_value(&mut self, attribute: &contract::Attribute, into: &mut Value) -> Result<(), CallError> {
        let string = Str::from_value(attribute.value);
        match attribute.tag {
            tag::STR => {
                let bytes = self.memory.string("attribute", string)?.unwrap_or_default();
                self.count(bytes.len(), 1)?;
                *into = Value::Str(Text::Plain(self.words.word(bytes)));
            }
            tag::I64 => *into = Value::I64(attribute.value.cast_signed()),
            tag::F64 => *into = Value::F64(f64::from_bits(attribute.value)),
            tag::BOOL => *into = Value::Bool(attribute.value != 0),
            tag::LIST => *into = Value::List(self.list(string, None)?),
            tag::REF => {
                self.namespace(attribute.aux)?;
                *into = Value::Str(Text::Ref(attribute.aux, self.word("attribute", string)?));
            }
            tag::REF_LIST => {
                self.namespace(attribute.aux)?;
                *into = Value::List(self.list(string, Some(attribute.aux))?);
            }
            _ => return Err(CallError::Violation("an unknown attribute tag")),
        }
        Ok(())
    }

    fn list(&mut self, list: Str, namespace: Option<u32>) -> Result<Vec<Text>, CallError> {
        let elements = self.memory.list("list", list)?;
        self.count(Str::SIZE, list.len)?;
        let mut texts = self.spares.list();
        texts.reserve_exact(list.len as usize);
        for element in elements {
            let text = self.word("list element", element)?;
            texts.push(match namespace {
                Some(namespace) => Text::Ref(namespace, text),
                None => Text::Plain(text),
            });
        }
        Ok(texts)
    }

    /// What lies in the guest's memory once may be pointed to any number of times; it is bounded as it is copied.
    fn count(&mut self, size: usize, count: u32) -> Result<(), CallError> {
        let rest = size.checked_mul(count as usize).and_then(|size| self.room.checked_sub(size));
        self.room = rest.ok_or(Fault::TooMany("answer"))?;
        Ok(())
    }

    fn namespace(&self, namespace: u32) -> Result<(), CallError> {
        if (namespace as usize) < self.identity.facts.len() {
            return Ok(());
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
mod tests {
    use super::{CallError, ContentReader, Fault, Memory, PluginIdentity, Spares, Str, Words};
    use protap_plugin::contract::memory::{MAX_ANSWER, MAX_STR};

    #[test]
    fn a_string_that_is_pointed_to_again_and_again_is_copied_up_to_the_limit() {
        let memory = vec![b'x'; MAX_STR as usize];
        let identity = PluginIdentity {
            name: "x".to_owned(),
            version: "1".to_owned(),
            protocols: vec!["x".to_owned()],
            attributes: Vec::new(),
            facts: Vec::new(),
        };
        let (mut words, mut spares) = (Words::default(), Spares::default());
        let mut reader = ContentReader::new(Memory(&memory), &identity, &mut words, &mut spares);
        let mut read = || reader.text("type", Str { ptr: 0, len: MAX_STR });
        assert_eq!((0..MAX_ANSWER / MAX_STR).filter(|_| read().is_ok()).count(), 16);
        assert_eq!(read(), Err(CallError::Result(Fault::TooMany("answer"))));
        assert_eq!(reader.text("type", Str { ptr: 0, len: 0 }), Ok(None));
    }
}
