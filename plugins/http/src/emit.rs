//! Puts what was read into the answer, under DeepFlow's fields and OpenTelemetry's attribute names.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>

use protap_plugin::{Key, Kind, MessageWriter, Output, Status, Stop, Stream, Text, Texts};

use crate::field::{Slot, is_protocol, is_sw8, is_traceparent};
use crate::flow::Context;
use crate::head::Head;
use crate::request::RequestLine;
use crate::target::{Target, host_and_port, without_parameters};
use crate::{
    ADDRESS, AMBIGUITY, ERROR_TYPE, INTERIM, METHOD, METHOD_ORIGINAL, PATH, PORT, PROTOCOL_VERSION, QUERY, REFERER,
    REQUEST_BODY, RESPONSE_BODY, SCHEME, STATUS_CODE, SW8, TRACEPARENT, UPGRADE, USER_AGENT, Wishes,
};

pub(crate) const LOST: &str = "bytes lost";

/// The methods that the conventions know; others are `_OTHER` to them.
const METHODS: &[&[u8]] =
    &[b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"QUERY", b"TRACE"];
/// Names the parts of a response: there is one at a time.
const HANDLE: u32 = 1;

/// A request, as far as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) head: &'a Head,
    pub(crate) line: RequestLine,
    pub(crate) wishes: Wishes,
}

impl Request<'_> {
    /// Emits all of it, with the size of its body if there is one, and what is missing.
    pub(crate) fn emit(&self, stream: &Stream, body: Option<u64>, flaw: Option<&str>) {
        stream.emit(|output, texts| {
            let writer = self.write(output, texts);
            finish(sized(writer, REQUEST_BODY, body), self.head, flaw.or(self.flaw())).emit();
        });
    }

    /// Emits what is known before its body.
    pub(crate) fn begin(&self, stream: &Stream) {
        stream.emit(|output, texts| finish(self.write(output, texts), self.head, self.flaw()).begin(HANDLE).emit());
    }

    /// Emits what is known behind its body, which began there.
    pub(crate) fn finish(&self, stream: &Stream, start: u64, body: Option<u64>, flaw: Option<&str>) {
        let end = stream.offset();
        stream.emit(|output, _| {
            let writer = sized(output.message(Kind::Request), REQUEST_BODY, body).finish(HANDLE).span(start, end);
            finish(writer, self.head, flaw.or(self.flaw())).emit();
        });
    }

    fn write<'a>(&self, output: &'a mut Output, texts: Texts<'_>) -> MessageWriter<'a> {
        let method = texts.get(self.head.line.part(0..self.line.method));
        let version = version(self.line.is_1_0);
        let mut writer = output.message(Kind::Request).type_name(method).version(version);
        writer = writer.context(Context::of(method).to_bytes()).str(PROTOCOL_VERSION, version);
        writer = if self.head.accepts_events { writer.long_poll() } else { writer };
        writer = if METHODS.contains(&method) {
            writer.str(METHOD, method)
        } else {
            writer.str(METHOD, "_OTHER").str(METHOD_ORIGINAL, method)
        };
        self.fields(self.target(writer, method, texts), texts)
    }

    fn flaw(&self) -> Option<&'static str> {
        self.head.is_line_cut.then_some("a target longer than is kept")
    }

    fn target<'a>(&self, mut writer: MessageWriter<'a>, method: &[u8], texts: Texts<'_>) -> MessageWriter<'a> {
        let (start, end) = self.line.target;
        let target = Target::of(method, texts.get(self.head.line.part(start..end))).unwrap_or_default();
        if let Some(scheme) = target.scheme {
            writer = writer.str(SCHEME, scheme);
        }
        let host = self.head.value(Slot::Host).map(|host| texts.get(host));
        if let Some((address, port)) = target.authority.or(host).and_then(host_and_port) {
            writer = writer.domain(address).str(ADDRESS, address);
            if let Some(port) = port {
                writer = writer.i64(PORT, port);
            }
        }
        match (target.path, target.authority) {
            (Some(path), _) => {
                let path = if self.wishes.query { path.into() } else { without_parameters(path) };
                writer = writer.resource(&path).endpoint(&path).str(PATH, &path);
            }
            (None, Some(authority)) => writer = writer.resource(authority).endpoint(authority),
            (None, None) => {}
        }
        match target.query.filter(|_| self.wishes.query) {
            Some(query) => writer.str(QUERY, query),
            None => writer,
        }
    }

    fn fields<'a>(&self, mut writer: MessageWriter<'a>, texts: Texts<'_>) -> MessageWriter<'a> {
        let value = |slot| self.head.value(slot).map(|text: Text| texts.get(text));
        if let Some(agent) = value(Slot::UserAgent) {
            writer = writer.str(USER_AGENT, agent);
        }
        if let Some(traceparent) = value(Slot::Traceparent).filter(|value| is_traceparent(value)) {
            writer = writer.list(TRACEPARENT, [traceparent]);
        }
        if let Some(sw8) = value(Slot::Sw8).filter(|value| is_sw8(value)) {
            writer = writer.list(SW8, [sw8]);
        }
        if let Some(referer) = value(Slot::Referer).filter(|_| self.wishes.referer) {
            let bare = referer.split(|byte| b"?#".contains(byte)).next().unwrap_or_default();
            writer = writer.list(REFERER, [if self.wishes.query { referer } else { bare }]);
        }
        writer
    }
}

/// A response, as far as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    pub(crate) head: &'a Head,
    pub(crate) is_1_0: bool,
    pub(crate) status: u16,
    /// Interim responses before it.
    pub(crate) interim: u32,
    /// What is missing.
    pub(crate) flaw: Option<&'static str>,
}

impl Response<'_> {
    /// Emits all of it, with the size of its body if there is one.
    pub(crate) fn emit(&self, stream: &Stream, flaw: Option<&str>, body: Option<u64>) {
        stream.emit(|output, texts| sized(self.write(output, texts, flaw), RESPONSE_BODY, body).emit());
    }

    /// Emits what is known before its body.
    pub(crate) fn begin(&self, stream: &Stream) {
        stream.emit(|output, texts| self.write(output, texts, None).begin(HANDLE).emit());
    }

    /// Emits what is known behind its body, which began there.
    pub(crate) fn finish(&self, stream: &Stream, start: u64, flaw: Option<&str>, body: Option<u64>) {
        let end = stream.offset();
        stream.emit(|output, texts| {
            sized(self.write(output, texts, flaw), RESPONSE_BODY, body).finish(HANDLE).span(start, end).emit();
        });
    }

    fn write<'a>(&self, output: &'a mut Output, texts: Texts<'_>, flaw: Option<&str>) -> MessageWriter<'a> {
        let status = match self.status {
            ..400 => Status::Ok,
            400..500 => Status::ClientError,
            500.. => Status::ServerError,
        };
        let mut writer = output.response(status).version(version(self.is_1_0)).code(self.status.into());
        writer = writer.i64(STATUS_CODE, self.status);
        if self.status >= 400 {
            let code = self.status.to_string();
            writer = writer.exception(&code).str(ERROR_TYPE, &code);
        }
        if self.interim > 0 {
            writer = writer.i64(INTERIM, self.interim);
        }
        let upgrade = self.head.value(Slot::Upgrade).map(|text| texts.get(text));
        if let Some(protocol) = upgrade.filter(|protocol| self.status == 101 && is_protocol(protocol)) {
            writer = writer.list(UPGRADE, [protocol]);
        }
        finish(writer, self.head, flaw.or(self.flaw))
    }
}

fn sized(writer: MessageWriter<'_>, key: Key, body: Option<u64>) -> MessageWriter<'_> {
    match body {
        Some(body) => writer.i64(key, i64::try_from(body).unwrap_or(i64::MAX)),
        None => writer,
    }
}

fn finish<'a>(mut writer: MessageWriter<'a>, head: &Head, flaw: Option<&str>) -> MessageWriter<'a> {
    if let Some(ambiguity) = head.framing.ambiguity {
        writer = writer.str(AMBIGUITY, ambiguity);
    }
    match flaw {
        Some(flaw) => writer.partial(flaw),
        None => writer,
    }
}

/// Why a body was not read to its end.
pub(crate) fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Malformed(reason) => reason,
        _ => "the end of the body was not seen",
    }
}

fn version(is_1_0: bool) -> &'static str {
    if is_1_0 { "1.0" } else { "1.1" }
}
