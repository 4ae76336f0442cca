//! The streams of a capture, put together from tshark's decode of their frames, and what the record of each has to say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The servers of the captures.
pub(super) const SERVERS: [u64; 4] = [8081, 8082, 8083, 50051];
const DATA: u64 = 0;
const RST_STREAM: u64 = 3;
const PUSH_PROMISE: u64 = 5;
const GOAWAY: u64 = 7;
const END_STREAM: u64 = 1;
const PADDED: u64 = 8;

/// One stream, as tshark's frames tell of it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) method: String,
    path: Option<String>,
    authority: Option<String>,
    is_grpc: bool,
    is_pushed: bool,
    pub(super) status: Option<u64>,
    grpc_status: Option<u64>,
    /// Ended, by the frame of that number.
    pub(super) request_ended: Option<usize>,
    pub(super) response_ended: Option<usize>,
    /// The side that reset it before it was answered: whether that is the server, and the code.
    pub(super) reset: Option<(bool, u64)>,
    /// Bytes of frames, and of bodies, from the client and from the server.
    pub(super) frames: [u64; 2],
    pub(super) bodies: [u64; 2],
}

pub(super) type Streams = BTreeMap<(u64, u64), Stream>;

/// The streams by client port and id, and how many GOAWAYs there are.
pub(super) fn streams(frames: &[Value]) -> (Streams, usize) {
    let mut streams = Streams::new();
    let mut farewells = 0;
    for (at, frame) in frames.iter().enumerate() {
        let field = |name: &str| frame[name].as_u64();
        let (from, to) = (field("from").expect("a port"), field("to").expect("a port"));
        let is_server = SERVERS.contains(&from);
        let client = if is_server { to } else { from };
        let (kind, flags) = (field("type").expect("a type"), field("flags").expect("flags"));
        let length = field("length").expect("a length");
        farewells += usize::from(kind == GOAWAY);
        if field("stream") == Some(0) || !matches!(kind, 0 | 1 | RST_STREAM | PUSH_PROMISE | 9) {
            continue;
        }
        let id = if kind == PUSH_PROMISE { field("promised") } else { field("stream") }.expect("an id");
        let stream = streams.entry((client, id)).or_default();
        stream.is_pushed |= kind == PUSH_PROMISE;
        if stream.reset.is_some() {
            // What was on its way is ignored by who reset the stream.
            continue;
        }
        if kind == RST_STREAM {
            if stream.response_ended.is_none() {
                stream.reset = Some((is_server, field("error").expect("an error code")));
            }
            continue;
        }
        stream.frames[usize::from(is_server)] += length + 9;
        headers(stream, &frame["headers"]);
        if kind == DATA {
            let padding = if flags & PADDED != 0 { 1 + field("padding").unwrap_or(0) } else { 0 };
            stream.bodies[usize::from(is_server)] += length - padding;
        }
        if flags & END_STREAM != 0 && kind <= 1 {
            let ended = if is_server { &mut stream.response_ended } else { &mut stream.request_ended };
            *ended = ended.or(Some(at));
        }
    }
    (streams, farewells)
}

fn headers(stream: &mut Stream, headers: &Value) {
    let text = |name: &str| headers[name].as_str().map(str::to_owned);
    stream.method = text(":method").unwrap_or(std::mem::take(&mut stream.method));
    stream.path = text(":path").map(|path| path.split('?').next().expect("a part").to_owned()).or(stream.path.take());
    stream.authority = text(":authority").or(stream.authority.take());
    stream.is_grpc |= text("content-type").is_some_and(|value| value.starts_with("application/grpc"));
    stream.status = text(":status").and_then(|value| value.parse().ok()).or(stream.status);
    stream.grpc_status = text("grpc-status").and_then(|value| value.parse().ok()).or(stream.grpc_status);
}

impl Stream {
    /// What the record has to say.
    pub(super) fn expected(&self) -> Value {
        let (kind, status) = match self.reset {
            _ if self.is_pushed => ("oneway", Value::Null),
            // Withdrawn by the client, before or amid the response.
            Some((false, _)) if self.status.is_none() => ("request", json!("unknown")),
            Some((false, _)) => ("session", json!("unknown")),
            Some((true, _)) => ("session", json!("server_error")),
            None => ("session", json!(self.status_name())),
        };
        let code = if kind == "session" { self.grpc_status.or(self.status) } else { None };
        json!({"type": self.method, "resource": self.path, "domain": self.authority, "kind": kind, "status": status, "code": code})
    }

    fn status_name(&self) -> &'static str {
        match (self.grpc_status, self.status) {
            (Some(0), _) => "ok",
            (Some(4), _) => "timeout",
            (Some(2 | 12..=15), _) => "server_error",
            (Some(_), _) => "client_error",
            (None, Some(100..=399)) => "ok",
            (None, Some(400..=499)) => "client_error",
            (None, _) => "server_error",
        }
    }
}
