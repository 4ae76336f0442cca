//! From a plugin's record to what the rest of the runtime knows: a message with its content. Empty strings are absent.
//! Trace, attributes and what the record means to a business become attributes by their names in DeepFlow's output.

use super::record::{AppRecord, Info, MAX_ATTRIBUTES, Merge, RequestInfo, ResponseInfo};
use crate::plugin::content::{Context, Message, MessagePart};
use crate::reassembly::Heard;
use crate::record::{Content, Extra, Kind, SmolStr, Text, Value};

/// The payload that a record was made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    /// Stream offset of its first byte.
    pub(super) start: u64,
    /// Stream offset behind its last byte.
    pub(super) end: u64,
    /// It goes from server to client.
    pub(super) is_response: bool,
}

impl AppRecord {
    /// The record as a message. `part` is what it is a part of.
    pub(super) fn into_message(self, payload: Payload, part: MessagePart, protocol: Option<&str>) -> Message {
        let Payload { start, end, .. } = payload;
        let is_response = self.is_response(payload);
        let len = if is_response { self.response_len } else { self.request_len };
        Message {
            start,
            end,
            bytes: len.map_or(end.saturating_sub(start), u64::from),
            kind: if is_response { Kind::Response } else { Kind::Request },
            protocol: 0,
            content: Box::new(self.into_content(is_response, protocol)),
            context: Context::default(),
            has_more_replies: false,
            next_id: None,
            part,
            is_cancel: false,
            heard: Heard::ALL,
        }
    }

    /// Request or response: the direction tells, and the record whether it goes against it.
    pub(super) fn is_response(&self, payload: Payload) -> bool {
        payload.is_response ^ self.is_reversed
    }

    /// Which parts it is one of: those with its id, or those without.
    pub(super) fn part_handle(&self) -> Option<u32> {
        (self.merge != Merge::Whole).then(|| self.request_id.unwrap_or(u32::MAX))
    }

    /// What the record says. `protocol` is the name that the plugin claimed the flow with, which counts more than the
    /// record's.
    #[must_use]
    pub fn into_content(self, is_response: bool, protocol: Option<&str>) -> Content {
        let mut content = Content { id: self.request_id.map(u64::from), ..Content::default() };
        let mut extra = Extra::default();
        let named = protocol.filter(|name| !name.is_empty()).map(str::to_owned);
        extra.protocol = named.or(Some(self.protocol).filter(|name| !name.is_empty()));
        match self.info {
            Info::Request(info) => request(info, &mut content),
            Info::Response(info) => response(info, &mut content),
            Info::None => {}
        }
        let business = self.business;
        let trace = self.trace;
        let x_request_id = if is_response { "x_request_id_1" } else { "x_request_id_0" };
        for (key, value) in self.attributes.into_iter().take(MAX_ATTRIBUTES).filter(|(key, _)| !key.is_empty()) {
            extra.set(key, Value::Str(Text::Plain(value.into())));
        }
        for (name, value) in [
            ("trace_id", trace.trace_id),
            ("span_id", trace.span_id),
            ("parent_span_id", trace.parent_span_id),
            (x_request_id, trace.x_request_id),
            ("http_proxy_client", trace.http_proxy_client),
            ("biz_code", business.code),
            ("biz_scenario", business.scenario),
            ("biz_response_code", business.response_code),
        ] {
            if !value.is_empty() {
                extra.set(name.to_owned(), Value::Str(Text::Plain(value.into())));
            }
        }
        if !trace.trace_ids.is_empty() {
            let ids = trace.trace_ids.into_iter().map(|id| Text::Plain(id.into())).collect();
            extra.set("trace_ids".to_owned(), Value::List(ids));
        }
        if business.kind != 0 {
            extra.set("biz_type".to_owned(), Value::I64(business.kind.into()));
        }
        if self.is_async {
            extra.set("is_async".to_owned(), Value::Bool(true));
        }
        if self.is_reversed {
            extra.set("is_reversed".to_owned(), Value::Bool(true));
        }
        content.extra = (extra != Extra::default()).then(|| Box::new(extra));
        content
    }
}

fn request(info: RequestInfo, content: &mut Content) {
    content.version = filled(info.version);
    content.type_name = filled(info.type_name);
    content.domain = filled(info.domain);
    content.resource = filled(info.resource).map(Text::Plain);
    content.endpoint = filled(info.endpoint).map(Text::Plain);
}

fn response(info: ResponseInfo, content: &mut Content) {
    content.status = info.status;
    content.code = info.code.map(i64::from);
    content.exception = filled(info.exception);
    content.result = filled(info.result);
    content.type_name = filled(info.type_name);
    content.endpoint = filled(info.endpoint).map(Text::Plain);
}

fn filled(text: String) -> Option<SmolStr> {
    Some(text).filter(|text| !text.is_empty()).map(SmolStr::from)
}

#[cfg(test)]
mod tests {
    use super::Payload;
    use crate::plugin::content::MessagePart;
    use crate::plugin::deepflow::era::Decoder;
    use crate::plugin::deepflow::golden::golden;
    use crate::record::{Kind, Status, Text, Value};

    #[test]
    fn a_record_becomes_a_message() {
        let record = Decoder::new(false).decode(&golden("pb_request"), false).unwrap().remove(0);
        let payload = Payload { start: 100, end: 150, is_response: false };
        let message = record.into_message(payload, MessagePart::Whole, Some("claimed"));
        assert_eq!((message.start, message.end, message.bytes, message.kind), (100, 150, 32, Kind::Request));
        let content = message.content;
        assert_eq!((content.id, content.type_name.as_deref()), (Some(7), Some("GET")));
        assert_eq!(content.resource, Some(Text::Plain("item/1".into())));
        let extra = content.extra.unwrap();
        assert_eq!(extra.protocol.as_deref(), Some("claimed"));
        let names: Vec<&str> = extra.attributes.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["k", "trace_id", "span_id", "parent_span_id", "x_request_id_0", "http_proxy_client"];
        assert_eq!(names, [&expected[..], &["biz_code", "trace_ids", "biz_type"]].concat());
        assert_eq!(extra.attributes.last().unwrap().1, Value::I64(5));
    }

    #[test]
    fn a_reversed_record_goes_against_its_direction() {
        let mut record = Decoder::new(false).decode(&golden("pb_response"), true).unwrap().remove(0);
        record.is_reversed = true;
        let payload = Payload { start: 0, end: 9, is_response: false };
        let message = record.into_message(payload, MessagePart::Whole, None);
        assert_eq!((message.kind, message.content.status), (Kind::Response, Status::ServerError));
        assert_eq!(message.bytes, 64);
    }
}
