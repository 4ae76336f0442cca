//! JSON Lines: one object per record, its keys in a fixed order, absent parts left out. Everything is written straight
//! into one buffer that is reused; nothing is allocated per record.

mod attributes;
mod object;
mod scalar;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::IpAddr;

use crate::emit::buffer::LineBuffer;
use crate::emit::json::attributes::AttributeMerge;
use crate::emit::json::object::Object;
use crate::emit::json::scalar::{put_digits, put_float, put_signed, put_string};
use crate::emit::time::put_rfc3339;
use crate::emit::{FactTable, Sink, outcome};
use crate::packet::{Endpoint, Transport};
use crate::record::{Completeness, Content, Part, PluginIdentity, Record, Text, Value, Via};

/// Version of the output's schema; counts up when a key changes its meaning or goes away.
const SCHEMA: u64 = 0;

/// Writes records as JSON Lines.
pub struct JsonSink<W> {
    out: LineBuffer<W>,
    merge: AttributeMerge,
    capture: &'static str,
}

impl<W: Write> JsonSink<W> {
    /// A sink that writes to `out` and says that the records come from `capture` (`pcap`, `ebpf`).
    pub fn new(out: W, capture: &'static str) -> Self {
        Self { out: LineBuffer::new(out), merge: AttributeMerge::default(), capture }
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn record(&mut self, record: &Record, facts: &mut FactTable) -> io::Result<()> {
        let mut line = Object::open(&mut self.out.bytes);
        put_head(&mut line, record);
        put_request(&mut line, record, facts);
        put_response(&mut line, record, facts);
        put_timing(&mut line, record);
        put_completeness(&mut line, record);
        put_attributes(&mut line, record, facts, &mut self.merge);
        put_process(&mut line, record);
        line.word("capture", self.capture);
        line.close();
        self.out.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn put_head(line: &mut Object<'_>, record: &Record) {
    let out = line.key("ts");
    out.push(b'"');
    put_rfc3339(out, record.ts);
    out.push(b'"');
    line.unsigned("schema", SCHEMA);
    line.string("protocol", outcome::protocol(record));
    line.word("kind", outcome::kind_name(record.kind));
    line.strings("plugin", [&record.plugin.name, " ", &record.plugin.version]);

    let mut flow = line.object("flow");
    flow.word("transport", transport_name(record.flow.transport));
    put_endpoint(flow.key("client"), record.flow.client);
    put_endpoint(flow.key("server"), record.flow.server);
    flow.close();
    if record.is_from_server {
        line.word("from", "server");
    }
}

fn put_request(line: &mut Object<'_>, record: &Record, facts: &mut FactTable) {
    let Some(Part { content, bytes, .. }) = outcome::request(record) else { return };
    let mut request = line.object("request");
    // Which database a request met may be known only from its answer.
    let answer = outcome::response(record).and_then(|response| response.content.domain.as_deref());
    put_what(&mut request, content, content.domain.as_deref().or(answer), record, facts);
    request.unsigned("bytes", *bytes);
    request.close();
}

/// What a message is about: its request says so, or itself where that was not seen.
fn put_what(part: &mut Object<'_>, content: &Content, domain: Option<&str>, record: &Record, facts: &mut FactTable) {
    part.optional_string("type", content.type_name.as_deref());
    part.optional_string("version", content.version.as_deref());
    part.optional_string("domain", domain);
    for (key, text) in [("resource", &content.resource), ("endpoint", &content.endpoint)] {
        if let Some(text) = text {
            part.string(key, facts.resolve(&record.plugin, text));
        }
    }
    part.optional_unsigned("id", content.id);
}

/// A request that got no answer still says how it ended, so that counting by status needs no special case.
fn put_response(line: &mut Object<'_>, record: &Record, facts: &mut FactTable) {
    let Some(status) = outcome::status(record) else { return };
    let part = outcome::response(record);
    if part.is_none() && record.request.is_none() {
        return;
    }
    let mut response = line.object("response");
    if let (None, Some(part)) = (outcome::request(record), part) {
        put_what(&mut response, &part.content, part.content.domain.as_deref(), record, facts);
    }
    response.word("status", outcome::status_name(status));
    if let Some(Part { content, bytes, count }) = part {
        response.optional_signed("code", content.code);
        response.optional_string("exception", content.exception.as_deref());
        response.optional_string("result", content.result.as_deref());
        response.unsigned("bytes", *bytes);
        response.unsigned("count", u64::from(*count));
    }
    response.close();
}

fn put_timing(line: &mut Object<'_>, record: &Record) {
    line.optional_unsigned("latency_ns", record.latency_ns);
    line.optional_unsigned("duration_ns", record.duration_ns);
    if outcome::request(record).is_some_and(|request| request.content.is_long_poll) {
        line.key("long_poll").extend_from_slice(b"true");
    }
    if record.is_late {
        line.key("late").extend_from_slice(b"true");
    }
    if let Some(reason) = record.reason {
        line.word("reason", reason);
    }
}

fn put_completeness(line: &mut Object<'_>, record: &Record) {
    let (completeness, reason) = outcome::completeness(record);
    line.word("completeness", outcome::completeness_name(completeness));
    if completeness != Completeness::Full {
        line.optional_string("completeness_reason", reason);
    }
}

fn put_attributes(line: &mut Object<'_>, record: &Record, facts: &mut FactTable, merge: &mut AttributeMerge) {
    let mut merged = merge.merged(record).peekable();
    if merged.peek().is_none() {
        return;
    }
    let mut attributes = line.object("attributes");
    for (name, value) in merged {
        put_value(attributes.foreign_key(name), value, &record.plugin, facts);
    }
    attributes.close();
}

fn put_process(line: &mut Object<'_>, record: &Record) {
    let Some(processes) = &record.process else { return };
    let mut ends = line.object("process");
    for (end, process) in [("client", &processes.client), ("server", &processes.server)] {
        if let Some(process) = process {
            let mut of_end = ends.object(end);
            of_end.unsigned("pid", process.pid.into());
            of_end.string("comm", &process.comm);
            if process.via != Via::Socket {
                of_end.key("tls").extend_from_slice(b"true");
            }
            if process.via == Via::LikelyTls {
                of_end.word("addresses", "likely");
            }
            of_end.close();
        }
    }
    ends.close();
}

fn put_value(out: &mut Vec<u8>, value: &Value, plugin: &PluginIdentity, facts: &mut FactTable) {
    match value {
        Value::Str(text) => put_string(out, facts.resolve(plugin, text)),
        Value::I64(value) => put_signed(out, *value),
        Value::F64(value) => put_float(out, *value),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::List(texts) => put_list(out, texts, plugin, facts),
    }
}

fn put_list(out: &mut Vec<u8>, texts: &[Text], plugin: &PluginIdentity, facts: &mut FactTable) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_string(out, facts.resolve(plugin, text));
    }
    out.push(b']');
}

/// The form of RFC 3986: `10.0.0.1:9092`, `[::1]:9092`. IPv4 by hand, since the formatting machinery would cost as
/// much as all other fields together.
fn put_endpoint(out: &mut Vec<u8>, endpoint: Endpoint) {
    out.push(b'"');
    match endpoint.ip {
        IpAddr::V4(ip) => {
            for (octet, end) in ip.octets().into_iter().zip(*b"...:") {
                put_digits(out, octet);
                out.push(end);
            }
            put_digits(out, endpoint.port);
        }
        IpAddr::V6(_) => {
            // Writing to a vector cannot fail.
            let _ = write!(out, "{endpoint}");
        }
    }
    out.push(b'"');
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}
