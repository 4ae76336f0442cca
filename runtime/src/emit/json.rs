//! JSON Lines: one object per record, its keys in a fixed order, absent parts left out. Everything is written straight
//! into one buffer that is reused; nothing is allocated per record.

mod attributes;
mod heads;
mod names;
mod object;
mod scalar;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::emit::buffer::LineBuffer;
use crate::emit::json::attributes::{AttributeMerge, Said};
use crate::emit::json::names::{KnownNames, Names};
use crate::emit::json::object::{Object, key};
use crate::emit::json::scalar::{put_float, put_signed, put_string};
use crate::emit::time::Clock;
use crate::emit::{FactTable, Form, Sink, outcome};
use crate::packet::Timestamp;
use crate::record::{Completeness, Content, Part, PluginIdentity, Record, Text, Value, Via};

/// Writes records as JSON Lines.
pub struct JsonSink<W> {
    out: LineBuffer<W>,
    form: JsonForm,
}

/// Records as JSON objects.
struct JsonForm {
    merge: AttributeMerge,
    names: KnownNames,
    clock: Clock,
    capture: &'static str,
}

impl JsonForm {
    fn new(capture: &'static str) -> Self {
        Self { merge: AttributeMerge::default(), names: KnownNames::default(), clock: Clock::default(), capture }
    }
}

impl<W: Write> JsonSink<W> {
    /// A sink that writes to `out` and says that the records come from `capture` (`pcap`, `ebpf`).
    pub fn new(out: W, capture: &'static str) -> Self {
        Self { out: LineBuffer::new(out), form: JsonForm::new(capture) }
    }
}

impl Form for JsonForm {
    fn put(&mut self, out: &mut Vec<u8>, record: &Record, facts: &mut FactTable) {
        let Some(names) = self.names.of(&record.plugin) else { return };
        let mut line = Object::open(out);
        line.member(key!("ts"), |out| self.clock.put_quoted(out, record.ts));
        line.members(names.heads.of(record, &names.plugin));
        put_request(&mut line, record, facts);
        put_response(&mut line, record, facts);
        put_timing(&mut line, record);
        put_completeness(&mut line, record);
        put_attributes(&mut line, record, facts, (&mut self.merge, names));
        put_process(&mut line, record);
        line.word(key!("capture"), self.capture);
        line.close();
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn record(&mut self, record: &Record, facts: &mut FactTable) -> io::Result<()> {
        self.form.put(&mut self.out.bytes, record, facts);
        self.out.end_line()
    }

    fn form(&self) -> Box<dyn Form> {
        Box::new(JsonForm::new(self.form.capture))
    }

    fn line(&mut self, _: Timestamp, line: &[u8]) -> io::Result<()> {
        self.out.bytes.extend_from_slice(line);
        self.out.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn put_request(line: &mut Object<'_>, record: &Record, facts: &mut FactTable) {
    let Some(Part { content, bytes, .. }) = outcome::request(record) else { return };
    let mut request = line.object(key!("request"));
    // Which database a request met may be known only from its answer.
    let answer = || outcome::response(record).and_then(|Part { content, .. }| content.said(content.domain));
    put_what(&mut request, content, content.said(content.domain).or_else(answer), record, facts);
    request.unsigned(key!("bytes"), *bytes);
    request.close_member();
}

/// What a message is about: its request says so, or itself where that was not seen.
fn put_what(part: &mut Object<'_>, content: &Content, domain: Option<&str>, record: &Record, facts: &mut FactTable) {
    part.optional_string(key!("type"), content.said(content.type_name));
    part.optional_string(key!("version"), content.said(content.version));
    part.optional_string(key!("domain"), domain);
    if let Some(text) = content.resource {
        part.string(key!("resource"), facts.resolve(&record.plugin, content, text));
    }
    if let Some(text) = content.endpoint {
        part.string(key!("endpoint"), facts.resolve(&record.plugin, content, text));
    }
    part.optional_unsigned(key!("id"), content.id);
}

/// A request that got no answer still says how it ended, so that counting by status needs no special case.
fn put_response(line: &mut Object<'_>, record: &Record, facts: &mut FactTable) {
    let Some(status) = outcome::status(record) else { return };
    let part = outcome::response(record);
    if part.is_none() && record.request.is_none() {
        return;
    }
    let mut response = line.object(key!("response"));
    if let (None, Some(Part { content, .. })) = (outcome::request(record), part) {
        put_what(&mut response, content, content.said(content.domain), record, facts);
    }
    response.word(key!("status"), outcome::status_name(status));
    if let Some(Part { content, bytes, count }) = part {
        response.optional_signed(key!("code"), content.code);
        response.optional_string(key!("exception"), content.said(content.exception));
        response.optional_string(key!("result"), content.said(content.result));
        response.unsigned(key!("bytes"), *bytes);
        response.unsigned(key!("count"), u64::from(*count));
    }
    response.close_member();
}

fn put_timing(line: &mut Object<'_>, record: &Record) {
    line.optional_unsigned(key!("latency_ns"), record.latency_ns);
    line.optional_unsigned(key!("duration_ns"), record.duration_ns);
    if outcome::request(record).is_some_and(|request| request.content.is_long_poll) {
        line.members(b"\"long_poll\":true,");
    }
    if record.is_late {
        line.members(b"\"late\":true,");
    }
    if let Some(reason) = record.reason {
        line.word(key!("reason"), reason);
    }
}

fn put_completeness(line: &mut Object<'_>, record: &Record) {
    let (completeness, reason) = outcome::completeness(record);
    line.word(key!("completeness"), outcome::completeness_name(completeness));
    if completeness != Completeness::Full {
        line.optional_string(key!("completeness_reason"), reason);
    }
}

fn put_attributes(
    line: &mut Object<'_>,
    record: &Record,
    facts: &mut FactTable,
    (merge, names): (&mut AttributeMerge, &Names),
) {
    let plugin = &record.plugin;
    let mut attributes = line.object(key!("attributes"));
    merge.for_each_declared(record, |index, said| {
        if let Some(key) = names.attributes.get(index) {
            attributes.member(key, |out| put_value(out, said, plugin, facts));
        }
    });
    for (name, said) in attributes::extra(record) {
        attributes.foreign_member(name, |out| put_value(out, said, plugin, facts));
    }
    attributes.close_member_unless_empty(key!("attributes"));
}

fn put_process(line: &mut Object<'_>, record: &Record) {
    let Some(processes) = &record.process else { return };
    let mut ends = line.object(key!("process"));
    for (end, process) in [(key!("client"), &processes.client), (key!("server"), &processes.server)] {
        if let Some(process) = process {
            let mut of_end = ends.object(end);
            of_end.unsigned(key!("pid"), process.pid.into());
            of_end.string(key!("comm"), &process.comm);
            if process.via != Via::Socket {
                of_end.members(b"\"tls\":true,");
            }
            if process.via == Via::LikelyTls {
                of_end.word(key!("addresses"), "likely");
            }
            of_end.close_member();
        }
    }
    ends.close_member();
}

#[inline]
fn put_value(out: &mut Vec<u8>, said: Said<'_>, plugin: &PluginIdentity, facts: &mut FactTable) {
    let (content, value) = said;
    match value {
        Value::Str(text) => put_string(out, facts.resolve(plugin, content, text)),
        Value::I64(value) => put_signed(out, value),
        Value::F64(value) => put_float(out, value),
        Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::List(list) => put_list(out, (content, content.list(list)), plugin, facts),
    }
}

fn put_list(out: &mut Vec<u8>, (content, texts): (&Content, &[Text]), plugin: &PluginIdentity, facts: &mut FactTable) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_string(out, facts.resolve(plugin, content, *text));
    }
    out.push(b']');
}
