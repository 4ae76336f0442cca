//! Reads a plugin's answer the way a host does: everything through [`Memory`], nothing believed. What it finds wrong
//! is said in words, for the plugin's author.

use super::seen::{Completeness, Part, Seen, SeenFact, Value};
use crate::contract::memory::{Fault, Memory};
use crate::contract::{self, Attribute, Message, ParseResult, Str, completeness, kind, message, status, tag};
use crate::manifest::Manifest;
use crate::output::{Kind, Status};
use crate::plugin::Direction;

/// A plugin's answer to `parse` or `resync`.
pub(super) struct Answer {
    pub(super) result: ParseResult,
    pub(super) reason: String,
    pub(super) messages: Vec<Seen>,
    pub(super) facts: Vec<SeenFact>,
}

const FLAGS: u32 = message::HAS_ID
    | message::HAS_CODE
    | message::MORE_REPLIES
    | message::HAS_NEXT_ID
    | message::LONG_POLL
    | message::BEGIN
    | message::AMEND
    | message::FINISH
    | message::CANCEL;

/// Copies the answer at `address` out of the plugin's memory.
pub(super) fn read(memory: &[u8], address: u32, manifest: &Manifest, direction: Direction) -> Result<Answer, String> {
    let memory = Memory(memory);
    let reader = AnswerReader { memory, manifest, direction };
    let result = memory.result(address).map_err(said)?;
    let messages = memory.messages(&result).map_err(said)?.map(|message| reader.message(&message));
    let messages = messages.collect::<Result<_, _>>()?;
    let facts = memory.facts(&result).map_err(said)?.map(|fact| {
        let namespace = reader.facts_name(fact.namespace)?;
        Ok(SeenFact { namespace, key: reader.text("fact key", fact.key)?, value: reader.text("fact", fact.value)? })
    });
    let facts = facts.collect::<Result<_, String>>()?;
    Ok(Answer { reason: reader.text("reason", result.reason)?, result, messages, facts })
}

struct AnswerReader<'a> {
    memory: Memory<'a>,
    manifest: &'a Manifest,
    direction: Direction,
}

impl AnswerReader<'_> {
    fn message(&self, message: &Message) -> Result<Seen, String> {
        let has = |bit| message.flags & bit != 0;
        let seen = Seen {
            direction: self.direction,
            kind: kind_of(message.kind)?,
            type_name: self.text("type_name", message.type_name)?,
            version: self.text("version", message.version)?,
            domain: self.text("domain", message.domain)?,
            resource: self.text("resource", message.resource)?,
            endpoint: self.text("endpoint", message.endpoint)?,
            resource_facts: match message.resource_facts {
                0 => None,
                index => Some(self.facts_name(u32::from(index) - 1)?),
            },
            protocol: self.protocol(message.protocol)?,
            id: has(message::HAS_ID).then_some(message.id),
            next_id: has(message::HAS_NEXT_ID).then_some(message.next_id),
            status: status_of(message.status)?,
            code: has(message::HAS_CODE).then_some(message.code),
            exception: self.text("exception", message.exception)?,
            result: self.text("result", message.result)?,
            attributes: self.attributes(message)?,
            start: message.start,
            end: message.end,
            completeness: completeness_of(message.completeness)?,
            reason: self.text("reason", message.reason)?,
            context: self.memory.string("context", message.context).map_err(said)?.unwrap_or_default().to_vec(),
            has_more_replies: has(message::MORE_REPLIES),
            is_long_poll: has(message::LONG_POLL),
            part: part_of(message)?,
            is_cancel: has(message::CANCEL),
            answers: None,
        };
        check(message, &seen)?;
        Ok(seen)
    }

    fn attributes(&self, message: &Message) -> Result<Vec<(String, Value)>, String> {
        let mut attributes = Vec::new();
        for attribute in self.memory.attributes(message).map_err(said)? {
            let def = self.manifest.attribute_defs().get(usize::from(attribute.index));
            let def = def.ok_or_else(|| format!("no attribute {} in the schema", attribute.index))?;
            if !matches!(
                (def.value_type, attribute.tag),
                ("str", tag::STR | tag::REF)
                    | ("i64", tag::I64)
                    | ("f64", tag::F64)
                    | ("bool", tag::BOOL)
                    | ("list", tag::LIST | tag::REF_LIST)
            ) {
                return Err(format!(
                    "attribute {} is {} by the schema, tag {}",
                    def.name, def.value_type, attribute.tag
                ));
            }
            if attributes.iter().any(|(name, _)| name == def.name) {
                return Err(format!("attribute {} is given twice", def.name));
            }
            attributes.push((def.name.to_owned(), self.value(&attribute)?));
        }
        Ok(attributes)
    }

    fn value(&self, attribute: &Attribute) -> Result<Value, String> {
        let text = || self.text("attribute", Str::from_value(attribute.value));
        let list = || self.list(Str::from_value(attribute.value));
        Ok(match attribute.tag {
            tag::STR => Value::Str(text()?),
            tag::I64 => Value::I64(attribute.value.cast_signed()),
            tag::F64 => Value::F64(f64::from_bits(attribute.value)),
            tag::BOOL if attribute.value <= 1 => Value::Bool(attribute.value == 1),
            tag::BOOL => return Err(format!("a boolean of {}", attribute.value)),
            tag::LIST => Value::List(list()?),
            tag::REF => Value::Ref(self.facts_name(attribute.aux)?, text()?),
            _ => Value::RefList(self.facts_name(attribute.aux)?, list()?),
        })
    }

    fn list(&self, list: Str) -> Result<Vec<String>, String> {
        self.memory.list("list", list).map_err(said)?.map(|text| self.text("list element", text)).collect()
    }

    fn text(&self, what: &'static str, text: Str) -> Result<String, String> {
        let bytes = self.memory.string(what, text).map_err(said)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn facts_name(&self, index: u32) -> Result<String, String> {
        let name = self.manifest.fact_names().get(index as usize);
        name.map(|name| (*name).to_owned()).ok_or_else(|| format!("no namespace of facts {index} in the manifest"))
    }

    fn protocol(&self, index: u16) -> Result<String, String> {
        let names = self.manifest.protocol_names();
        let name = if names.is_empty() && index == 0 { Some(self.manifest.name()) } else { None };
        let name = name.or_else(|| names.get(usize::from(index)).copied());
        name.map(str::to_owned).ok_or_else(|| format!("no protocol {index} in the manifest"))
    }
}

fn said(fault: Fault) -> String {
    fault.to_string()
}

fn check(message: &Message, seen: &Seen) -> Result<(), String> {
    if message.flags & !FLAGS != 0 {
        return Err(format!("unknown message flags {:#x}", message.flags));
    }
    if seen.start > seen.end {
        return Err(format!("a message from {} to {}", seen.start, seen.end));
    }
    if seen.context.len() > contract::MAX_CONTEXT {
        return Err(format!("a context of {} bytes", seen.context.len()));
    }
    if seen.kind != Kind::Response && (seen.has_more_replies || seen.next_id.is_some()) {
        return Err("more replies follow something that is not a response".to_owned());
    }
    if seen.is_cancel && (seen.kind != Kind::Request || seen.id.is_none() || seen.part != Part::Whole) {
        return Err("a cancel that names no request".to_owned());
    }
    if seen.next_id.is_some() && !seen.has_more_replies {
        return Err("a next id, but no more replies".to_owned());
    }
    Ok(())
}

fn part_of(message: &Message) -> Result<Part, String> {
    let handle = message.handle;
    Ok(match message.flags & (message::BEGIN | message::AMEND | message::FINISH) {
        0 => Part::Whole,
        message::BEGIN => Part::Begin(handle),
        message::AMEND => Part::Amend(handle),
        message::FINISH => Part::Finish(handle),
        _ => return Err("a message that is two of first, further and last part".to_owned()),
    })
}

fn kind_of(value: u8) -> Result<Kind, String> {
    match value {
        kind::REQUEST => Ok(Kind::Request),
        kind::RESPONSE => Ok(Kind::Response),
        kind::ONE_WAY => Ok(Kind::OneWay),
        _ => Err(format!("no message kind {value}")),
    }
}

fn status_of(value: u8) -> Result<Status, String> {
    match value {
        status::UNKNOWN => Ok(Status::Unknown),
        status::OK => Ok(Status::Ok),
        status::CLIENT_ERROR => Ok(Status::ClientError),
        status::SERVER_ERROR => Ok(Status::ServerError),
        status::TIMEOUT => Ok(Status::Timeout),
        _ => Err(format!("no status {value}")),
    }
}

fn completeness_of(value: u8) -> Result<Completeness, String> {
    match value {
        completeness::FULL => Ok(Completeness::Full),
        completeness::PARTIAL => Ok(Completeness::Partial),
        completeness::HEADER => Ok(Completeness::Header),
        _ => Err(format!("no completeness {value}")),
    }
}
